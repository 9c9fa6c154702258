"""Contact areas between phases, from the changes of phase along lines in all directions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bl_steer.analysis.structure.blocks import Blocks, Draws, interval
from bl_steer.analysis.structure.counting import add_pairs, count
from bl_steer.analysis.structure.directions import Directions, flat_range
from bl_steer.analysis.structure.volume import LabelVolume
from bl_steer.protocols import Array, Progress

__all__ = ["ContactAreas", "contact_areas"]


@dataclass(frozen=True)
class ContactAreas:
    """Contact areas of all pairs of phases, nm².

    Parameters
    ----------
    area_nm2 : shape (n_phases, n_phases), symmetric, 0 on the diagonal
    low_nm2, high_nm2 : its 95 % interval; NaN where there are too few blocks
    surface_nm2, surface_low_nm2, surface_high_nm2 : of each phase with all others, (n_phases,)
    by_direction_nm2 : the area if one direction stood for all, (n_directions, n_phases, n_phases)
    directions : what the lines were
    flat_least, flat_largest : share of a flat interface that is seen, in the worst orientations;
        the true area of interfaces in one orientation is between area / largest and area / least
    """

    area_nm2: Array
    low_nm2: Array
    high_nm2: Array
    surface_nm2: Array
    surface_low_nm2: Array
    surface_high_nm2: Array
    by_direction_nm2: Array
    directions: Directions = field(repr=False)
    flat_least: float
    flat_largest: float


def contact_areas(
    volume: LabelVolume,
    *,
    n_directions: int = 13,
    fills_box: bool = True,
    blocks: int = 4,
    n_draws: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> ContactAreas:
    """Return the contact area of each pair of phases by Crofton's formula.

    Parameters
    ----------
    n_directions : 13 or 49, of which those count whose steps fit into the box: in one plane those
        within it, whose mean is that of all directions in an isotropic structure
    fills_box : the structure goes on beyond the box, so that pairs that its edges cut off are made
        up for; False for a body that lies wholly inside
    blocks : along each axis, for the intervals

    Notes
    -----
    ``A_ij = 2 V Σ_d w_d n_ij(d) / (N_d |d|)`` with n_ij the pairs of neighbours in i and j along
    offset d, N_d the pairs that could be counted, or the voxels of the box for a body inside it,
    V the volume of the box, and w_d the share of the sphere that is nearest to ±d. The weights are
    those of the physical directions, so that voxels need not be cubes. No area is counted on the
    faces of the box. In the mean over orientations and positions it is unbiased for interfaces
    that are smooth on the scale of a voxel. Films thinner than a step are stepped over: the 49
    directions are more even, but their steps are up to three voxels long.

    The interval says how much the area would change with the place of the box; it knows nothing
    of errors of the labels. Blocks should be wider than the structure.

    References
    ----------
    Ohser & Mücklich (2000), Statistical Analysis of Microstructures in Materials Science, Wiley.
    """
    directions = Directions.of(volume.voxel_size_nm, n_directions, volume.shape)
    cut = Blocks.of(volume.shape, blocks)
    n_phases = len(volume.names)
    shape = (len(directions.offsets), n_phases, n_phases)
    pairs = count(volume, cut, add_pairs, (directions.offsets,), shape, progress)
    # An interface is crossed from i to j or from j to i; which voxel is the upper one says nothing.
    both = pairs + pairs.swapaxes(2, 3)
    ends = [np.stack([0 * offset, -offset]) for offset in directions.offsets]
    # How many pairs of each direction fit into each block: near a face of the box the partner of a
    # voxel lies outside, and a pair that cannot be seen must not count as one of like phases.
    positions = np.stack([cut.positions(end, all_inside=fills_box) for end in ends], axis=1)

    def areas(n: Array, available: Array) -> Array:
        """(…, n_directions, n_phases, n_phases) to the same, if one direction stood for all."""
        # Crossings per length of line, n / (N |d|), times two are the surface per volume S_V.
        density = n / np.maximum(available, 1)[..., None, None]
        box_nm3 = volume.n_voxels * volume.voxel_nm3
        return np.asarray(2 * box_nm3 * density / directions.lengths_nm[:, None, None])

    def mean(by_direction: Array) -> Array:
        return np.asarray(np.einsum("d,...dij->...ij", directions.weights, by_direction))

    by_direction = areas(both.sum(axis=0), positions.sum(axis=0))
    draws = Draws.of(len(cut), n_draws, seed)
    # Blocks are drawn with their pairs and their positions, so that blocks at a face, which have
    # fewer positions, weigh less.
    drawn = mean(areas(draws.sums(both), draws.sums(positions)))
    area, surface = mean(by_direction), mean(by_direction).sum(axis=1)
    return ContactAreas(
        area,
        *interval(area, drawn, len(cut)),
        surface,
        *interval(surface, drawn.sum(axis=2), len(cut)),
        by_direction,
        directions,
        *flat_range(directions.units, directions.weights),
    )
