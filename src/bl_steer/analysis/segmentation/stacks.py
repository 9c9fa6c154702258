"""Stacks larger than memory: Zarr in, Zarr out, plane by plane on dask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.fields import field_name
from bl_steer.analysis.segmentation.passes import ONE_PASS, Passes
from bl_steer.analysis.segmentation.segmentation import segment
from bl_steer.analysis.segmentation.shipped import find_model
from bl_steer.analysis.torch_device import processes_for_networks
from bl_steer.files.stacks import open_zarr
from bl_steer.processing.executors.dask_cluster import each_part
from bl_steer.protocols import Progress

__all__ = ["StoredPlanes", "segment_stack"]


@dataclass(frozen=True)
class _Job:
    """What a worker needs to segment a plane; the arrays stay on disk."""

    model: str
    source: str
    target: str
    pixel_size_nm: float | None
    passes: Passes
    rows: int


class StoredPlanes(Mapping[str, NDArray[Any]]):
    """The planes of stacks as the arrays of fields, each read when it is asked for.

    Parameters
    ----------
    stacks : Zarr arrays (Z, H, W) of one shape, by what follows the field's name
    """

    def __init__(self, stacks: Mapping[str, Any]) -> None:
        self._planes = {
            f"{field_name(plane)}{end}": (stack, plane)
            for end, stack in stacks.items()
            for plane in range(stack.shape[0])
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        stack, plane = self._planes[name]
        return np.asarray(stack[plane])

    def __iter__(self) -> Iterator[str]:
        return iter(self._planes)

    def __len__(self) -> int:
        return len(self._planes)


def segment_stack(
    model: str,
    source: str | Path,
    target: str | Path,
    *,
    pixel_size_nm: float | None = None,
    rows: int | None = None,
    passes: Passes = ONE_PASS,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Segment every plane of a stack; what an earlier call has finished is not done again.

    Parameters
    ----------
    model : a shipped model's name, or a model's folder
    source : a Zarr array (Z, H, W)
    target : a Zarr group, created if missing: ``labels`` (Z, H, W) uint8, ``uncertainty`` (Z, H, W)
        float16, and ``pixels`` (Z, n_phases), the pixels of each phase; -1 in planes not done yet
    rows : of each plane that are segmented, from the top, where a data bar is below; all by default
    scheduler : address of a dask cluster that sees the same files; None works on this machine

    Returns
    -------
    fractions : share of each phase in each plane, shape (Z, n_phases)

    Raises
    ------
    ValueError
        When the source is no stack, or the target belongs to another stack or model.
    """
    network = find_model(model)
    stack = open_zarr(source)
    shape = (stack.shape[0], len(range(stack.shape[1])[:rows]), stack.shape[2])
    pixels = _prepare(Path(target), shape, len(network.phases), network.weights_sha256)
    todo = [plane for plane in range(stack.shape[0]) if pixels[plane, 0] < 0]
    job = _Job(model, str(source), str(target), pixel_size_nm, passes, shape[1])
    planes = each_part(
        partial(_segment_plane, job), todo, scheduler, processes=processes_for_networks()
    )
    with closing(planes):  # its processes end here, also after Ctrl-C
        for done, _ in enumerate(planes, start=stack.shape[0] - len(todo) + 1):
            if progress is not None:
                progress(done, stack.shape[0])
    counts = np.asarray(pixels[:], dtype=np.float64)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _prepare(target: Path, shape: tuple[int, ...], n_phases: int, weights: str) -> Any:
    """Create or check the target; return the array of pixels, which records what is done."""
    group: Any = zarr.open_group(str(target), mode="a")
    if "pixels" not in group:
        plane = (1, *shape[1:])
        group.create_array("labels", shape=shape, chunks=plane, dtype="uint8")
        group.create_array("uncertainty", shape=shape, chunks=plane, dtype="float16")
        group.attrs["weights_sha256"] = weights
        group.create_array(
            "pixels", shape=(shape[0], n_phases), chunks=(1, n_phases), dtype="int64", fill_value=-1
        )
    if group["labels"].shape != shape or group.attrs["weights_sha256"] != weights:
        raise ValueError(
            f"the target must be of this stack and this model, got labels of shape "
            f"{group['labels'].shape} for a stack of {shape} or other weights in {target}; give "
            "another target"
        )
    return group["pixels"]


def _segment_plane(job: _Job, plane: int) -> int:
    """Segment one plane; the pixel counts are written last and mark it as done."""
    model = find_model(job.model)
    segmented = segment(
        model,
        np.asarray(open_zarr(job.source)[plane, : job.rows]),
        pixel_size_nm=job.pixel_size_nm,
        keep_probability=False,
        passes=job.passes,
    )
    group: Any = zarr.open_group(job.target, mode="r+")
    group["labels"][plane] = segmented.labels
    group["uncertainty"][plane] = segmented.uncertainty
    group["pixels"][plane] = np.bincount(segmented.labels.ravel(), minlength=len(model.phases))
    return plane
