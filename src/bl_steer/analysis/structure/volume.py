"""Label volumes with physical voxels, read slab by slab from numpy, Zarr or dask."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.structure.checks import check_labels, check_phases, check_voxel, white_named
from bl_steer.files.large_arrays import let_go
from bl_steer.protocols import Array, Progress

__all__ = ["LabelVolume", "Slab"]

SLAB_VOXELS = 2**24
"""Voxels of a slab, carried planes left out: 16 MiB of labels."""


@dataclass(frozen=True)
class Slab:
    """Some planes of a volume, and where they lie.

    Parameters
    ----------
    phases : number of the phase of each voxel, shape (n, Y, X), uint8, C order
    start : z of the first new plane
    first : planes before this index were part of earlier slabs
    """

    phases: NDArray[np.uint8]
    start: int
    first: int


@dataclass(frozen=True)
class LabelVolume:
    """A volume of labels; make it with `LabelVolume.of`.

    Parameters
    ----------
    labels : (Z, Y, X), whole numbers 0 … 255; numpy, Zarr, dask, or anything that is sliced alike
    voxel_size_nm : edges of a voxel along z, y, x, nm
    names : of the phases, by label, ascending
    counts : voxels of each phase, shape (n_phases,)
    """

    labels: Any
    voxel_size_nm: tuple[float, float, float]
    names: Mapping[int, str]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        labels: Any,
        voxel_size_nm: Sequence[float],
        names: Mapping[int, str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Self:
        """Check a volume and count its voxels, in one pass.

        Parameters
        ----------
        labels : (Z, Y, X), or one plane (Y, X)
        names : by label; every label that occurs, named "phase N", where left out; those of 0 and
            1 are also of 0 and 255, where these alone occur

        Raises
        ------
        ValueError
            When the labels are no whole numbers 0 … 255, the volume has not two or
            three axes, the voxel is not
            positive, a label is unknown, or there are fewer than two phases or more than
            `checks.MAX_PHASES`.
        """
        labels = check_labels(labels)
        voxel = check_voxel(voxel_size_nm)
        counts = np.zeros(256, dtype=np.int64)
        for start, stop in _steps(labels):
            for plane in _read(labels, start, stop):  # bincount makes 8 bytes of each voxel
                counts += np.bincount(plane.ravel(), minlength=256)
            let_go(labels)
            if progress is not None:
                progress(stop, labels.shape[0])
        present = [int(label) for label in np.flatnonzero(counts)]
        numbered = {label: f"phase {label}" for label in present}
        named = numbered if names is None else white_named(present, names)
        check_phases(present, named)
        ordered = dict(sorted(named.items()))
        return cls(labels, voxel, ordered, counts[list(ordered)])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = self.labels.shape
        return int(z), int(y), int(x)

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases, in the order of their labels."""
        return tuple(self.names.values())

    @property
    def n_voxels(self) -> int:
        """Voxels of the whole box."""
        return math.prod(self.shape)

    @property
    def voxel_nm3(self) -> float:
        """Volume of a voxel, nm³."""
        return math.prod(self.voxel_size_nm)

    @property
    def fractions(self) -> Array:
        """Volume fraction of each phase, shape (n_phases,)."""
        return np.asarray(self.counts / self.n_voxels)

    def slabs(self, overlap: int = 0, progress: Progress | None = None) -> Iterator[Slab]:
        """Yield the volume from z = 0 upwards; each plane is read once.

        Parameters
        ----------
        overlap : planes of the slab before that come along, as far as there are any
        """
        table = np.zeros(256, dtype=np.uint8)
        table[list(self.names)] = range(len(self.names))
        as_they_are = list(self.names) == list(range(len(self.names)))
        carried = np.zeros((0, *self.shape[1:]), dtype=np.uint8)
        for start, stop in _steps(self.labels):
            new = _read(self.labels, start, stop)
            new = new if as_they_are else table[new]
            planes = np.concatenate([carried, new]) if len(carried) else np.ascontiguousarray(new)
            yield Slab(planes, start, len(carried))
            carried = planes[max(0, len(planes) - overlap) :] if overlap else carried
            let_go(self.labels)
            if progress is not None:
                progress(stop, self.shape[0])


def _steps(labels: Any) -> Iterator[tuple[int, int]]:
    """Yield first and last plane of the slabs, in whole chunks of the array where it has any."""
    height, *plane = map(int, labels.shape)
    chunk = getattr(labels, "chunks", None)
    depth = (chunk[0] if isinstance(chunk[0], int) else max(chunk[0])) if chunk else 1
    planes = max(1, SLAB_VOXELS // math.prod(plane))
    planes = max(depth, planes // depth * depth)
    for start in range(0, height, planes):
        yield start, min(start + planes, height)


def _read(labels: Any, start: int, stop: int) -> NDArray[np.uint8]:
    planes = np.asarray(labels[start:stop])
    if planes.dtype.kind != "b" and planes.dtype != np.uint8:
        low, high = planes.min(), planes.max()
        if low < 0 or high > 255:
            remedy = (
                "crop the volume to what is labelled, or give the rest a number of its own, such "
                "as 255, and name it as a phase"
                if low < 0
                else "segment grey levels first (bl-steer segment run), or number the phases anew"
            )
            raise ValueError(f"labels must be whole numbers 0 … 255, got {low} … {high}; {remedy}")
    return planes.astype(np.uint8, copy=False)
