"""Super-resolve a stack larger than memory: Zarr in, Zarr out, slab by slab, resumable.

`volume` does the same in memory, with the same result.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from bl_steer.analysis.superresolution.checks import check_count, check_slices
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.numbering import NumberedLabels, unit_of
from bl_steer.analysis.superresolution.phase_choice import RULE, PhaseChoice
from bl_steer.analysis.superresolution.sections import ONE_RUN, Running
from bl_steer.analysis.superresolution.slabs import SLAB_PX, Inserter, SlabWork, n_planes
from bl_steer.files.planes import some_planes
from bl_steer.files.stacks import open_zarr
from bl_steer.processing.executors.dask_cluster import each_part
from bl_steer.protocols import Progress
from bl_steer.single_thread import single_thread

__all__ = ["super_resolve_zarr"]

CHUNK_PLANES = 128
PASSES = ("xz", "yz")


@dataclass(frozen=True)
class _Job:
    """What a worker needs for a slab; the arrays stay on disk."""

    model: str
    source: str
    target: str
    running: Running
    unit: int | None
    """Of `numbering.unit_of`."""


def super_resolve_zarr(
    model: str | Path,
    source: str | Path,
    target: str | Path,
    *,
    keep_fractions: bool = True,
    running: Running = ONE_RUN,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Insert planes between the slices of a stack; what an earlier call has done is not done again.

    Parameters
    ----------
    model : a model's folder
    source : a Zarr array (n, H, W): grey levels or labels
    target : a Zarr group, made if missing: ``volume`` (N, H, W) of the source's type,
        renumbered labels in uint8, ``uncertainty`` (N, H, W) f32, and ``xz``, the work in between,
        which may be deleted
    keep_fractions : as in `volume.super_resolve`
    scheduler : address of a dask cluster that sees the same files; None works on this machine

    Returns
    -------
    target : the group

    Raises
    ------
    ValueError
        When the source is no stack of the model's kind, or the target belongs to other slices,
        another model or other settings.

    Notes
    -----
    A slab is marked as done after it is written, and each slab has chunks of its own: after a
    kill at any moment, the same call goes on and ends with the same arrays.
    """
    network = SuperResolutionModel.load(model)
    n_phases = network.n_values if network.kind == "labels" else None
    unit = unit_of(open_zarr(source), n_phases)
    stack = _slices(source, unit)
    check_count(stack.shape[0])
    for planes in some_planes(stack):
        check_slices(planes, n_phases)
    group = _prepare(Path(target), stack, network, keep_fractions, running)
    job = _Job(str(model), str(source), str(target), running, unit)
    with single_thread():
        todo = {name: np.flatnonzero(~group[f"{name}_done"][:]).tolist() for name in PASSES}
        total = sum(group[f"{name}_done"].shape[0] for name in PASSES)
        count = total - sum(len(slabs) for slabs in todo.values())
        for name, step in zip(PASSES, (_first, _second), strict=True):
            if name == "yz" and "choice" not in group.attrs:
                group.attrs["choice"] = _choice(job, keep_fractions)
            slabs = each_part(
                partial(step, job), todo[name], scheduler, processes=running.n_processes
            )
            with closing(slabs):  # its processes end here, also after Ctrl-C
                for _ in slabs:
                    count += 1
                    if progress is not None:
                        progress(count, total)
    return Path(target)


def _slices(source: str | Path, unit: int | None) -> Any:
    """Return the slices of a stack on disk, labels as whole numbers from 0 on."""
    stack = open_zarr(source)
    return stack if unit is None else NumberedLabels(stack, unit)


def _prepare(
    target: Path, stack: Any, model: SuperResolutionModel, keep_fractions: bool, running: Running
) -> Any:
    """Make or check the target."""
    shape = (n_planes(stack.shape[0], model.factor), *stack.shape[1:])
    identity = {
        "weights_sha256": model.weights_sha256,
        "slices": list(stack.shape),
        "planes": shape[0],  # one network serves several factors
        "keep_fractions": keep_fractions,
        "precision": running.precision,
        "choice": RULE,
    }
    group: Any = zarr.open_group(str(target), mode="a")
    if "identity" not in group.attrs:
        z, x = min(CHUNK_PLANES, shape[0]), min(SLAB_PX, shape[2])
        y = min(SLAB_PX, shape[1])
        for name, dtype in (("volume", stack.dtype), ("uncertainty", np.float32)):
            chunks = (z, min(CHUNK_PLANES, shape[1]), x)
            _create(group, name, shape, chunks, dtype)
        _create(group, "xz", (model.n_values, *shape), (model.n_values, z, y, x), np.float16)
        for name, edge in zip(PASSES, shape[1:], strict=True):
            _create(group, f"{name}_done", (-(-edge // SLAB_PX),), (1,), np.bool_)
        group.attrs["identity"] = identity
    if group.attrs["identity"] != identity:
        differing = [
            key for key, value in identity.items() if group.attrs["identity"].get(key) != value
        ]
        raise ValueError(
            f"the target must be of this stack, model and settings, got others in "
            f"{', '.join(differing)} for {target}; give another target"
        )
    return group


def _create(
    group: Any, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any
) -> None:
    # Over what an interrupted preparation may have left.
    group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, overwrite=True)


def _open(job: _Job) -> tuple[SlabWork, Any]:
    group: Any = zarr.open_group(job.target, mode="r+")
    work = SlabWork(
        Inserter(SuperResolutionModel.load(job.model), job.running),
        _slices(job.source, job.unit),
        group["xz"],
        group["volume"],
        group["uncertainty"],
    )
    return work, group


def _first(job: _Job, slab: int) -> int:
    work, group = _open(job)
    rows = work.slabs(1)[slab]
    work.keep_first(rows, work.inserter.first_pass(work.for_first(rows)))
    group["xz_done"][slab] = True
    return slab


def _second(job: _Job, slab: int) -> int:
    work, group = _open(job)
    choice = PhaseChoice.from_dict(group.attrs["choice"])
    columns = work.slabs(2)[slab]
    work.keep_second(columns, work.inserter.second_pass(work.for_second(columns), choice))
    group["yz_done"][slab] = True
    return slab


def _choice(job: _Job, keep_fractions: bool) -> dict[str, Any]:
    """Return the choice of phases as the group stores it."""
    work, _ = _open(job)
    model = work.inserter.model
    free = PhaseChoice.free(model.factor, model.n_values)
    choice = work.find_choice() if keep_fractions else free
    return choice.to_dict()
