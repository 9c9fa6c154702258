"""Compiled loops that count along a volume.

They count in whole numbers, so that neither the threads nor the order of the slabs can change a
result, and release the interpreter's lock, so that the threads run side by side. `numba` compiles
each for one layout of its arguments: slabs are uint8 in C order, whatever was read.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bl_steer.analysis.structure.blocks import Blocks
from bl_steer.analysis.structure.volume import LabelVolume
from bl_steer.protocols import Progress

__all__ = ["add_pairs", "add_triangles", "add_voxels", "count"]

THREADS = 2

Counts = NDArray[np.int64]


def count(
    volume: LabelVolume,
    blocks: Blocks,
    add: Callable[..., None],
    probe: tuple[NDArray[Any], ...],
    shape: tuple[int, ...],
    progress: Progress | None = None,
) -> Counts:
    """Count along a whole volume, each slab in two halves at once.

    Parameters
    ----------
    add : `add_voxels`, `add_pairs` or `add_triangles`
    probe : what it looks for; its first array says how many planes it reaches back
    shape : of the counts of a block

    Returns
    -------
    counts : shape (n_blocks, *shape)
    """
    counts = [np.zeros((len(blocks), *shape), dtype=np.int64) for _ in range(THREADS)]
    reach = int(np.abs(probe[0][..., 0]).max())
    with ThreadPoolExecutor(THREADS) as pool:
        for slab in volume.slabs(reach, progress):
            depth = len(slab.phases)
            # Each thread counts the new planes of its part into counts of its own. It may read the
            # planes before them, which others count: nothing there is written.
            cuts = [slab.first + (depth - slab.first) * k // THREADS for k in range(THREADS + 1)]
            rows, columns, x_edges = blocks.numbers(slab.start, depth - slab.first)
            jobs = [
                pool.submit(add, slab.phases, first, last, *probe, rows, columns, x_edges, mine)
                for first, last, mine in zip(cuts, cuts[1:], counts, strict=False)
            ]
            for job in jobs:
                job.result()
    return np.asarray(sum(counts[1:], start=counts[0]))


@njit(nogil=True, cache=True)
def add_voxels(
    slab: NDArray[np.uint8],
    first: int,
    last: int,
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    x_edges: NDArray[np.int64],
    counts: Counts,
) -> None:
    """Add the voxels of each phase to their block.

    Parameters
    ----------
    offsets : not used; taken as `add_pairs` takes them
    counts : (n_blocks, n_phases), changed in place; the rest as in `add_pairs`
    """
    depth, height, _ = slab.shape
    for z in range(first, last):
        for y in range(height):
            for part in range(len(x_edges) - 1):
                tally = counts[rows[z + len(rows) - depth] + columns[y] + part]
                row = slab[z, y, x_edges[part] : x_edges[part + 1]]
                for x in range(len(row)):
                    tally[row[x]] += 1


@njit(nogil=True, cache=True)
def add_pairs(
    slab: NDArray[np.uint8],
    first: int,
    last: int,
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    x_edges: NDArray[np.int64],
    counts: Counts,
) -> None:
    """Add the pairs of unlike neighbours, each to the block of its upper voxel.

    Parameters
    ----------
    slab : numbers of the phases, (n, Y, X)
    first, last : upper voxels lie in these planes
    offsets : from the lower voxel to the upper, (n_directions, 3), z ≥ 0
    rows, columns, x_edges : as `Blocks.numbers` returns them
    counts : (n_blocks, n_directions, n_phases, n_phases), of upper and lower phase; changed in
        place; like neighbours are not counted
    """
    depth, height, width = slab.shape
    for z in range(first, last):
        for y in range(height):
            for d in range(len(offsets)):
                dz, dy, dx = offsets[d]
                if z - dz < 0 or y - dy < 0 or y - dy >= height:
                    continue
                for part in range(len(x_edges) - 1):
                    begin = max(x_edges[part], dx)
                    end = min(x_edges[part + 1], width + dx)
                    # A slab has the planes before `first` too, `rows` the new ones alone.
                    tally = counts[rows[z + len(rows) - depth] + columns[y] + part, d]
                    # Slices start at 0: the compiler drops its test for negative indices.
                    upper = slab[z, y, begin:end]
                    lower = slab[z - dz, y - dy, begin - dx : end - dx]
                    for x in range(len(upper)):
                        a = upper[x]
                        b = lower[x]
                        if a != b:
                            tally[a, b] += 1


@njit(nogil=True, cache=True)
def add_triangles(
    slab: NDArray[np.uint8],
    first: int,
    last: int,
    vertices: NDArray[np.int64],
    triples: NDArray[np.int64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    x_edges: NDArray[np.int64],
    counts: Counts,
) -> None:
    """Add the triangles whose vertices lie in three phases, each to the block of its first vertex.

    Parameters
    ----------
    slab, rows, columns, x_edges : as in `add_pairs`
    first, last : first vertices lie in these planes
    vertices : offsets of the other two from the first, (n_triangles, 2, 3), z = -1 or 0, y and x
        -1 … 1
    triples : number of each three phases, in any order, (n_phases, n_phases, n_phases)
    counts : (n_blocks, n_triangles, n_triples), changed in place
    """
    depth, height, width = slab.shape
    # A vertex as a number in the two planes of 3 × 3 around the first one, which is number 13.
    corners = vertices[..., 0] * 9 + vertices[..., 1] * 3 + vertices[..., 2] + 13
    # A voxel's phase as one bit of 16: the phases of a neighbourhood are then the bits of its OR.
    bits = (np.uint16(1) << slab[max(first - 1, 0) : last]).astype(np.uint16)
    row_bits = np.zeros(width + 2, dtype=np.uint16)
    inner = row_bits[1:-1]
    near = np.empty(18, dtype=np.uint8)
    for z in range(first, last):
        for y in range(height):
            # Most voxels have fewer than three phases within reach, and are passed by.
            inner[:] = 0
            for zz in range(max(z - 1, 0), z + 1):
                for yy in range(max(y - 1, 0), min(y + 2, height)):
                    row = bits[zz - max(first - 1, 0), yy]
                    for x in range(width):
                        inner[x] |= row[x]
            for part in range(len(x_edges) - 1):
                tally = counts[rows[z + len(rows) - depth] + columns[y] + part]
                for x in range(x_edges[part], x_edges[part + 1]):
                    seen = np.int64(row_bits[x] | row_bits[x + 1] | row_bits[x + 2])
                    # Each n & (n - 1) clears the lowest bit: after two, some are left where there
                    # were three or more.
                    seen &= seen - 1
                    if seen & (seen - 1):
                        _look_around(slab, z, y, x, near)
                        _add_unlike(near, corners, triples, tally)


@njit(nogil=True, cache=True)
def _look_around(slab: NDArray[np.uint8], z: int, y: int, x: int, near: NDArray[np.uint8]) -> None:
    """Fill in the phases within reach of a voxel, its own where that is outside the box."""
    _, height, width = slab.shape
    k = 0
    for zz in range(z - 1, z + 1):
        for yy in range(y - 1, y + 2):
            for xx in range(x - 1, x + 2):
                inside = zz >= 0 and 0 <= yy < height and 0 <= xx < width
                near[k] = slab[zz, yy, xx] if inside else slab[z, y, x]
                k += 1


@njit(nogil=True, cache=True)
def _add_unlike(
    near: NDArray[np.uint8],
    corners: NDArray[np.int64],
    triples: NDArray[np.int64],
    tally: Counts,
) -> None:
    """Add the triangles at one voxel, number 13 of those near it."""
    a = near[13]
    for t in range(len(corners)):
        b = near[corners[t, 0]]
        c = near[corners[t, 1]]
        if a != b and b != c and a != c:
            tally[t, triples[a, b, c]] += 1
