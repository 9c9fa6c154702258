"""What ``bl-steer superres …`` does; each returns what is printed and written as JSON."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.drafts import UnwritableError, draft_of, make_folder
from bl_steer.protocols import Inputs, Progress, Table

if TYPE_CHECKING:
    from bl_steer.analysis.superresolution.model import SuperResolutionModel
    from bl_steer.analysis.superresolution.training import TrainingSettings

__all__ = ["check", "run", "run_zarr", "train"]

Voxel = tuple[float, float, float]
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SAME = 0.05
"""Relative deviation up to which two voxels count as one."""


def train(
    stack: Path,
    settings: TrainingSettings,
    voxel_nm: Voxel,
    *,
    n_phases: int | None,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model on a stack and save it in `out`; take up an unfinished training there."""
    from bl_steer.analysis.segmentation.stacks import open_stack
    from bl_steer.analysis.superresolution.model import train_model
    from bl_steer.analysis.superresolution.stack_files import even_subset, is_zarr, read_stack

    make_folder(out)
    slices = even_subset(open_stack(stack) if is_zarr(stack) else read_stack(stack))
    model = train_model(
        slices, settings, n_phases=n_phases, folder=out, voxel_nm=voxel_nm, progress=progress
    )
    return {
        "model": str(out),
        "kind": model.kind,
        "factor": model.factor,
        "n_slices": len(slices),
        "warnings": _absent(slices, n_phases),
        "weights_sha256": model.weights_sha256,
        "history": model.card["history"],
    }


