"""Candidate against champion on the same micrographs: is the difference more than chance?

`bl_steer.analysis.segmentation.scores` tells how good one model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.scores import confusions, interval, iou, resampled

__all__ = ["Comparison", "compare"]

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """Mean intersection over union of both and of their difference, with 95 % intervals.

    Parameters
    ----------
    champion, candidate, difference : value, lower and upper end, which are NaN where too little
        is known; candidate minus champion
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
    an image hard for both cancels in the difference. Of fewer than four blocks there is no
    interval, and no difference is shown.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 8.
    """
    if not truths:
        raise ValueError("a comparison must have a micrograph, got none; collect a hold-out")
    both = [
        np.stack([confusions(truth, labels, n_phases) for labels in (first, other)], axis=1)
        for truth, first, other in zip(truths, champion, candidate, strict=True)
    ]
    total = np.asarray(sum(blocks.sum(axis=0) for blocks in both))
    means = np.nanmean(iou(resampled(both, np.random.default_rng(seed))), axis=-1)
    ends, apart = interval(means), interval(means[:, 1] - means[:, 0])
    values = np.nanmean(iou(total), axis=-1)
    images = [np.nanmean(iou(blocks.sum(axis=0)), axis=-1) for blocks in both]
    return Comparison(
        champion=(float(values[0]), float(ends[0, 0]), float(ends[1, 0])),
        candidate=(float(values[1]), float(ends[0, 1]), float(ends[1, 1])),
        difference=(float(values[1] - values[0]), float(apart[0]), float(apart[1])),
        champion_iou=tuple(map(float, iou(total[0]))),
        candidate_iou=tuple(map(float, iou(total[1]))),
        by_image=tuple(float(scores[1] - scores[0]) for scores in images),
    )
