"""From shares of phases to phases, so that inserted planes look like the slices on the whole.

The most probable phase is a biased guess: thin phases lose, the more the farther a plane lies from
its slices, and boundaries come out too smooth. Slices are thin planes through the sample. So
inserted planes must on the whole have the slices' fractions (Delesse, 1847) and their length of
boundary. Both are known without a ground truth, and the choice is fitted to them. The outermost
slices bound one interval instead of two, so they count half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

__all__ = ["PhaseChoice"]

FLOOR = 1e-3
"""Of a phase's share before its logarithm is taken."""
SHARPENING_PX = 1.0
"""Standard deviation of the mean that the logarithms are compared with."""
MAX_SHARPENING = 0.5
"""More would make boundaries ragged where nothing is missing."""
HALVINGS = 6
"""Of the interval in which the sharpening is sought."""
SAMPLE = 200_000
"""Voxels from which the offsets of a distance are found, at most."""
MAX_ROUNDS = 60
MAX_OFFSET = 2.0
"""What is all but certain stays as it is, even where the slices have other fractions by chance."""
CLOSE_ENOUGH = 5e-4
"""Of the fractions, when the offsets are sought."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class PhaseChoice:
    """How the phase of a voxel follows from the shares of yz sections.

    Parameters
    ----------
    factor : planes for each interval between two slices
    offsets : (n_distances, n_phases), added to the logarithms of the shares: a row for each
        distance of a plane from the nearest slice, from 1 to half the factor
    sharpening : how much of its difference from the mean around is added to the logarithm of a
        share, within the section; it makes boundaries longer
    """

    factor: int
    offsets: NDArray[np.float64]
    sharpening: float = 0.0

    @classmethod
    def free(cls, factor: int, n_phases: int) -> Self:
        """Return the choice of the most probable phase."""
        return cls(factor, np.zeros((factor // 2, n_phases)))

    @classmethod
    def fitted(cls, shares: Values, slices: NDArray[Any], factor: int) -> Self:
        """Return the choice that gives inserted planes the fractions and boundaries of slices.

        Parameters
        ----------
        shares : (n_phases, N, H, n_sections): the mean of both directions
        slices : (n, H, n_sections): labels of the same sections
        """
        fractions = _of_intervals([(slices == k).mean((1, 2)) for k in range(len(shares))])
        boundary = float(_of_intervals(_boundaries(slices)))
        inserted = np.arange(shares.shape[1]) % factor != 0
        logarithms = _logarithms(shares)
        detail = _detail(logarithms)
        choice = cls._with_offsets(logarithms, fractions, factor)
        if _boundaries(choice._chosen(logarithms)[inserted]).mean() >= boundary:
            return choice
        # Sharpening lengthens boundaries, so the sharpening that gives the slices' length is found
        # by halving. It moves the fractions too: the offsets are fitted anew at every step.
        low, high = 0.0, MAX_SHARPENING
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            sharp = logarithms + np.float32(middle) * detail
            choice = cls._with_offsets(sharp, fractions, factor, middle)
            short = _boundaries(choice._chosen(sharp)[inserted]).mean() < boundary
            low, high = (middle, high) if short else (low, middle)
        return choice

    @classmethod
    def _with_offsets(
        cls,
        logarithms: Values,
        fractions: NDArray[np.float64],
        factor: int,
        sharpening: float = 0.0,
    ) -> Self:
        """Return the choice with offsets that keep the fractions at each distance."""
        distances = _distances(logarithms.shape[1], factor)
        offsets = []
        for distance in range(1, factor // 2 + 1):
            voxels = logarithms[:, distances == distance].reshape(len(logarithms), -1)
            if voxels.shape[1] > SAMPLE:  # drawn: even steps would take some sections only
                voxels = voxels[:, np.random.default_rng(0).choice(voxels.shape[1], SAMPLE)]
            offsets.append(offsets_for(voxels, fractions))
        return cls(factor, np.stack(offsets), sharpening)

    def __call__(self, shares: Values) -> NDArray[np.uint8]:
        """Return the phases (N, H, n_sections) for shares (n_phases, N, H, n_sections)."""
        logarithms = _logarithms(shares)
        if self.sharpening:
            logarithms += np.float32(self.sharpening) * _detail(logarithms)
        return self._chosen(logarithms)

    def _chosen(self, logarithms: Values) -> NDArray[np.uint8]:
        rows = np.maximum(_distances(logarithms.shape[1], self.factor) - 1, 0)
        offsets = self.offsets.astype(np.float32)[rows].T[:, :, None, None]
        return np.asarray((logarithms + offsets).argmax(axis=0), np.uint8)


def offsets_for(
    logarithms: NDArray[np.float32], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the offsets with which the most probable phases have the fractions of the target.

    Parameters
    ----------
    logarithms : (n_phases, n_voxels), of the shares
    target : (n_phases,)
    """
    # The fraction of a phase rises with its own offset, in steps of a voxel and at a rate that the
    # other offsets change: there is no slope to follow, only a sign. That is Rprop's case
    # (Riedmiller and Braun, 1993, DOI 10.1109/ICNN.1993.298623).
    offsets, step = np.zeros(len(target), np.float32), np.full(len(target), 0.2, np.float32)
    last = np.zeros(len(target))
    for _ in range(MAX_ROUNDS):
        best = (logarithms + offsets[:, None]).argmax(axis=0)
        missing = target - np.bincount(best, minlength=len(target)) / best.size
        if np.abs(missing).max() < CLOSE_ENOUGH:
            break
        # A step of its own for each phase: it grows while the sign stays and halves when it turns.
        step = np.clip(step * np.where(missing * last < 0, 0.5, 1.3), 1e-4, 0.5).astype(np.float32)
        offsets += step * np.sign(missing).astype(np.float32)
        # A common shift of all offsets changes no choice; without it they could drift to the limit.
        offsets = np.clip(offsets - offsets.mean(), -MAX_OFFSET, MAX_OFFSET)
        last = missing
    return offsets.astype(np.float64)


def _logarithms(shares: Values) -> Values:
    return np.log(np.maximum(shares, np.float32(FLOOR)))


def _detail(logarithms: Values) -> Values:
    """Return what differs from the mean of the voxels around, within each section (N, H)."""
    around = logarithms
    for axis in (1, 2):
        around = gaussian_filter1d(around, SHARPENING_PX, axis=axis, truncate=3.0)
    return np.asarray(logarithms - around, np.float32)


def _distances(n_planes: int, factor: int) -> NDArray[np.int64]:
    """Return how far each plane is from the nearest slice."""
    beyond = np.arange(n_planes) % factor
    return np.minimum(beyond, factor - beyond)


def _boundaries(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of neighbours along the second axis that differ, of each plane."""
    return np.asarray((labels[:, 1:] != labels[:, :-1]).mean((1, 2)))


def _of_intervals(slices: ArrayLike) -> NDArray[np.float64]:
    """Return the mean over the intervals between slices (…, n): the outer slices count half."""
    values = np.asarray(slices, np.float64)
    return np.asarray(0.5 * (values[..., 1:] + values[..., :-1]).mean(-1))
