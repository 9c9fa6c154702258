"""How well labels agree with the truth, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.protocols import Array

__all__ = ["Score", "confusion", "iou", "score"]

BLOCK_PX = 64
"""Pixels of a block are resampled together: neighbours are wrong together."""
N_RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
"""Percentiles: a 95 % interval."""


@dataclass(frozen=True)
class Score:
    """Agreement with the truth, each number with its 95 % interval.

    Parameters
    ----------
    miou, miou_low, miou_high : intersection over union, mean over the phases
    iou, iou_low, iou_high : of each phase, shape (n_phases,)
    accuracy : share of pixels that agree
    fraction_bias : predicted minus true share of each phase, shape (n_images, n_phases)
    """

    miou: float
    miou_low: float
    miou_high: float
    iou: Array
    iou_low: Array
    iou_high: Array
    accuracy: float
    fraction_bias: Array


def confusion(truth: NDArray[np.uint8], labels: NDArray[np.uint8], n_phases: int) -> Array:
    """Return pixels by true (row) and predicted (column) phase; unlabelled truth is left out.

    >>> confusion(np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 1]], np.uint8), 2)
    array([[1., 0.], [1., 0.]])
    """
    if truth.shape != labels.shape:
        raise ValueError(
            f"truth and labels must have one shape, got {truth.shape} and {labels.shape}; compare "
            "labels with the mask of the same micrograph"
        )
    known = truth != UNLABELLED
    pairs = truth[known].astype(np.int64) * n_phases + labels[known]
    counts = np.bincount(pairs.ravel(), minlength=n_phases**2)
    return counts.reshape(n_phases, n_phases).astype(float)


def iou(counts: Array) -> Array:
    """Return the intersection over union of each phase, NaN for a phase that never occurs.

    Parameters
    ----------
    counts : shape (…, n_phases, n_phases), as `confusion` returns
    """
    both = np.diagonal(counts, axis1=-2, axis2=-1)
    either = counts.sum(axis=-1) + counts.sum(axis=-2) - both
    shares = np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
    return np.asarray(shares)


def score(
    truths: Sequence[NDArray[np.uint8]],
    predictions: Sequence[NDArray[np.uint8]],
    n_phases: int,
    *,
    seed: int = 0,
) -> Score:
    """Compare label maps with the truth, pixels of all images together.

    Parameters
    ----------
    truths, predictions : label maps (H, W), one pair an image

    Notes
    -----
    The interval is a bootstrap in two stages: images, then blocks of 64×64 pixels within each. It
    tells how the numbers would vary with other micrographs of the same kind, as far as these few
    can tell.
    """
    if not truths:
        raise ValueError("a score must have at least one image, got none; give pairs to compare")
    blocks = [_blocks(t, p, n_phases) for t, p in zip(truths, predictions, strict=True)]
    counts = np.stack([block.sum(axis=0) for block in blocks])
    total = counts.sum(axis=0)
    resampled = iou(_resampled(blocks, np.random.default_rng(seed)))
    occurs = np.isfinite(resampled).any(axis=0)
    low, high = np.full((2, n_phases), np.nan)
    low[occurs], high[occurs] = np.nanpercentile(resampled[:, occurs], INTERVAL, axis=0)
    means = np.nanmean(resampled, axis=1)
    shares = counts / counts.sum(axis=(1, 2), keepdims=True)
    return Score(
        miou=float(np.nanmean(iou(total))),
        miou_low=float(np.percentile(means, INTERVAL[0])),
        miou_high=float(np.percentile(means, INTERVAL[1])),
        iou=iou(total),
        iou_low=low,
        iou_high=high,
        accuracy=float(np.trace(total) / total.sum()),
        fraction_bias=shares.sum(axis=1) - shares.sum(axis=2),
    )


def _blocks(truth: NDArray[np.uint8], labels: NDArray[np.uint8], n_phases: int) -> Array:
    """Return the confusion of each block, shape (n_blocks, n_phases, n_phases)."""
    rows = range(0, truth.shape[0], BLOCK_PX)
    columns = range(0, truth.shape[1], BLOCK_PX)
    return np.stack(
        [
            confusion(truth[at], labels[at], n_phases)
            for i in rows
            for j in columns
            if (at := np.s_[i : i + BLOCK_PX, j : j + BLOCK_PX])
        ]
    )


def _resampled(blocks: Sequence[Array], rng: np.random.Generator) -> Array:
    """Return confusions of resampled sets, shape (N_RESAMPLES, n_phases, n_phases)."""
    sets = []
    for _ in range(N_RESAMPLES):
        chosen = rng.integers(len(blocks), size=len(blocks))
        sets.append(
            sum(
                blocks[i][rng.integers(len(blocks[i]), size=len(blocks[i]))].sum(axis=0)
                for i in chosen
            )
        )
    return np.asarray(sets)
