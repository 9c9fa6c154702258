"""Directions and planes of a grid of physical voxels, with the share of the sphere each stands for.

Lines along directions count interfaces (`areas`); planes count lines where three phases meet
(`triple_lines`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.spatial import SphericalVoronoi

from bl_steer.protocols import Array

__all__ = ["DIRECTIONS", "Directions", "flat_range", "flat_ratio", "sphere_shares"]

DIRECTIONS = {13: 1, 49: 2}
"""Directions by the reach of the neighbourhood: 3³ and 5³ voxels."""
EVENNESS = 0.02
"""How much even orientations are preferred among those that explain the directions alike."""


@dataclass(frozen=True)
class Directions:
    """Directions of a grid, one of each opposite pair.

    Parameters
    ----------
    offsets : from a voxel to its neighbour, (z, y, x) in voxels, shape (n, 3); primitive
    lengths_nm : of the offsets, shape (n,)
    units : the offsets as physical unit vectors (z, y, x), shape (n, 3)
    weights : share of the sphere, shape (n,); their sum is 1
    """

    offsets: NDArray[np.int64]
    lengths_nm: Array
    units: Array
    weights: Array

    @classmethod
    def of(
        cls,
        voxel_size_nm: tuple[float, float, float],
        n: int = 13,
        shape: tuple[int, int, int] | None = None,
    ) -> Self:
        """Return the 13 or 49 directions of a voxel.

        Parameters
        ----------
        shape : voxels of the box; directions whose steps do not fit in are left out, so that the
            others stand for them too. None for any box

        Raises
        ------
        ValueError
            For another number.
        """
        if n not in DIRECTIONS:
            raise ValueError(f"directions must be 13 or 49, got {n}; 49 is slower and more even")
        offsets = primitive_offsets(DIRECTIONS[n])
        if shape is not None:
            offsets = offsets[(np.abs(offsets) < shape).all(axis=1)]
        vectors = offsets * np.asarray(voxel_size_nm)
        lengths = np.linalg.norm(vectors, axis=1)
        units = vectors / lengths[:, None]
        return cls(offsets, lengths, units, sphere_shares(units))


def primitive_offsets(reach: int) -> NDArray[np.int64]:
    """Return the offsets within a reach that are no multiple of another, one of each pair."""
    steps = range(-reach, reach + 1)
    offsets = [
        offset
        for offset in itertools.product(steps, steps, steps)
        if offset > (0, 0, 0) and math.gcd(*offset) == 1
    ]
    return np.array(offsets, dtype=np.int64)


def sphere_shares(units: Array) -> Array:
    """Return the share of the sphere that is nearest to each direction or its opposite.

    Parameters
    ----------
    units : unit vectors, one of each opposite pair, shape (n, 3)

    Notes
    -----
    Areas of the cells of the spherical Voronoi diagram of all 2n directions, over 2π. Directions in
    one plane share its circle, by the angles nearest to each; one stands alone. Means over these
    are those over the sphere where what is measured is isotropic.

    References
    ----------
    Ohser & Mücklich (2000), Statistical Analysis of Microstructures in Materials Science, Wiley.
    """
    rank = np.linalg.matrix_rank(units, tol=1e-9) if len(units) else 0
    if rank < 3:
        return _circle_shares(units) if rank == 2 else np.ones(len(units))
    both = np.concatenate([units, -units])
    areas = np.asarray(SphericalVoronoi(both, threshold=1e-9).calculate_areas())
    shares = areas[: len(units)] + areas[len(units) :]
    return np.asarray(shares / shares.sum())


def _circle_shares(units: Array) -> Array:
    """Return the share of the circle that is nearest to each direction of one plane."""
    _, _, axes = np.linalg.svd(units)
    across, along = axes[1] @ units.T, axes[0] @ units.T
    angles = np.arctan2(across, along) % math.pi
    order = np.argsort(angles)
    to_next = np.diff(angles[order], append=angles[order[0]] + math.pi)
    shares = np.empty(len(units))
    shares[order] = (to_next + np.roll(to_next, 1)) / (2 * math.pi)
    return shares


def flat_range(units: Array, weights: Array, n: int = 20_000) -> tuple[float, float]:
    """Return the least and the largest share of a flat interface (or straight line) that is seen.

    The mean over all orientations is 1; with few directions a single orientation is not. An
    interface in one orientation that measures A is between A / largest and A / least.

    Parameters
    ----------
    units, weights : of lines for interfaces, of the planes' normals for lines
    n : orientations tried, evenly over a half sphere; besides the directions themselves

    Notes
    -----
    A direction u sees 2 |u · normal| of a flat interface: of one that none crosses, nothing.
    """
    if not len(units):
        return 0.0, 0.0
    tried = _evenly(n)
    _, _, axes = np.linalg.svd(units)  # with what is normal to directions of one plane
    seen = 2 * np.abs(np.concatenate([tried, units, axes]) @ units.T) @ weights
    least = float(seen.min())
    return (0.0 if least < 1e-9 else least), float(seen.max())


def flat_ratio(units: Array, weights: Array, by_direction: Array, n: int = 200) -> float:
    """Return the area of interfaces in few orientations over their mean over the directions.

    It is 1 where all directions give the same, and between 1 / largest and 1 / least of
    `flat_range` where an interface is flat.

    Parameters
    ----------
    units, weights : of the directions
    by_direction : the area that each direction alone would give, (n_directions,)
    n : orientations of which the interface is composed, besides the directions themselves

    Notes
    -----
    A direction u sees 2 |u · normal| of a flat part. The areas of the parts, none of them negative,
    are fitted to the directions, as even as these allow.
    """
    mean = float(weights @ by_direction)
    if not mean > 0:
        return 1.0
    normals = np.concatenate([_evenly(n), units, np.eye(3)])
    seen = 2 * np.abs(units @ normals.T)
    even = np.zeros(len(normals))
    even[:n] = 1 / n
    root = np.sqrt(weights)
    parts, _ = nnls(
        np.vstack([seen * root[:, None], EVENNESS * np.eye(len(normals))]),
        np.concatenate([by_direction / mean * root, EVENNESS * even]),
    )
    return float(parts.sum() / (weights @ seen @ parts))


def _evenly(n: int) -> Array:
    """Return n unit vectors, evenly over a half sphere, shape (n, 3)."""
    k = np.arange(n) + 0.5
    z, angle = k / n, math.pi * (1 + math.sqrt(5)) * k
    ring = np.sqrt(1 - z**2)
    return np.column_stack([z, ring * np.cos(angle), ring * np.sin(angle)])
