"""How far apart candidates are when their axes have units of their own: y in mm beside x in µm.

A distance over several axes needs them in one unit. Which is meant, the numbers alone do not say:
as they are written, counted in steps of the grid, or as shares of the ranges. Where two of these
agree they are taken; the other is left for the model to weigh by the evidence. Loads no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # it loads .spatial (1 s of a small job) when it is used

from bl_steer.agents.zones import Ball, Zone
from bl_steer.protocols import Array

__all__ = [
    "Metric",
    "check_circles",
    "each_in_its_unit",
    "metrics_of",
    "of_unlike_units",
    "plain_metric",
    "spacings",
    "unlike_axes",
]

ALIKE = 1.1
"""Ratio up to which two ways to bring the axes to one unit are one."""
FARTHEST = 10.0
"""Ratio of steps, or of ranges, beyond which numbers as they are written have no common unit."""


@dataclass(frozen=True, eq=False)
class Metric:
    """Axes in one unit, that of the first axis with more than one position.

    Attributes
    ----------
    scale : shape (d,), factors of the axes; 1 for the first that has an extent
    pitch, extent : smallest step and longest side of the candidates, in that unit
    """

    scale: Array
    pitch: float
    extent: float

    def of(self, positions: Array) -> Array:
        """Return positions, (n, d), in the one unit."""
        return np.asarray(positions * self.scale)


def of_unlike_units(lengths: Array) -> bool:
    """Return whether lengths, (d,), above 0, are so unlike that they can have no common unit."""
    return bool(lengths.max() > FARTHEST * lengths.min())


def check_circles(
    zones: Sequence[Zone],
    points: Array,
    shape: tuple[int, ...] | None,
    *,
    units: Sequence[str | None] = (),
) -> None:
    """Refuse circles on axes of unlike units, on which one radius means nothing.

    Parameters
    ----------
    zones : that must not be entered
    points, shape : as for `metrics_of`
    units : of the axes, as far as they are known

    Raises
    ------
    ValueError
        Where the axes tell different units, or both steps and ranges differ beyond `FARTHEST`.
    """
    circle = next((zone for zone in zones if isinstance(zone, Ball)), None)
    if circle is None:
        return
    why = unlike_axes(points, shape, units)
    if not why:
        return
    ellipse = [*circle.centre, *each_in_its_unit(circle.radius, points)]
    raise ValueError(
        f"a circle must lie on axes of one unit, got {circle.to_dict()} on {why}; write an ellipse "
        f'with a radius for each axis, such as {{"ellipse": {ellipse}}}'
    )


def unlike_axes(
    points: Array, shape: tuple[int, ...] | None, units: Sequence[str | None] = ()
) -> str:
    """Return which axes one length means nothing on, in a few words; empty where it means one.

    Parameters
    ----------
    points, shape : as for `metrics_of`
    units : of the axes, as far as they are known
    """
    named = [unit for unit in units if unit]
    side, (_, step) = np.ptp(points, axis=0), spacings(points, shape)
    wide, stepped = side[side > 0.0], step[step > 0.0]
    differ = len(wide) > 1 and of_unlike_units(wide)
    if shape is not None:
        differ = differ and of_unlike_units(stepped)
    if len({unit.casefold() for unit in named}) > 1:
        return f"axes in {' and '.join(named)}"
    if differ and not (named and len(named) == points.shape[1]):
        return f"axes that run over {' and '.join(f'{length:g}' for length in side)}"
    return ""


def each_in_its_unit(length: float, points: Array) -> list[float]:
    """Return a length on the axis that runs farthest as the same share of each, (d,)."""
    side = np.ptp(points, axis=0)
    lengths = length * side / max(side.max(), np.finfo(float).tiny)
    return [float(f"{each:.3g}") for each in lengths]


def spacings(points: Array, shape: tuple[int, ...] | None) -> tuple[Array, Array]:
    """Return the smallest and the mean step along each axis, (d,) each; 0 where there is none.

    Scattered points have no steps: both are 0 on each axis.
    """
    d = points.shape[1]
    if shape is None:
        return np.zeros(d), np.zeros(d)
    smallest, mean = np.zeros(d), np.zeros(d)
    for i in range(d):
        steps = np.diff(np.unique(points[:, i]))
        if len(steps):
            smallest[i], mean[i] = steps.min(), steps.sum() / len(steps)
    return smallest, mean


def plain_metric(points: Array, pitch: float) -> Metric:
    """Return the axes as they are written, as runs of earlier versions had them."""
    extent = float((points.max(axis=0) - points.min(axis=0)).max())
    return Metric(np.ones(points.shape[1]), pitch, extent)


def metrics_of(points: Array, shape: tuple[int, ...] | None) -> tuple[Metric, ...]:
    """Return the ways to bring the axes to one unit, the likeliest first.

    Parameters
    ----------
    points : shape (n, d), of every candidate
    shape : of a grid; None for scattered points

    Notes
    -----
    Steps and ranges are what they are in any units; numbers as they are written count only where
    steps and ranges are within a factor of `FARTHEST`. Two of the three that agree come first and
    leave the third for the evidence, but the written numbers against the other two: those of
    150 × 50 µm in steps of 5 agree with the steps, those of 31 × 16 steps over a square with the
    ranges. Scattered points have no steps.

    Examples
    --------
    >>> points = np.array([[x, y] for y in (0.0, 0.005) for x in (0.0, 5.0)])
    >>> [metric.scale.tolist() for metric in metrics_of(points, (2, 2))]
    [[1.0, 1000.0]]
    """
    smallest, step = spacings(points, shape)
    side = points.max(axis=0) - points.min(axis=0)
    plain, scales = np.ones(points.shape[1]), [_scale(side)]
    if shape is not None:
        scales.insert(0, _scale(step))
    agree = len(scales) > 1 and _farthest(*scales) <= ALIKE
    if all(_farthest(scale, plain) <= FARTHEST for scale in scales):
        nearest = min(_farthest(scale, plain) for scale in scales)
        if nearest <= ALIKE or shape is None:
            scales.insert(0, plain)
        elif not agree:
            scales.append(plain)
    distinct: list[Array] = []
    for scale in scales:
        if all(_farthest(scale, other) > ALIKE for other in distinct):
            distinct.append(scale)
    return tuple(
        Metric(scale, _pitch(points, shape, smallest, scale), float((side * scale).max()))
        for scale in distinct
    )


def _scale(lengths: Array) -> Array:
    """Return the factors that bring lengths, (d,), to that of the first axis that has one."""
    has = lengths > 0.0
    first = lengths[np.argmax(has)]
    scale: Array = np.where(has, first / np.where(has, lengths, 1.0), 1.0)
    return scale


def _farthest(scale: Array, other: Array) -> float:
    ratio = scale / other
    return float(ratio.max() / ratio.min())


def _pitch(points: Array, shape: tuple[int, ...] | None, smallest: Array, scale: Array) -> float:
    if shape is not None:
        steps = (smallest * scale)[smallest > 0.0]
        return float(steps.min())
    distances, _ = scipy.spatial.cKDTree(points * scale).query(points * scale, k=2)
    return float(np.median(distances[:, 1]))
