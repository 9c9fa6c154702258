"""Connected parts of each phase, and how much of it reaches from one face of the box to the other.

Plane by plane: only the parts that go on in the next plane are remembered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bl_steer.analysis.structure.volume import LabelVolume
from bl_steer.protocols import Array, Progress

__all__ = ["Connectivity", "connected_parts"]

OPPOSITE = (0b000011, 0b001100, 0b110000)
"""Bits of the faces at the low and the high end of z, y and x."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Connectivity:
    """Connected parts of the phases; shares are of the phase's voxels, NaN where it has none.

    Parameters
    ----------
    n_parts : shape (n_phases,)
    largest : share of the largest part, shape (n_phases,)
    isolated : share in parts that touch no face of the box, shape (n_phases,)
    percolating : share in parts that touch both faces across z, y and x, shape (n_phases, 3); NaN
        along an axis of one voxel, where to reach through says nothing
    single_voxels : parts of one voxel, shape (n_phases,)
    """

    n_parts: Ints
    largest: Array
    isolated: Array
    percolating: Array
    single_voxels: Ints


@dataclass
class _Parts:
    """Voxels, touched faces and phase of parts that may still grow."""

    sizes: Ints
    faces: NDArray[np.uint8]
    phases: NDArray[np.uint8]

    @classmethod
    def none(cls) -> _Parts:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.uint8))


def connected_parts(volume: LabelVolume, *, progress: Progress | None = None) -> Connectivity:
    """Return how each phase hangs together; voxels are joined through their faces.

    Notes
    -----
    Joined through faces alone, two phases cannot cross each other along an edge. Paths that are
    thinner than a voxel are lost.

    References
    ----------
    Hoshen & Kopelman (1976), Phys. Rev. B 14, 3438, doi 10.1103/PhysRevB.14.3438.
    """
    n_phases = len(volume.names)
    _, height, width = volume.shape
    totals = np.zeros((n_phases, 7), dtype=np.int64)
    below = np.full((height, width), 255, dtype=np.uint8)
    below_ids = np.zeros((height, width), dtype=np.int64)
    parts = _Parts.none()
    for slab in volume.slabs(progress=progress):
        for z, plane in enumerate(slab.phases, start=slab.start):
            ids = np.empty((height, width), dtype=np.int64)
            roots = _join(plane, below, below_ids, len(parts.sizes), ids)
            ends = (z == 0) | (z == volume.shape[0] - 1) << 1
            parts = _carry(plane, ids, roots, int(ends), parts, totals)
            below, below_ids = plane, ids
    _close(parts.sizes, parts.faces, parts.phases, totals)
    voxels = np.where(volume.counts, volume.counts, np.nan)
    extended = np.where(np.array(volume.shape) > 1, 1.0, np.nan)
    return Connectivity(
        totals[:, 0],
        np.asarray(totals[:, 1] / voxels),
        np.asarray(totals[:, 2] / voxels),
        np.asarray(totals[:, 3:6] / voxels[:, None] * extended),
        totals[:, 6],
    )


def _carry(
    plane: NDArray[np.uint8], ids: Ints, roots: Ints, ends: int, parts: _Parts, totals: Ints
) -> _Parts:
    """Renumber the plane's parts, take over what was known of them, and close those that ended."""
    n_open = len(parts.sizes)
    sizes = np.zeros(len(roots), dtype=np.int64)
    faces = np.zeros(len(roots), dtype=np.uint8)
    phases = np.zeros(len(roots), dtype=np.uint8)
    np.add.at(sizes, roots[:n_open], parts.sizes)
    np.bitwise_or.at(faces, roots[:n_open], parts.faces)
    phases[roots[:n_open]] = parts.phases
    present = np.zeros(len(roots), dtype=np.bool_)
    _add_plane(plane, ids, roots, ends, sizes, faces, phases, present)
    was_root = roots[:n_open] == np.arange(n_open)
    ended = np.flatnonzero(was_root & ~present[:n_open])
    _close(sizes[ended], faces[ended], phases[ended], totals)
    numbers = np.cumsum(present) - 1
    ids[:] = numbers[ids]
    return _Parts(sizes[present], faces[present], phases[present])


@njit(nogil=True, cache=True)
def _root(parents: Ints, number: int) -> int:
    while parents[number] != number:
        # Half the path is cut on the way, so that the next search is short.
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


@njit(nogil=True, cache=True)
def _join(
    plane: NDArray[np.uint8], below: NDArray[np.uint8], below_ids: Ints, n_open: int, ids: Ints
) -> Ints:
    """Number a plane's parts, those below first; return the root of each number.

    Parameters
    ----------
    ids : (Y, X), filled with numbers
    """
    height, width = plane.shape
    parents = np.arange(n_open + height * width)
    n = n_open
    for y in range(height):
        for x in range(width):
            own = -1
            if x > 0 and plane[y, x - 1] == plane[y, x]:
                own = ids[y, x - 1]
            if y > 0 and plane[y - 1, x] == plane[y, x]:
                own = _joined(parents, own, ids[y - 1, x])
            if below[y, x] == plane[y, x]:
                own = _joined(parents, own, below_ids[y, x])
            if own < 0:
                own = n
                n += 1
            ids[y, x] = own
    for number in range(n):
        parents[number] = _root(parents, number)
    return parents[:n].copy()


@njit(nogil=True, cache=True)
def _joined(parents: Ints, own: int, other: int) -> int:
    if own < 0 or own == other:
        return other
    a, b = _root(parents, own), _root(parents, other)
    low = min(a, b)
    parents[max(a, b)] = low
    return low


@njit(nogil=True, cache=True)
def _add_plane(
    plane: NDArray[np.uint8],
    ids: Ints,
    roots: Ints,
    ends: int,
    sizes: Ints,
    faces: NDArray[np.uint8],
    phases: NDArray[np.uint8],
    present: NDArray[np.bool_],
) -> None:
    """Add a plane's voxels to its parts; `ids` become those of the roots."""
    height, width = plane.shape
    for y in range(height):
        across = ends | (y == 0) << 2 | (y == height - 1) << 3
        for x in range(width):
            root = roots[ids[y, x]]
            ids[y, x] = root
            sizes[root] += 1
            faces[root] |= np.uint8(across | (x == 0) << 4 | (x == width - 1) << 5)
            phases[root] = plane[y, x]
            present[root] = True


def _close(sizes: Ints, faces: NDArray[np.uint8], phases: NDArray[np.uint8], totals: Ints) -> None:
    """Add whole parts to the totals of their phases.

    These are: number, largest, isolated, those through z, y and x, and single voxels.
    """
    np.add.at(totals[:, 0], phases, 1)
    np.maximum.at(totals[:, 1], phases, sizes)
    np.add.at(totals[:, 2], phases, np.where(faces == 0, sizes, 0))
    for axis, both in enumerate(OPPOSITE):
        np.add.at(totals[:, 3 + axis], phases, np.where(faces & both == both, sizes, 0))
    np.add.at(totals[:, 6], phases, sizes == 1)
