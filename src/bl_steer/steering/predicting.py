"""The map that a steered run predicts, with its error, and the outline of a level in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.spatial import KDTree

from bl_steer.agents import Space, make_agent
from bl_steer.agents.ledger import MIN_OUTCOMES
from bl_steer.agents.mapping.goal import Goal
from bl_steer.protocols import Array, PredictsMap
from bl_steer.steering.loop import Steering

__all__ = ["Outline", "PredictedMap", "outline_points", "predict_outline", "predict_steered"]

COVERED = (2.5, 97.5)
"""Percentiles of the interval of an area."""


@dataclass(frozen=True)
class PredictedMap:
    """The objective at every cell, (n_cells,) each, the one row of a run's stream ``predicted``.

    In the order of the run's grid; NaN where there were too few outcomes for a model.
    """

    mean: Array
    sd: Array

    def error(self, space: Space) -> float:
        """Return the expected root mean square error outside the forbidden zones."""
        return float(np.sqrt(np.mean(self.sd[space.allowed] ** 2)))

    def range(self, space: Space) -> float:
        """Return the difference of the largest and the smallest value there."""
        return float(np.ptp(self.mean[space.allowed]))


@dataclass(frozen=True)
class Outline(PredictedMap):
    """A predicted map with the probability that each cell is above a level, (n_cells,).

    ``outline_x`` (and ``outline_y`` (and ``outline_z``)) are the points, (k,), in no order, where
    the probability is a half, on the lines between neighbouring cells.
    """

    above: Array
    outline_x: Array
    outline_y: Array
    outline_z: Array
    level: float
    inside: float
    """Share of the cells outside the forbidden zones that is above the level."""
    inside_low: float
    inside_high: float
    """Its 95 % interval."""


@runtime_checkable
class OutlinesLevels(PredictsMap, Protocol):
    """An agent whose model says where the objective is above a level."""

    def outlined(self, goal: Goal, level: float) -> tuple[Array, Array]:
        """Return each cell's probability to be above a level, (n,), and draws of their share."""
        ...


def predict_steered(steering: Steering, space: Space) -> PredictedMap:
    """Return the map that a loop's outcomes predict; of its agent's model, if it has one."""
    agent = _model_of(steering, space, PredictsMap)
    if agent is None:
        unknown = np.full(len(space), np.nan)
        return PredictedMap(unknown, unknown)
    return PredictedMap(*agent.predict(space.points))


def predict_outline(steering: Steering, space: Space, goal: Goal) -> Outline:
    """Return the map that a loop's outcomes predict, and where it crosses a level."""
    agent = _model_of(steering, space, OutlinesLevels)
    if agent is None:
        unknown, none = np.full(len(space), np.nan), np.empty(0)
        nothing = math.nan
        return Outline(
            unknown, unknown, unknown, none, none, none, nothing, nothing, nothing, nothing
        )
    mean, sd = agent.predict(space.points)
    level = goal.level_in(mean[space.allowed])
    above, draws = agent.outlined(goal, level)
    points = outline_points(space, above, mean - level)
    x, y, z = (points[:, i] if i < points.shape[1] else np.empty(0) for i in range(3))
    low, high = np.percentile(draws, COVERED)
    share = float(np.mean(above[space.allowed] > 0.5))
    return Outline(
        mean, sd, above, x, y, z, level, share, min(float(low), share), max(float(high), share)
    )


def outline_points(space: Space, above: Array, height: Array) -> Array:
    """Return where a probability crosses a half between neighbouring cells, (k, d).

    Between the two, where the predicted map crosses the level, by linear interpolation. Neighbours
    differ by a step along one axis; scattered points lie within one and a half pitches.

    Parameters
    ----------
    above, height : shape (n_cells,), probability to be above the level, and predicted map less
        level
    """
    if space.shape is not None:
        numbers = np.arange(len(space)).reshape(space.shape)
        pairs = np.concatenate(
            [
                np.stack(
                    [
                        np.delete(numbers, -1, axis).ravel(),
                        np.delete(numbers, 0, axis).ravel(),
                    ],
                    axis=1,
                )
                for axis in range(numbers.ndim)
            ]
        )
    else:
        scaled = space.metrics[0].of(space.points)
        pairs = KDTree(scaled).query_pairs(1.5 * space.metrics[0].pitch, output_type="ndarray")
    pairs = pairs[space.allowed[pairs].all(axis=1)]
    pairs = pairs[(above[pairs] > 0.5).sum(axis=1) == 1]
    first, second = height[pairs].T
    share = np.full(len(pairs), 0.5)  # where the mean is not on either side, as the median is
    np.divide(first, first - second, out=share, where=first * second < 0.0)
    start, end = (space.points[pairs[:, i]] for i in (0, 1))
    return np.asarray(start + share[:, None] * (end - start))


def _model_of(steering: Steering, space: Space, kind: Any) -> Any:
    """Return what predicts: the agent, or the default one with its outcomes; None with too few."""
    told = steering.told()
    if len(told) < MIN_OUTCOMES:
        return None
    if isinstance(steering.agent, kind):
        return steering.agent
    agent = make_agent("bayesian", space, seed=steering.seed)
    agent.ingest([{**point, "_id": number} for number, point in enumerate(told)])
    return agent if isinstance(agent, kind) else None
