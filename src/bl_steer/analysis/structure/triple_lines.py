"""Length of the lines where three phases meet, from the points where they pierce planes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.structure.blocks import Blocks, Draws, interval
from bl_steer.analysis.structure.counting import add_triangles, count
from bl_steer.analysis.structure.directions import (
    flat_range,
    flat_ratio,
    primitive_offsets,
    sphere_shares,
)
from bl_steer.analysis.structure.volume import LabelVolume
from bl_steer.protocols import Array, Progress

__all__ = ["TripleLines", "triple_line_lengths"]


@dataclass(frozen=True)
class TripleLines:
    """Lengths of the lines where three phases meet, nm.

    Parameters
    ----------
    triples : numbers of the three phases, ascending, shape (n_triples, 3)
    length_nm, low_nm, high_nm : with the 95 % interval, shape (n_triples,)
    straight_least, straight_largest : share of a straight line that is seen, in the worst
        orientations; the true length of parallel lines is between length / largest and / least
    straight_ratio : what the planes leave of each length where lines are straight and run in few
        directions, over `length_nm`, shape (n_triples,); 1 where all planes see the same
    """

    triples: NDArray[np.int64]
    length_nm: Array
    low_nm: Array
    high_nm: Array
    straight_least: float
    straight_largest: float
    straight_ratio: Array


@dataclass(frozen=True)
class _Planes:
    """Thirteen families of lattice planes, and the triangles that tile them.

    Parameters
    ----------
    normals : unit vectors (z, y, x), shape (13, 3)
    spacings_nm : between neighbouring planes of a family, shape (13,)
    vertices : of the triangles, the first vertex left out, shape (n_triangles, 2, 3)
    families : of the triangles, shape (n_triangles,)
    shares : of the triangles: 1, or ½ where the two ways to cut a rectangle are averaged
    """

    normals: Array
    spacings_nm: Array
    vertices: NDArray[np.int64] = field(repr=False)
    families: NDArray[np.int64] = field(repr=False)
    shares: Array = field(repr=False)

    def within(self, shape: tuple[int, int, int]) -> _Planes:
        """Return the families whose triangles all fit into a box, which stand for the others."""
        ends = np.concatenate([np.zeros_like(self.vertices[:, :1]), self.vertices], axis=1)
        fits = (np.ptp(ends, axis=1) < shape).all(axis=1)
        whole = np.array([fits[self.families == k].all() for k in range(len(self.normals))])
        if whole.all():
            return self
        kept = whole[self.families]
        return _Planes(
            self.normals[whole],
            self.spacings_nm[whole],
            self.vertices[kept],
            (np.cumsum(whole) - 1)[self.families[kept]],
            self.shares[kept],
        )


def triple_line_lengths(
    volume: LabelVolume,
    *,
    fills_box: bool = True,
    blocks: int = 4,
    n_draws: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> TripleLines:
    """Return the length of the lines where each three phases meet.

    Parameters
    ----------
    fills_box, blocks : as in `bl_steer.analysis.structure.areas.contact_areas`

    Notes
    -----
    ``L = 2 V Σ_f w_f P_f`` with P_f the points per area in which the lines pierce the planes of
    family f, and w_f the share of the sphere that is nearest to its normal. The families are the 13
    of lattice planes {100}, {110} and {111}. Their lattice points, that is, voxels, are joined to
    triangles; a line pierces a triangle whose three vertices lie in three phases. Rectangles are
    cut along either diagonal, and the two counts averaged. In the mean over orientations and
    positions it is unbiased where the phases are wider than a voxel. In a box of one plane its own
    family stands for all: L = 2 V P, true of isotropic lines.

    It overestimates where a phase ends in a sharp wedge: by 1 to 2 % at 120°, 3 % at 90°, 10 % at
    60°, 30 % at 40°, fourfold at 10°; `thick_parts` tells how much hangs on such parts. Voxel
    edges with three phases around them, which are often counted instead, overestimate
    by 0 to 73 % with the orientation, and by some 50 % in the mean.

    References
    ----------
    Smith & Guttman (1953), JOM 5, 81, doi 10.1007/BF03397456 (L_V = 2 P_A).
    Ohser & Mücklich (2000), Statistical Analysis of Microstructures in Materials Science, Wiley.
    """
    n_phases = len(volume.names)
    triples = np.array(list(itertools.combinations(range(n_phases), 3)), dtype=np.int64)
    triples = triples.reshape(-1, 3)
    planes = _planes(volume.voxel_size_nm).within(volume.shape)
    weights = sphere_shares(planes.normals)
    straight = flat_range(planes.normals, weights)
    if not len(triples) or not len(planes.normals):
        none = np.full(len(triples), np.nan)  # a row of voxels has no plane that lines could pierce
        return TripleLines(triples, none, none, none, *straight, np.ones(len(triples)))
    cut = Blocks.of(volume.shape, blocks)
    probe = (planes.vertices, _numbers(triples, n_phases))
    counts = count(
        volume, cut, add_triangles, probe, (len(planes.vertices), len(triples)), progress
    )
    corners = [np.vstack([np.zeros((1, 3), dtype=np.int64), two]) for two in planes.vertices]
    positions = np.stack(
        [cut.positions(corner, all_inside=fills_box) for corner in corners], axis=1
    )
    factors = (
        2 * volume.n_voxels * (planes.shares * (weights * planes.spacings_nm)[planes.families])
    )

    def length(n: Array, available: Array) -> Array:
        return np.asarray(np.einsum("t,...tk->...k", factors, n / available[..., None]))

    n, available = counts.sum(axis=0), np.maximum(positions.sum(axis=0), 1)
    total = length(n, available)
    by_family = np.zeros((len(weights), len(triples)))  # if one stood for all
    np.add.at(by_family, planes.families, (factors / available)[:, None] * n)
    by_family /= weights[:, None]
    draws = Draws.of(len(cut), n_draws, seed)
    drawn = length(draws.sums(counts), np.maximum(draws.sums(positions), 1))
    # A plane sees a line as a line sees a plane: 2 |normal · direction|.
    ratio = np.array([flat_ratio(planes.normals, weights, lengths) for lengths in by_family.T])
    return TripleLines(triples, total, *interval(total, drawn, len(cut)), *straight, ratio)


def _planes(voxel_size_nm: tuple[float, float, float]) -> _Planes:
    indices = primitive_offsets(1)
    reciprocal = indices / np.asarray(voxel_size_nm)
    lengths = np.linalg.norm(reciprocal, axis=1)
    tiles = [_triangles(index) for index in indices]
    return _Planes(
        reciprocal / lengths[:, None],
        1 / lengths,
        np.array([two for tile in tiles for two in tile], dtype=np.int64),
        np.repeat(np.arange(len(tiles)), [len(tile) for tile in tiles]),
        np.repeat([2 / len(tile) for tile in tiles], [len(tile) for tile in tiles]),
    )


def _triangles(normal: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the triangles without an obtuse angle that tile a lattice plane, one of each kind.

    Each is two edges from a vertex that no other lies above.
    """
    steps = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]
    edges = [np.array(step, dtype=np.int64) for step in steps if not normal @ step]
    triangles: dict[tuple[tuple[int, ...], ...], NDArray[np.int64]] = {}
    for first, second in itertools.combinations(edges, 2):
        # Two edges span a cell of the plane's lattice where their cross product is the primitive
        # normal; the triangle between them is half of it.
        half_cell = np.array_equal(np.abs(np.cross(first, second)), np.abs(normal))
        acute = min(first @ second, first @ (first - second), second @ (second - first)) >= 0
        if half_cell and acute:
            corners = np.stack([0 * first, first, second])
            from_top = corners - corners[np.lexsort(corners.T[::-1])[-1]]
            ordered = from_top[np.lexsort(from_top.T[::-1])]
            triangles[tuple(map(tuple, ordered.tolist()))] = ordered[:2]
    return list(triangles.values())


def _numbers(triples: NDArray[np.int64], n_phases: int) -> NDArray[np.int64]:
    table = np.full((n_phases,) * 3, -1, dtype=np.int64)
    for number, triple in enumerate(triples.tolist()):
        for a, b, c in itertools.permutations(triple):
            table[a, b, c] = number
    return table
