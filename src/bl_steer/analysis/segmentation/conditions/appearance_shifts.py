"""Learn from training images how appearance scatters and how each change of acquisition moves it.

`acquisition` compares new micrographs with what is learnt here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from bl_steer.analysis.segmentation.conditions.appearance import (
    ASPECTS,
    LARGEST,
    SMALLEST,
    altered,
    appearance,
)
from bl_steer.protocols import Array

__all__ = ["FEWEST", "directions_of_change", "edge_px", "matched_filters", "scores_by_size"]

FEWEST = 8
"""Training images below which their spread says too little to judge appearance."""
CUTS = (2, 4)
"""Windows along the edge of a training image, of which those on its diagonal are used."""
N_ALTERED = 6  # images that are altered: their mean direction is known well enough


def scores_by_size(
    images: Sequence[NDArray[Any]],
    numbers: Array,
    weights: Mapping[str, Array],
    spread: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Return mean and spread of each score for windows of the images, and for whole images.

    Windows scatter more than whole images do, about a mean of their own: shading is removed, and
    long lengths with it. The spread of whole images, of specimens left out of the fit, is scaled.
    """
    mean = numbers.mean(axis=0)
    edge = float(np.median([edge_px(image) for image in images]))
    sizes = [
        {
            "edge_px": edge,
            "mean": dict.fromkeys(weights, 0.0),
            "spread": dict(spread),
        }
    ]
    for cut in CUTS:
        windows = (appearance(window) for image in images for window in _windows(image, cut))
        table = np.array([row for row in windows if row is not None])
        if len(table) < FEWEST:
            break
        scores = {key: (table - mean) @ weight for key, weight in weights.items()}
        uncut = {key: (numbers @ weight).std() + 1e-12 for key, weight in weights.items()}
        sizes.insert(
            0,
            {
                "edge_px": edge / cut,
                "mean": {key: float(score.mean()) for key, score in scores.items()},
                "spread": {
                    key: spread[key] * max(1.0, float(score.std() / uncut[key]))
                    for key, score in scores.items()
                },
            },
        )
    return sizes


def _windows(image: NDArray[Any], cut: int) -> Iterator[NDArray[Any]]:
    """Yield the windows on the diagonal of an image cut into `cut` times `cut`."""
    rows, columns = (n // cut for n in image.shape)
    if min(rows, columns) >= SMALLEST:
        for k in range(cut):
            yield image[k * rows : (k + 1) * rows, k * columns : (k + 1) * columns]


def directions_of_change(images: Sequence[NDArray[Any]]) -> dict[str, Array]:
    """Return how the numbers of `appearance` move with each change, the mean over images."""
    moves: dict[str, list[Array]] = {}
    for image in images[:: -(-len(images) // N_ALTERED)]:
        before = appearance(image)
        for change, other in altered(image).items():
            after = appearance(other)
            if before is not None and after is not None:
                moves.setdefault(change, []).append(after - before)
    return {change: np.mean(rows, axis=0) for change, rows in moves.items()}


def matched_filters(numbers: Array, moves: Mapping[str, Array]) -> dict[str, Array]:
    """Return the matched filter of each change: inverse covariance times move, of unit scale.

    The covariance between specimens is shrunk after Ledoit and Wolf (2004).
    """
    scale = numbers.std(axis=0, ddof=1) + 1e-9
    covariance, _ = ledoit_wolf((numbers - numbers.mean(axis=0)) / scale, assume_centered=True)
    weights = {}
    for change, move in moves.items():
        weight = np.linalg.solve(covariance, move / scale)
        weights[change] = weight / np.sqrt(weight @ covariance @ weight) / scale
    # Scale moves its two lengths alike whatever else it does. Staining moves the greys alone, and
    # how far cannot be learnt from unstained images.
    names = np.array(list(ASPECTS))
    scale_free = (names == "crossings") / scale - 1.0 * (names == "correlation_length") / scale
    return weights | {"smaller": scale_free, "greys": (names == "middle_greys") / scale}


def edge_px(image: NDArray[Any]) -> float:
    """Return the root of the area of an image that `appearance` uses, pixels."""
    rows, columns = (min(n, LARGEST) for n in image.shape)
    return float(np.sqrt(rows * columns))
