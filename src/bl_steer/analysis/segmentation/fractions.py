"""Phase fractions of segmented micrographs, each with its interval."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from bl_steer.protocols import Array

__all__ = ["Fractions", "phase_fractions"]

BLOCKS = 4
"""Blocks along each edge of a field for its own sampling error: more would be less independent."""
LEVEL = 0.95


@dataclass(frozen=True)
class Fractions:
    """Shares of the phases, of each field and of all together.

    Parameters
    ----------
    fraction, low, high : of each field, shape (n_fields, n_phases), with its 95 % interval; NaN
        where it has none
    mean, mean_low, mean_high : of all fields together, weighted by their pixels, (n_phases,)
    """

    fraction: Array
    low: Array
    high: Array
    mean: Array
    mean_low: Array
    mean_high: Array


def phase_fractions(
    labels: Iterable[NDArray[np.uint8]],
    n_phases: int,
    *,
    model_sd: Array | None = None,
    no_measurement: Collection[int] = (),
) -> Fractions:
    """Return the phase fractions of the fields of one sample.

    Parameters
    ----------
    labels : label maps (H, W), each of which is looked at once
    model_sd : standard deviation of the network's own error in the fraction of each phase, seen
        on the pairs that it was validated with, (n_phases,)
    no_measurement : numbers of the fields that the network could not judge: what it errs in them
        nobody knows, so that neither they nor all fields together have an interval

    Notes
    -----
    A field's interval speaks of the sample: how much the fraction would vary with the position of
    the field (from the scatter of 4×4 blocks, which touch but are taken as independent, so that
    structures wider than a block make it too narrow), and how far the network errs. That of all
    fields together comes from the scatter among the fields where there are three or more.
    """
    error = np.zeros(n_phases) if model_sd is None else np.asarray(model_sd)
    columns = [(_shares(f, n_phases), _block_sd(f, n_phases), float(f.size)) for f in labels]
    shares, within, pixels = (np.stack(column) for column in zip(*columns, strict=True))
    within[list(no_measurement)] = np.nan
    half = student.ppf((1 + LEVEL) / 2, BLOCKS**2 - 1) * np.hypot(within, error)
    weight = (pixels / pixels.sum())[:, None]
    mean = (weight * shares).sum(axis=0)
    spread, degrees = _spread(shares, within, weight)
    mean_half = student.ppf((1 + LEVEL) / 2, degrees) * np.hypot(spread, error)
    if no_measurement:  # they count in the mean
        mean_half = np.full(n_phases, np.nan)
    return Fractions(
        shares,
        *_interval(shares, half),
        mean,
        *_interval(mean, mean_half),
    )


def _interval(centre: Array, half: Array) -> tuple[Array, Array]:
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def _shares(labels: NDArray[np.uint8], n_phases: int) -> Array:
    return np.bincount(labels.ravel(), minlength=n_phases)[:n_phases] / labels.size


def _block_sd(labels: NDArray[np.uint8], n_phases: int) -> Array:
    """Return the standard error of a field's fractions, from the scatter of its blocks."""
    blocks = [
        block
        for rows in np.array_split(labels, min(BLOCKS, labels.shape[0]), axis=0)
        for block in np.array_split(rows, min(BLOCKS, labels.shape[1]), axis=1)
    ]
    shares = np.stack([_shares(block, n_phases) for block in blocks])
    return np.asarray(shares.std(axis=0, ddof=1 if len(blocks) > 1 else 0) / np.sqrt(len(blocks)))


def _spread(shares: Array, within: Array, weight: Array) -> tuple[Array, int]:
    """Return the standard error of the mean over fields, and its degrees of freedom."""
    n = len(shares)
    if n < 3:
        return np.sqrt((weight**2 * within**2).sum(axis=0)), n * BLOCKS**2 - n
    deviations = shares - (weight * shares).sum(axis=0)
    return np.sqrt((weight**2 * deviations**2).sum(axis=0) * n / (n - 1)), n - 1
