"""Planes between labelled slices, learnt from the slices themselves, on an even grid of depths."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.superresolution.decimation import Decimation, even_subset
from bl_steer.analysis.superresolution.model import SuperResolutionModel, train_model
from bl_steer.analysis.superresolution.phase_choice import RULE
from bl_steer.analysis.superresolution.slabs import n_planes
from bl_steer.analysis.superresolution.training import TrainingSettings
from bl_steer.analysis.superresolution.volume import super_resolve
from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr
from bl_steer.files.large_arrays import large_array, let_go
from bl_steer.processing.unfinished import kept_folder, kept_path
from bl_steer.protocols import Progress

__all__ = ["IN_MEMORY_VX", "insert_planes", "settings_for", "train_on_labels"]

IN_MEMORY_VX = 2**25
"""Larger volumes are made from Zarr to Zarr, slab by slab, and go on after a kill."""
PLANES = 64
"""Read from there at a time."""

Labels = NDArray[np.uint8]


def settings_for(depths: EvenDepths, pixel_nm: float, **options: Any) -> TrainingSettings:
    """Return how to train on slices at these depths; `options` are of `TrainingSettings`."""
    decimation = Decimation(pitch_px=depths.pitch_nm / pixel_nm, pitch_jitter=depths.jitter)
    return TrainingSettings.model_validate(
        {"factor": depths.factor, "decimation": decimation, **options}
    )


def train_on_labels(
    labels: Labels, settings: TrainingSettings, n_phases: int, progress: Progress | None
) -> SuperResolutionModel:
    """Return networks that have learnt from label maps (n, H, W)."""
    lessons = even_subset(labels)
    train = partial(train_model, lessons, settings, n_phases=n_phases, progress=progress)
    try:
        return train(folder=kept_path(f"networks-{_key(lessons, settings.model_dump_json())}"))
    except FileExistsError:  # another process learns the same at this moment
        return train()


def insert_planes(
    network: SuperResolutionModel,
    labels: Labels,
    depths: EvenDepths,
    progress: Progress | None = None,
) -> tuple[Labels, NDArray[np.float16]]:
    """Return the label volume at the even depths and its uncertainty, 0 … 1, (N, H, W) each."""
    chosen = depths.nearest_inserted()
    if n_planes(len(labels), network.factor) * labels[0].size > IN_MEMORY_VX:
        return _by_zarr(network, labels, chosen, progress)
    resolved = super_resolve(network, labels, progress=progress)
    return resolved.volume[chosen], resolved.uncertainty[chosen].astype(np.float16)


def _by_zarr(
    network: SuperResolutionModel,
    labels: Labels,
    chosen: NDArray[np.intp],
    progress: Progress | None,
) -> tuple[Labels, NDArray[np.float16]]:
    with kept_folder(f"volume-{_key(labels, f'{network.weights_sha256} {RULE}')}") as folder:
        stored: Any = zarr.create_array(
            str(folder / "labels.zarr"),
            shape=labels.shape,
            chunks=(1, *labels.shape[1:]),
            dtype="u1",
            overwrite=True,
        )
        stored[:] = labels
        target = super_resolve_zarr(
            network.save(folder / "model"),
            folder / "labels.zarr",
            folder / "volume.zarr",
            progress=progress,
        )
        group: Any = zarr.open_group(str(target), mode="r")
        shape = (len(chosen), *labels.shape[1:])
        volume, uncertainty = large_array(shape, np.uint8), large_array(shape, np.float16)
        for first in range(0, group["volume"].shape[0], PLANES):
            planes = slice(first, first + PLANES)
            # Planes and depths ascend alike, so those of a range lie beside each other.
            begin, end = np.searchsorted(chosen, (planes.start, planes.stop))
            within = chosen[begin:end] - first
            volume[begin:end] = group["volume"][planes][within]
            uncertainty[begin:end] = group["uncertainty"][planes][within]
            let_go(volume)
            let_go(uncertainty)
    return volume, uncertainty


def _key(labels: Labels, made_by: str) -> str:
    """Return a name for what is computed from label maps."""
    digest = hashlib.sha256(f"{labels.shape} {made_by}".encode())
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()[:24]
