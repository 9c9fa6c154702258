"""How well labels agree with the truth, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.protocols import Array

__all__ = ["Score", "confusion", "confusions", "interval", "iou", "resampled", "score"]

BLOCK_PX = 64
"""Pixels of a block are resampled together: neighbours are wrong together."""
LEAST_BLOCKS = 4
"""With labelled pixels: fewer would feign certainty, so that there is no interval."""
N_RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
"""Percentiles: a 95 % interval."""


@dataclass(frozen=True)
class Score:
    """Agreement with the truth, each number with its 95 % interval, NaN where too little is known.

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
    can tell; of fewer than four blocks there is none.
    """
    if not truths:
        raise ValueError("a score must have at least one image, got none; give pairs to compare")
    blocks = [confusions(t, p, n_phases) for t, p in zip(truths, predictions, strict=True)]
    counts = np.stack([block.sum(axis=0) for block in blocks])
    total = counts.sum(axis=0)
    drawn = iou(resampled(blocks, np.random.default_rng(seed)))
    low, high = interval(drawn)
    mean_low, mean_high = interval(np.nanmean(drawn, axis=1))
    shares = counts / counts.sum(axis=(1, 2), keepdims=True)
    return Score(
        miou=float(np.nanmean(iou(total))),
        miou_low=float(mean_low),
        miou_high=float(mean_high),
        iou=iou(total),
        iou_low=low,
        iou_high=high,
        accuracy=float(np.trace(total) / total.sum()),
        fraction_bias=shares.sum(axis=1) - shares.sum(axis=2),
    )


def confusions(truth: NDArray[np.uint8], labels: NDArray[np.uint8], n_phases: int) -> Array:
    """Return the confusion of each block of 64×64 px, shape (n_blocks, n_phases, n_phases)."""
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


def resampled(blocks: Sequence[Array], rng: np.random.Generator) -> Array:
    """Return sums over sets that are drawn as the images and their blocks were.

    Parameters
    ----------
    blocks : of each image, shape (n_blocks, …, n_phases, n_phases); those without labels are no
        blocks

    Returns
    -------
    sums : shape (1000, …, n_phases, n_phases); none, (0, …), of fewer than four blocks in all
    """
    known = [block[block.any(axis=tuple(range(1, block.ndim)))] for block in blocks]
    known = [block for block in known if len(block)]
    if sum(map(len, known)) < LEAST_BLOCKS:
        return np.empty((0, *blocks[0].shape[1:]))
    sets = []
    for _ in range(N_RESAMPLES):
        chosen = rng.integers(len(known), size=len(known))
        sets.append(
            sum(
                known[i][rng.integers(len(known[i]), size=len(known[i]))].sum(axis=0)
                for i in chosen
            )
        )
    return np.asarray(sets)


def interval(drawn: Array) -> Array:
    """Return both ends of the 95 % interval, (2, …), of values (n_sets, …); NaN where none is."""
    columns = drawn.reshape(len(drawn), math.prod(drawn.shape[1:]))
    ends = np.full((2, columns.shape[1]), np.nan)
    occurs = np.isfinite(columns).any(axis=0)
    if occurs.any():
        ends[:, occurs] = np.nanpercentile(columns[:, occurs], INTERVAL, axis=0)
    return ends.reshape(2, *drawn.shape[1:])