def run(
    stack: Path,
    model: Path,
    voxel_nm: Voxel,
    *,
    keep_fractions: bool,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Insert planes between the slices of a stack in memory; write TIFFs and a figure."""
    from bl_steer.analysis.digest import digest_of
    from bl_steer.analysis.registry import find_analysis, make_params
    from bl_steer.analysis.superresolution.model import SuperResolutionModel
    from bl_steer.analysis.superresolution.stack_files import read_stack, write_volume

    make_folder(out)
    made = SuperResolutionModel.load(model)
    analysis = find_analysis("superres")
    s = made.settings
    params = {
        "model": str(model),
        "n_phases": made.n_values if made.kind == "labels" else None,
        "keep_fractions": keep_fractions,
        "pitch_nm": voxel_nm[0],
        "pixel_size_nm": voxel_nm[1],
        **{key: getattr(s, key) for key in ("factor", "blocks", "channels", "steps", "seed")},
    }
    inputs = Inputs({"slices": read_stack(stack)}, source={"files": [str(stack)]})
    result = analysis.run(inputs, make_params(analysis, params), progress)
    fine = (voxel_nm[0] / made.factor, *voxel_nm[1:])
    files = [
        write_volume(out / f"{name}.tif", result.arrays[name], fine)
        for name in ("volume", "uncertainty")
    ]
    figure = out / "section.png"
    with draft_of(figure) as draft:
        result.figures["section"]().savefig(draft, dpi=130)
    return {
        "shape": list(result.arrays["volume"].shape),
        "voxel_nm": list(fine),
        "mean_uncertainty": float(result.arrays["uncertainty"].mean()),
        "fractions": _plain(result.tables.get("fractions")),
        "limit": result.provenance["limit"],
        "warnings": [*_voxel_warnings(made, voxel_nm), *result.warnings],
        "digest": digest_of(result),
        "weights_sha256": result.provenance["weights"],
        "duration_s": result.provenance["duration_s"],
        "files": [str(path) for path in (*files, figure)],
    }


def run_zarr(
    stack: Path,
    model: Path,
    voxel_nm: Voxel,
    *,
    keep_fractions: bool,
    scheduler: str | None,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Insert planes between the slices of a Zarr stack, slab by slab, into a Zarr group."""
    import zarr

    from bl_steer.analysis.superresolution.analysis import limit_of
    from bl_steer.analysis.superresolution.model import SuperResolutionModel
    from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr

    make_folder(out)
    began = perf_counter()
    made = SuperResolutionModel.load(model)
    target = out / "volume.zarr"
    try:
        super_resolve_zarr(
            model,
            stack,
            target,
            keep_fractions=keep_fractions,
            scheduler=scheduler,
            progress=progress,
        )
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise UnwritableError.at(target, error) from error
    group: Any = zarr.open_group(str(target), mode="r")
    return {
        "shape": list(group["volume"].shape),
        "voxel_nm": [voxel_nm[0] / made.factor, *voxel_nm[1:]],
        "limit": limit_of(voxel_nm[0]),
        "warnings": _voxel_warnings(made, voxel_nm),
        "weights_sha256": made.weights_sha256,
        "duration_s": perf_counter() - began,
        "files": [str(target)],
    }


def check(
    stack: Path,
    settings: TrainingSettings,
    voxel_nm: Voxel,
    *,
    n_phases: int | None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Say how far a super-resolution of this stack can be trusted; no ground truth is needed."""
    from bl_steer.analysis.superresolution.analysis import limit_of
    from bl_steer.analysis.superresolution.isotropy import isotropy
    from bl_steer.analysis.superresolution.leave_out import leave_out
    from bl_steer.analysis.superresolution.model import check_slices
    from bl_steer.analysis.superresolution.stack_files import read_stack

    slices = read_stack(stack)
    check_slices(slices, n_phases)
    found = isotropy(slices, voxel_nm, n_phases=n_phases)
    scores = leave_out(slices, settings, n_phases=n_phases, progress=progress)
    return {
        "slices": list(slices.shape),
        "leave_out": _plain(scores),
        "verdict": _verdict(scores),
        "correlation": _plain(found.correlation),
        "chords": _plain(found.chords),
        "warnings": [*_absent(slices, n_phases), *found.warnings],
        "limit": limit_of(voxel_nm[0]),
    }


def _verdict(scores: Table) -> str:
    """Return whether the network predicts left-out slices better than what needs no training."""
    from bl_steer.analysis.superresolution.leave_out import NETWORKS

    measure, best = ("miou", max) if "miou" in scores else ("rms_error", min)
    name = "mean IoU" if measure == "miou" else "rms error"
    found = dict(zip(np.asarray(scores["method"]).tolist(), scores[measure], strict=True))
    ours = found.pop(NETWORKS)
    simple = best(found, key=lambda method: found[method])
    beside = f"{simple} ({name} {ours:.3f} against {found[simple]:.3f})"
    if ours != found[simple] and best(ours, found[simple]) == ours:
        return f"better than {beside}"
    return f"not better than {beside}: train longer, or do not use it"


def _absent(slices: NDArray[Any], n_phases: int | None) -> list[str]:
    """Tell of labels that are asked for and do not occur."""
    if n_phases is None:
        return []
    absent = sorted(set(range(n_phases)) - set(np.unique(slices).tolist()))
    if not absent:
        return []
    some = ", ".join(map(str, absent[:5])) + (", …" if len(absent) > 5 else "")
    return [f"of labels 0 … {n_phases - 1}, {some} do not occur in the slices; is N right?"]


def _voxel_warnings(model: SuperResolutionModel, voxel_nm: Voxel) -> list[str]:
    """Compare the voxel of a stack with that of the model's training."""
    pitch, learnt = voxel_nm[0] / voxel_nm[1], model.settings.decimation.pitch_px
    if abs(pitch / learnt - 1) >= SAME:
        return [
            f"the model learnt a pitch of {learnt:g} px and the stack has {pitch:g}; train another"
        ]
    known = model.card.get("data", {}).get("voxel_nm")
    if known is None or max(abs(a / b - 1) for a, b in zip(voxel_nm, known, strict=True)) < SAME:
        return []
    ours, theirs = (" × ".join(f"{edge:g}" for edge in voxel) for voxel in (voxel_nm, known))
    return [
        f"the model learnt from voxels of {theirs} nm and the stack has {ours}; is --voxel right? "
        "Else train another"
    ]


def _plain(table: Table | None) -> Mapping[str, list[Any]] | None:
    return None if table is None else {k: np.asarray(v).tolist() for k, v in table.items()}
