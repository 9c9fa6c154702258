"""Candidate against champion on the same micrographs: is the difference more than chance?

`bl_steer.analysis.segmentation.scores` tells how good one model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.scores import BLOCK_PX, confusion, iou
from bl_steer.protocols import Array

__all__ = ["Comparison", "compare"]

Labels = NDArray[np.uint8]
N_RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
"""Percentiles: a 95 % interval."""


@dataclass(frozen=True)
class Comparison:
    """Mean intersection over union of both and of their difference, with 95 % intervals.

    Parameters
    ----------
    champion, candidate, difference : value, lower and upper end; candidate minus champion
    champion_iou, candidate_iou : of each phase, NaN for one that does not occur
    by_image : difference in each micrograph
    """

    champion: tuple[float, float, float]
    candidate: tuple[float, float, float]
    difference: tuple[float, float, float]
    champion_iou: tuple[float, ...]
    candidate_iou: tuple[float, ...]
    by_image: tuple[float, ...]

    @property
    def verdict(self) -> Literal["better", "worse", "no difference shown"]:
        """What the interval of the difference says."""
        if self.difference[1] > 0:
            return "better"
        return "worse" if self.difference[2] < 0 else "no difference shown"


def compare(
    truths: Sequence[Labels],
    champion: Sequence[Labels],
    candidate: Sequence[Labels],
    n_phases: int,
    *,
    seed: int = 0,
) -> Comparison:
    """Compare two models' label maps with the truth.

    Notes
    -----
    The bootstrap draws images, then blocks of 64×64 pixels, the same for both models: what makes
    an image hard for both cancels in the difference.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 8.
    """
    if not truths:
        raise ValueError("a comparison must have a micrograph, got none; collect a hold-out")
    both = [
        np.stack([_blocks(truth, first, n_phases), _blocks(truth, other, n_phases)])
        for truth, first, other in zip(truths, champion, candidate, strict=True)
    ]
    total = np.asarray(sum(blocks.sum(axis=1) for blocks in both))
    drawn = _resampled(both, np.random.default_rng(seed))
    means = np.nanmean(iou(drawn), axis=-1)
    ends = np.percentile(means, INTERVAL, axis=0)
    apart = np.percentile(means[:, 1] - means[:, 0], INTERVAL)
    values = np.nanmean(iou(total), axis=-1)
    images = [np.nanmean(iou(blocks.sum(axis=1)), axis=-1) for blocks in both]
    return Comparison(
        champion=(float(values[0]), float(ends[0, 0]), float(ends[1, 0])),
        candidate=(float(values[1]), float(ends[0, 1]), float(ends[1, 1])),
        difference=(float(values[1] - values[0]), float(apart[0]), float(apart[1])),
        champion_iou=tuple(map(float, iou(total[0]))),
        candidate_iou=tuple(map(float, iou(total[1]))),
        by_image=tuple(float(scores[1] - scores[0]) for scores in images),
    )


def _blocks(truth: Labels, predicted: Labels, n_phases: int) -> Array:
    """Return the confusion of each block, shape (n_blocks, n_phases, n_phases)."""
    return np.stack(
        [
            confusion(truth[at], predicted[at], n_phases)
            for i in range(0, truth.shape[0], BLOCK_PX)
            for j in range(0, truth.shape[1], BLOCK_PX)
            if (at := np.s_[i : i + BLOCK_PX, j : j + BLOCK_PX])
        ]
    )


def _resampled(both: Sequence[Array], rng: np.random.Generator) -> Array:
    """Return confusions of resampled sets, shape (N_RESAMPLES, 2, n_phases, n_phases)."""
    sets = np.zeros((N_RESAMPLES, *both[0].shape[:1], *both[0].shape[2:]))
    for row in sets:
        for i in rng.integers(len(both), size=len(both)):
            n_blocks = both[i].shape[1]
            times = np.bincount(rng.integers(n_blocks, size=n_blocks), minlength=n_blocks)
            row += np.tensordot(times, both[i], axes=(0, 1))
    return sets
