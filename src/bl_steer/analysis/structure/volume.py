"""Label volumes with physical voxels, read slab by slab from numpy, Zarr or dask."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array, Progress

__all__ = ["MAX_PHASES", "LabelVolume", "Slab", "check_labels", "check_voxel"]

MAX_PHASES = 16
MAX_RATIO = 1000
"""Of the longest edge of a voxel to the shortest; beyond it a unit is wrong."""
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
        names : by label; every label that occurs, named "phase N", where left out

        Raises
        ------
        ValueError
            When the labels are no whole numbers 0 … 255, the volume is not 3-D, the voxel is not
            positive, a label is unknown, or there are fewer than two phases or more than
            `MAX_PHASES`.
        """
        check_labels(labels)
        voxel = check_voxel(voxel_size_nm)
        found = np.zeros(256, dtype=np.int64)
        for start, stop in _steps(labels):
            for plane in _read(labels, start, stop):  # bincount makes 8 bytes of each voxel
                found += np.bincount(plane.ravel(), minlength=256)
            if progress is not None:
                progress(stop, labels.shape[0])
        present = [int(label) for label in np.flatnonzero(found)]
        named = {label: f"phase {label}" for label in present} if names is None else dict(names)
        _check_phases(present, named)
        ordered = dict(sorted(named.items()))
        return cls(labels, voxel, ordered, found[list(ordered)])

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
            whole = np.concatenate([carried, new]) if len(carried) else np.ascontiguousarray(new)
            yield Slab(whole, start, len(carried))
            carried = whole[max(0, len(whole) - overlap) :] if overlap else carried
            if progress is not None:
                progress(stop, self.shape[0])


def check_labels(labels: Any) -> None:
    """Refuse what is no label volume, from its shape and type alone."""
    shape, dtype = tuple(np.shape(labels)), np.dtype(getattr(labels, "dtype", type(labels)))
    if len(shape) != 3 or 0 in shape:
        raise ValueError(
            f"a label volume must have the axes z, y, x, got shape {shape}; stack the label maps "
            "of the slices, one grey value a phase"
        )
    if dtype.kind not in "bui":
        raise ValueError(
            f"labels must be whole numbers 0 … 255, one for each phase, got {dtype}; segment the "
            "grey values first (bl-steer segment run), or convert labels to uint8"
        )


def check_voxel(voxel_size_nm: Sequence[float] | None) -> tuple[float, float, float]:
    """Return the edges of a voxel, nm; `ValueError` unless there are three positive ones."""
    given = () if voxel_size_nm is None else tuple(float(edge) for edge in voxel_size_nm)
    if len(given) != 3 or not all(math.isfinite(edge) and edge > 0 for edge in given):
        shown = ", ".join(f"{edge:g}" for edge in given) or "nothing"
        raise ValueError(
            f"a voxel must have three positive edges z, y, x in nm, got {shown}; try 100,10,10 for "
            "slices 100 nm apart with pixels of 10 nm"
        )
    if max(given) > MAX_RATIO * min(given):
        raise ValueError(
            f"a voxel must have edges that differ by a factor of {MAX_RATIO} at most, got "
            f"{', '.join(f'{edge:g}' for edge in given)} nm; give all three in nm, as 100,10,10"
        )
    return given[0], given[1], given[2]


def _check_phases(present: list[int], named: Mapping[int, str]) -> None:
    if len(present) > MAX_PHASES:
        raise ValueError(
            f"a volume must hold labels, one whole number for each of {MAX_PHASES} phases at most, "
            f"got {len(present)} different values {present[0]} … {present[-1]}, as grey levels "
            "have; segment the stack first (bl-steer segment run), and measure its label maps"
        )
    unknown = [label for label in present if label not in named]
    if unknown:
        known = ", ".join(f"{label}:{name}" for label, name in sorted(named.items()))
        raise ValueError(
            f"every label must be a named phase ({known}), got {', '.join(map(str, unknown))} in "
            "the volume too; name them, or relabel those voxels"
        )
    if len(present) < 2 or len(named) > MAX_PHASES or len(set(named.values())) < len(named):
        raise ValueError(
            f"a volume must hold two to {MAX_PHASES} phases of different names, got "
            f"{len(present)} in the volume and the names {', '.join(named.values())}; check the "
            "labels and their names"
        )


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
            raise ValueError(
                f"labels must be whole numbers 0 … 255, got {low} … {high}; segment grey levels "
                "first (bl-steer segment run), or number the phases anew"
            )
    return planes.astype(np.uint8, copy=False)
