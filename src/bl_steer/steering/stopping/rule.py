"""A rule that says which width could still hide, and how probable a better spot is.

    rule = StopRule.parse("W=20,p=0.05")
    outlook = rule.outlook(space, positions, outcomes, mean, sd)
    outlook.p_better, outlook.p_hidden, rule.is_met(outlook)

Expected improvement alone stops a search as soon as the model is sure, and a model that saw only
broad hills is sure too early. `bl_steer.steering.Steering(…, stop=rule)` asks the rule after each
outcome, through a `bl_steer.steering.stopping.lookout.Lookout`; what is to follow the search, such
as a confirmation, begins when `Steering.is_done` says so, and `Steering.outlook` tells the
probabilities then. A point that was looked at for a shorter time weighs by the model's sd there, as
its ``noise_ratio`` says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from bl_steer.agents import Space
from bl_steer.agents.scales import each_in_its_unit, unlike_axes
from bl_steer.protocols import Array

__all__ = ["LEAST_OUTCOMES", "Outlook", "StopRule"]

LEAST_OUTCOMES = 10
"""Before so many nothing is known of the sample."""
MARGIN = 0.05
"""A spot is better where it beats the best one by this share of its height, as in `score`."""
SHAPE = 0.12
"""Relative error of a hill's width: none is a Gaussian, nor round."""
FLOOR = 0.03
"""Ripple of the ground, as a share of the best spot's height."""
CALIBRATION = (1.9, 1.5)
"""Of the share s of a sample on which a hill would be unseen, logit P = 1.9 + 1.5 logit s: by
search on films with seeds below 100. A large share holds the best spot more often than a spot drawn
at random would be there, as known hills leave no room for others next to them; what is left of it
in the end, in crumbs, holds it less often."""
MAX_PAIRS = 2_000_000
"""Of cells and measured points; of a larger grid every second, third, … cell is looked at."""
LADDER = 1.1 ** np.arange(-30, 31)
"""Widths over that of the rule, of which it is told whether they could hide."""
LEAST_WEIGHT, MAX_HIDING = 0.1, 500
"""Of cells that are to be excluded, and that are looked at together."""
WIDEST = 4.0
"""Of a sample's range: a width beyond is one in other units."""
SMALLEST = 1e-4
"""A place that is better with a smaller probability than this is not counted."""


@dataclass(frozen=True)
class Outlook:
    """What a search may still have missed, by what was measured.

    Parameters
    ----------
    p_hidden : that the best spot lies where a hill of the rule's width would not have been seen
    p_model : that a spot not measured is better by the agent's model, which knows of no hill that
        was not seen
    weights : shape (n_cells,), whether a hill in the middle of each cell would not have been seen,
        0 … 1; NaN for cells that were not looked at
    """

    p_hidden: float
    p_model: float
    weights: Array

    @property
    def p_better(self) -> float:
        """The probability that there is a better spot than the best one measured."""
        return 1.0 - (1.0 - self.p_hidden) * (1.0 - self.p_model)


