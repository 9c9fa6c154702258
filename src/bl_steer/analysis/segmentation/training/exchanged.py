"""Masks of a set that say the contrary of the others: which of two phases is the brighter one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from bl_steer.analysis.grey_levels import mean_and_deviation
from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.analysis.segmentation.training.pairs import Labelled
from bl_steer.protocols import Array

__all__ = ["exchanged_phases"]

APART = 0.5
"""Of the deviation of the labelled grey levels, that the means of two phases differ by where one of
them is the brighter one: 80 simulated fields have .55 to 2.8, and 18 of a superalloy .76 to 2.4."""
FEWEST = 3
"""Pairs that agree, and are more than those that say the contrary."""
LEAST_PX = 50
"""Pixels of a phase whose mean is looked at."""


def exchanged_phases(
    pairs: Sequence[Labelled], phases: Sequence[str]
) -> Iterator[tuple[list[int], str]]:
    """Yield which pairs contradict most others, and what is seen in them; each pair once.

    Parameters
    ----------
    pairs : micrographs (H, W) and labels (H, W), of one kind
    phases : names, in the order of the labels

    Examples
    --------
    >>> labels = np.repeat([[0, 1]], 60, axis=0).repeat(2, axis=1)
    >>> list(exchanged_phases([(labels, labels)] * 3 + [(labels, 1 - labels)], ["a", "b"]))[0][0]
    [3]
    """
    means = np.array([_means(pair, len(phases)) for pair in pairs]).reshape(-1, len(phases))
    contrary: dict[int, tuple[float, int, int, int]] = {}
    for one, other in combinations(range(len(phases)), 2):
        apart = means[:, one] - means[:, other]
        brighter, darker = np.flatnonzero(apart > APART), np.flatnonzero(apart < -APART)
        most, few = (brighter, darker) if len(brighter) > len(darker) else (darker, brighter)
        if len(most) < FEWEST or len(most) == len(few):
            continue
        first, second = (one, other) if most is brighter else (other, one)
        for pair in few.tolist():
            told = (abs(float(apart[pair])), first, second, len(most))
            contrary[pair] = max(told, contrary.get(pair, told))
    for _, first, second, n in sorted({(0.0, *told[1:]) for told in contrary.values()}):
        yield (
            sorted(pair for pair, told in contrary.items() if told[1:] == (first, second, n)),
            f"{phases[first]} is darker than {phases[second]} here, and brighter in {n} other "
            "pairs: so does a mask look that was painted with phases exchanged, or an image that "
            "was inverted; look at both",
        )


def _means(pair: Labelled, n_phases: int) -> Array:
    """Return the mean grey level of each phase in units of the deviation, NaN of a scant one."""
    image, labels = pair
    known = (labels != UNLABELLED) & np.isfinite(image)
    means = np.full(n_phases, np.nan)
    if not known.any():
        return means
    mean, deviation = mean_and_deviation(image[known])
    for phase in range(n_phases):
        own = image[known & (labels == phase)]
        if deviation > 0 and own.size >= LEAST_PX:
            means[phase] = (own.mean(dtype=np.float64) - mean) / deviation
    return means
