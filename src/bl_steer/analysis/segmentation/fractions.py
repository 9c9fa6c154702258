"""Phase fractions of segmented micrographs, each with its interval."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from scipy.stats import f as fisher
from scipy.stats import t as student

from bl_steer.protocols import Array

__all__ = ["Fractions", "phase_fractions"]

BLOCKS = 4
"""Blocks along each edge of a field for its own sampling error: more would be less independent."""
LEVEL = 0.95
CHANCE = 0.05, 0.01
"""Of independent fields that are taken for repeated ones by their blocks, and by their scatter."""


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
    fields together comes from the scatter among the fields where there are three or more. Fields
    that repeat each other, as the slices of a stack or shifted copies, count as the fewer
    independent ones that they are worth (`_repeats`), n copies of a field as that field alone.
    """
    error = np.zeros(n_phases) if model_sd is None else np.asarray(model_sd)
    columns = [(_shares(f, n_phases), _block_shares(f, n_phases), float(f.size)) for f in labels]
    shares, pixels = (np.stack([column[k] for column in columns]) for k in (0, 2))
    blocks = [column[1] for column in columns]
    within = np.stack([_standard_error(b) for b in blocks])
    within[list(no_measurement)] = np.nan
    half = student.ppf((1 + LEVEL) / 2, BLOCKS**2 - 1) * np.hypot(within, error)
    weight = (pixels / pixels.sum())[:, None]
    mean = (weight * shares).sum(axis=0)
    spread, degrees = _spread(shares, within, weight)
    mean_half = student.ppf((1 + LEVEL) / 2, degrees) * np.hypot(spread, error)
    if repeats := _repeats(shares, blocks, weight):
        alike = np.sqrt(repeats * (weight**2 * within**2).sum(axis=0))
        alike_half = student.ppf((1 + LEVEL) / 2, BLOCKS**2 - 1) * np.hypot(alike, error)
        mean_half = np.maximum(mean_half, alike_half)
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


def _block_shares(labels: NDArray[np.uint8], n_phases: int) -> Array:
    """Return the fractions in each block of a field, shape (rows, columns, n_phases)."""
    return np.array(
        [
            [
                _shares(block, n_phases)
                for block in np.array_split(rows, min(BLOCKS, labels.shape[1]), axis=1)
            ]
            for rows in np.array_split(labels, min(BLOCKS, labels.shape[0]), axis=0)
        ]
    )


def _standard_error(blocks: Array) -> Array:
    """Return the standard error of a field's fractions, from the scatter of its blocks."""
    each = blocks.reshape(-1, blocks.shape[-1])
    return np.asarray(each.std(axis=0, ddof=1 if len(each) > 1 else 0) / np.sqrt(len(each)))


def _repeats(shares: Array, blocks: list[Array], weight: Array) -> float:
    """Return how often each of the fields is there, 1 … n; 0 where they may be independent.

    Notes
    -----
    Without the means of rows and columns of blocks, which fields of layers share, the blocks of
    independent fields point in independent directions: the share of their squares along what they
    have in common follows a beta distribution, and is 1/n in the mean and 1 for copies. That is the
    variance of the mean over columns of blocks through a stack, over that of independent fields.
    Copies that are shifted by more than a block scatter less than their blocks would have them.
    """
    n, shape = len(blocks), blocks[0].shape
    if n < 2 or shape[:2] != (BLOCKS, BLOCKS):
        return 0.0
    if any(field.shape != shape for field in blocks):
        return 0.0
    rest = np.stack(blocks)
    rest = rest - rest.mean(axis=1, keepdims=True)
    rest -= rest.mean(axis=2, keepdims=True)
    squares = (rest**2).sum(axis=(1, 2))
    free = (BLOCKS - 1) ** 2
    length = np.sqrt(squares.sum(axis=1))
    if (length < 1e-12).any():
        return 0.0
    common = ((rest / length[:, None, None, None]).mean(axis=0) ** 2).sum()
    expected = (squares / free / BLOCKS**2).mean(axis=0).sum()
    scatter = (weight * (shares - (weight * shares).sum(axis=0)) ** 2).sum() * n / (n - 1)
    by_blocks, by_scatter = CHANCE
    if scatter < expected * fisher.ppf(by_scatter, n - 1, n * free):
        return float(n)
    if common > beta.ppf(1 - by_blocks, free / 2, free * (n - 1) / 2):
        return float(n * common)
    return 0.0


def _spread(shares: Array, within: Array, weight: Array) -> tuple[Array, int]:
    """Return the standard error of the mean over fields, and its degrees of freedom."""
    n = len(shares)
    if n < 3:
        return np.sqrt((weight**2 * within**2).sum(axis=0)), n * BLOCKS**2 - n
    deviations = shares - (weight * shares).sum(axis=0)
    return np.sqrt((weight**2 * deviations**2).sum(axis=0) * n / (n - 1)), n - 1