@dataclass(frozen=True)
class StopRule:
    """Stop when a better spot is less probable than `p`, as no hill as wide as `width` can hide.

    Parameters
    ----------
    width : full width at half maximum of the narrowest hill that matters, in the axes' units; one
        number, or one for each axis
    p : the probability that may remain

    Notes
    -----
    The signal is taken for a ground with hills that add to it, never take from it. A hill of
    full width at half maximum W at a cell c that beats the best spot, a above the ground (the
    darkest point within 2 W), by 5 % gives h = 1.05·a·exp(-4 ln2 d²/W²) at a distance d. Where a
    point was measured darker than that by many of its standard deviations, the hill is not there;
    the weight of the cell is exp(-z²/2) of the point that contradicts it most, with z in units of
    the model's sd there, of what h changes by with 12 % of W, and of 3 % of a. As nobody knows
    where the best spot lies, `p_hidden` begins with the mean weight of the cells that were not
    measured, the share of the sample on which such a hill would be unseen, and is brought to what
    was observed with such shares (`CALIBRATION`).
    `p_model` joins the probabilities by the model of places half a width apart or more.
    docs/benchmarks.md shows what was stated beside what came true, on hundreds of films.
    """

    width: tuple[float, ...]
    p: float = 0.05

    def __post_init__(self) -> None:
        width = np.ravel(self.width).astype(float)
        if not len(width) or not (np.isfinite(width) & (width > 0.0)).all():
            raise ValueError(
                f"W of stop must be a width above 0, in the axes' units, got {self.width!r}; try "
                "stop='W=20'"
            )
        if not 0.0 < self.p < 1.0:
            raise ValueError(
                f"p of stop must be a probability between 0 and 1, got {self.p!r}; try "
                "stop='W=20,p=0.05'"
            )
        object.__setattr__(self, "width", tuple(width.tolist()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that a text such as ``"W=20"`` or ``"W=20,p=0.02"`` says.

        Several widths, one for each axis, are joined by ``x``: ``"W=20x0.02"`` (µm and mm).

        >>> str(StopRule.parse("W=20"))
        'W=20,p=0.05'
        """
        values: dict[str, list[float]] = {}
        try:
            for part in text.split(","):
                name, _, value = part.partition("=")
                values[name.strip()] = [float(number) for number in value.split("x")]
            width, p = values.pop("W"), values.pop("p", [cls.p])
            if values or len(p) != 1 or len(text.split(",")) > 2:
                raise ValueError(values)
        except (AttributeError, KeyError, ValueError):
            raise ValueError(
                f"stop must be written as W=WIDTH or W=WIDTH,p=PROBABILITY, got {text!r}; try "
                "stop='W=20' for hills of 20 µm full width at half maximum"
            ) from None
        return cls(tuple(width), p[0])

    def __str__(self) -> str:
        return f"W={'x'.join(f'{w!r}'.removesuffix('.0') for w in self.width)},p={self.p!r}"

    def check(self, space: Space) -> None:
        """Refuse a rule that has not one width, or one for each axis of the space."""
        if len(self.width) not in (1, len(space.names)):
            raise ValueError(
                f"W of stop must be one width, or one for each of {', '.join(space.names)}, got "
                f"{self}; join them as W=20x20"
            )
        ranges = np.ptp(space.points, axis=0)
        if (np.broadcast_to(self.width, len(ranges)) > WIDEST * ranges).all():
            shown = " × ".join(f"{r:g}" for r in ranges)
            raise ValueError(
                f"W of stop must not exceed the sample, {shown} in the axes' units, by far, got "
                f"{self}; give the width of the narrowest hill that matters, in these units"
            )

    def check_units(self, space: Space, units: Sequence[str] = ()) -> None:
        """Refuse one width on axes of unlike units, on which it means nothing.

        Runs of earlier versions had such rules: only new ones are refused.

        Parameters
        ----------
        units : of the axes, as far as they are known
        """
        why = unlike_axes(space.points, space.shape, units) if len(self.width) == 1 else ""
        if why:
            width = "x".join(f"{w:g}" for w in each_in_its_unit(self.width[0], space.points))
            raise ValueError(
                f"W of stop must be a width for each axis where their units differ, got {self} on "
                f"{why}; give each in its axis' unit, such as stop='W={width}'"
            )

    def told_width(self, hidden: float, units: Sequence[str] = ()) -> str:
        """Return a `hidden_width` in words, with the axes' units as far as they are known.

        >>> StopRule.parse("W=.02x20").told_width(0.01, ("mm", "µm"))
        '0.01 mm x 10 µm'
        """
        widths = [hidden * width / self.width[0] for width in self.width]
        known = [*units, *[""] * len(widths)]
        return " x ".join(f"{w:.3g} {u}".rstrip() for w, u in zip(widths, known, strict=False))

    def is_met(self, outlook: Outlook) -> bool:
        """Return whether the search may end."""
        return outlook.p_better <= self.p

    def outlook(
        self,
        space: Space,
        positions: Array,
        outcomes: Array,
        mean: Array,
        sd: Array,
        *,
        takes: NDArray[np.bool_] | None = None,
    ) -> Outlook:
        """Return what may still be better than the best spot that was measured.

        Parameters
        ----------
        space : the cells
        positions, outcomes : shape (n, d) and (n,), of the points measured, n ≥ 1
        mean, sd : shape (n_cells,), what the model predicts for the cells, noise left out
        takes : shape (n,), which of the points measure the cell nearest to them; all by default
        """
        looked_at = np.arange(0, len(space), 1 + len(space) * len(positions) // MAX_PAIRS)
        squared = self._squared(space.points[looked_at], positions)
        nearest = looked_at[squared.argmin(axis=1)]
        expected, spread = mean[nearest], sd[nearest]
        is_open = space.allowed.copy()
        is_open[nearest if takes is None else nearest[takes]] = False
        best, ground = float(expected.max()), float(outcomes.min())
        height = best - ground
        weights = np.full(len(space), np.nan)
        weights[looked_at] = is_open[looked_at]
        if height > 0.0:
            flank, error = _flank(squared)
            # Of a reading and what the model makes of it the brighter: it excludes less.
            seen = ((np.maximum(outcomes, expected) - ground) / height)[:, None]
            beneath = _ground(seen, squared)
            excess = beneath + (1.0 + MARGIN - beneath) * flank - seen
            scale = np.hypot(spread[:, None] / height, np.hypot(error, FLOOR))
            worst = np.maximum((excess / scale).max(axis=0), 0.0)
            weights[looked_at] *= np.exp(-0.5 * worst**2)
        within = looked_at[space.allowed[looked_at]]
        with np.errstate(divide="ignore", invalid="ignore"):
            better = ndtr((mean - best - MARGIN * height) / sd)
        return Outlook(
            p_hidden=_calibrated(float(weights[within].mean()) if len(within) else 1.0),
            p_model=self._anywhere(space, np.where(is_open & np.isfinite(better), better, 0.0)),
            weights=weights,
        )

    def hidden_width(
        self, space: Space, positions: Array, outcomes: Array, mean: Array, sd: Array
    ) -> float:
        """Return the width up to which hills could still hide with more than `p`.

        In the axes' units, of the first axis where each has its own, to a tenth; 0 where nothing
        could hide, infinite where anything could.
        """
        low, high = -1, len(LADDER)
        while high - low > 1:
            middle = (low + high) // 2
            rule = type(self)(tuple(LADDER[middle] * np.array(self.width)), self.p)
            hides = rule.outlook(space, positions, outcomes, mean, sd).p_hidden > self.p
            low, high = (middle, high) if hides else (low, middle)
        if high == len(LADDER):
            return math.inf
        return float(LADDER[high] * self.width[0]) if high else 0.0

    def cell_to_exclude(self, space: Space, outlook: Outlook, outcomes: Array) -> int | None:
        """Return the cell whose measurement would leave the least room for a hill; None without.

        As if what is measured there were as dark as half of the points so far.
        """
        hiding = np.flatnonzero(outlook.weights > LEAST_WEIGHT)
        if not len(hiding):
            return None
        hiding = hiding[:: 1 + len(hiding) // MAX_HIDING]
        points = space.points[hiding]
        flank, error = _flank(self._squared(points, points))
        height = float(outcomes.max() - outcomes.min()) or 1.0
        dark = float(np.median(outcomes) - outcomes.min()) / height
        z = np.maximum(((1.0 + MARGIN) * flank - dark) / np.hypot(error, FLOOR), 0.0)
        # No product of matrices: its last bits depend on the number of threads, and so would ties.
        gain = ((1.0 - np.exp(-0.5 * z**2)) * outlook.weights[hiding]).sum(axis=1)
        return int(hiding[np.argmax(gain)])

    def _squared(self, points: Array, positions: Array) -> Array:
        """Return squared distances in widths, shape (n_positions, n_points)."""
        width = np.broadcast_to(self.width, points.shape[1])
        squared = np.zeros((len(positions), len(points)))
        for a, b, w in zip(positions.T, points.T, width, strict=True):
            squared += np.subtract.outer(a / w, b / w) ** 2
        return squared

    def _anywhere(self, space: Space, better: Array) -> float:
        """Return the probability of a better spot at one of the places half a width apart."""
        likely = better > SMALLEST
        none, left, points = 1.0, better[likely], space.points[likely]
        while len(left) and none > SMALLEST:
            place = int(np.argmax(left))
            none *= 1.0 - float(left[place])
            apart = self._squared(points, points[place : place + 1])[0] > 0.25
            left, points = left[apart], points[apart]
        return 1.0 - none


def _flank(squared: Array) -> tuple[Array, Array]:
    """Return how high a hill of height 1 is at squared distances in its widths, and its error.

    With h = exp(-4 ln2 d²/W²), dh/d(ln W) = -2 h ln h.
    """
    exponent = 4.0 * math.log(2.0) * squared
    flank = np.exp(-exponent)
    return flank, 2.0 * SHAPE * flank * exponent


def _ground(seen: Array, squared: Array) -> Array:
    """Return what a hill in each cell would stand on, shape (n_cells,): 0 where that is unknown.

    The darkest point within two widths, if there is one that the hill itself does not reach.
    """
    near = np.where(squared <= 4.0, seen, np.inf).min(axis=0)
    return np.where(((squared >= 1.0) & (squared <= 4.0)).any(axis=0), near, 0.0)


def _calibrated(share: float) -> float:
    """Return the probability that the best spot is in a share of the sample (Platt scaling)."""
    if not 0.0 < share < 1.0:
        return share
    offset, slope = CALIBRATION
    return float(expit(offset + slope * logit(share)))
