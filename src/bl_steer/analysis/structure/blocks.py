"""Blocks of a volume, and intervals from drawing them again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["Blocks", "Draws", "interval"]

MIN_EDGE = 8
"""Voxels along a block's edge, at least."""
MIN_BLOCKS = 8
"""With fewer blocks there is no interval."""
LEVEL = (2.5, 97.5)
"""Percentiles of the interval: 95 %."""


@dataclass(frozen=True)
class Blocks:
    """A box cut into blocks of nearly equal size, numbered in C order.

    Parameters
    ----------
    edges : first voxel of each block along z, y, x, and the end of the box
    """

    edges: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, shape: tuple[int, int, int], per_axis: int) -> Self:
        """Cut every axis in so many parts, in fewer where they would be under 8 voxels."""
        parts = [max(1, min(per_axis, n // MIN_EDGE)) for n in shape]
        z, y, x = (
            np.array([n * k // part for k in range(part + 1)], dtype=np.int64)
            for n, part in zip(shape, parts, strict=True)
        )
        return cls((z, y, x))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Blocks along z, y, x."""
        z, y, x = (len(edges) - 1 for edges in self.edges)
        return z, y, x

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    def numbers(
        self, start: int, depth: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return what finds a voxel's block: a number for each plane, for each y, and x edges.

        The block of (z, y, x) is rows[z] + columns[y] + the part of x.

        Parameters
        ----------
        start, depth : z of the first plane, and the number of planes
        """
        _, n_y, n_x = self.shape
        z = np.searchsorted(self.edges[0], start + np.arange(depth), side="right") - 1
        y = np.searchsorted(self.edges[1], np.arange(self.edges[1][-1]), side="right") - 1
        return z * (n_y * n_x), y * n_x, self.edges[2]

    def positions(self, vertices: NDArray[np.int64], *, all_inside: bool) -> NDArray[np.int64]:
        """Return how often a probe can be put down with its first vertex in each block.

        Parameters
        ----------
        vertices : offsets (z, y, x) of the probe's vertices, shape (k, 3)
        all_inside : leave out the positions where another vertex lies outside the box

        Returns
        -------
        positions : shape (n_blocks,)
        """
        nowhere = 0 * vertices[0]
        low, high = (
            (vertices.min(axis=0), vertices.max(axis=0)) if all_inside else (nowhere, nowhere)
        )
        free = []
        for edges, before, after in zip(self.edges, low, high, strict=True):
            inside = np.clip(edges, min(-before, edges[-1]), max(edges[-1] - after, 0))
            free.append(np.diff(inside))
        z, y, x = free
        return np.asarray(np.einsum("i,j,k->ijk", z, y, x).ravel())


@dataclass(frozen=True)
class Draws:
    """How often each block was drawn, with replacement: one draw a row.

    Parameters
    ----------
    times : shape (n_draws, n_blocks); no rows where there are too few blocks

    References
    ----------
    Efron (1979), Ann. Statist. 7, 1, doi 10.1214/aos/1176344552.
    Hall (1985), Stoch. Proc. Appl. 20, 231, doi 10.1016/0304-4149(85)90212-1 (spatial blocks).
    """

    times: Array

    @classmethod
    def of(cls, n_blocks: int, n_draws: int, seed: int) -> Self:
        """Draw as many blocks as there are, `n_draws` times."""
        if n_blocks < MIN_BLOCKS:
            return cls(np.zeros((0, n_blocks)))
        rng = np.random.default_rng(seed)
        equal = np.full(n_blocks, 1 / n_blocks)
        return cls(rng.multinomial(n_blocks, equal, size=n_draws).astype(float))

    def sums(self, counts: NDArray[np.int64]) -> Array:
        """Return the sums over the drawn blocks: (n_blocks, …) to (n_draws, …).

        Sums of whole numbers below 2^53 are exact, hence do not depend on their order.
        """
        flat = counts.reshape(len(counts), -1).astype(float)
        return np.asarray((self.times @ flat).reshape(len(self.times), *counts.shape[1:]))


def interval(
    estimate: Array, draws: Array, n_blocks: int, *, most: float = np.inf
) -> tuple[Array, Array]:
    """Return the 95 % interval of amounts from their values in the draws; NaN without any.

    Parameters
    ----------
    estimate : shape (…), 0 or more
    draws : shape (n_draws, …)
    most : that an amount can be: 1 for a fraction

    Notes
    -----
    Percentiles, moved away from the estimate by √(n / (n − 1)), since drawing among n blocks
    underestimates their variance by (n − 1) / n; they end at 0, below which there is no amount,
    and at the most.
    """
    if not len(draws):
        return np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
    low, high = np.percentile(draws, LEVEL, axis=0)
    widen = np.sqrt(n_blocks / (n_blocks - 1))
    below, above = estimate - widen * (estimate - low), estimate + widen * (high - estimate)
    return np.clip(below, 0.0, most), np.clip(above, 0.0, most)
