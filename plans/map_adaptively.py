"""Predict the whole map of a target from few points, chosen where they tell most of it.

    RE(map_adaptively(det, stage, monitor=monitor, budget=100))

To measure every point instead, use `plans.map_sample`; for the outline of a level,
`plans.find_level_set`.
"""

# The queue server reads the annotations of plans: they must be types here, never text, so this
# module has no `from __future__ import annotations`.

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import Space
from bl_steer.diffraction import Reduction
from bl_steer.protocols import Agent
from bl_steer.runs import Run
from bl_steer.steering import PredictedMap, Requests, Steering, predict_steered
from plans.stubs.axes import Axes
from plans.stubs.hotspots import Hotspot, hotspot_of
from plans.stubs.per_point import PerPoint
from plans.stubs.points import PointReader
from plans.stubs.steered import steered

__all__ = ["AdaptiveMap", "map_adaptively"]

DEFAULTS = {"budget": 100, "seed": 0, "agent": "bayesian", "goal": "map"}


@dataclass(frozen=True)
class AdaptiveMap(Hotspot):
    """What a run knows of the whole map: the row of its stream ``result``, and the map itself."""

    map_error: float = math.nan
    """Root mean square error that the model expects of the map outside the forbidden zones, in the
    target's unit."""
    map_range: float = math.nan
    """Difference of the largest and the smallest value of the predicted map there."""
    predicted: PredictedMap | None = field(default=None, repr=False)
    """Mean and sd at every cell, the row of the stream ``predicted``."""


def map_adaptively(
    detectors: Readable[Any] | Sequence[Readable[Any]],
    axes: Axes,
    *,
    per_point: PerPoint | Mapping[str, Any] | Sequence[Any] | None = None,
    monitor: Readable[Any] | None = None,
    target: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    grid: Space | Mapping[str, Any] | None = None,
    forbidden: Sequence[Mapping[str, Any]] = (),
    agent: str | Agent | None = None,
    agent_options: Mapping[str, Any] | None = None,
    exposure_s: float | None = None,
    min_monitor: float | None = None,
    reduction: Reduction | Sequence[Reduction] | None = None,
    mask: Any = None,
    timeout_s: float | None = None,
    resumes: Run | None = None,
    seen: Run | Sequence[Run] | None = None,
    requests: Requests | None = None,
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[AdaptiveMap]:
    """Measure where it tells most of the whole map of `target`, and predict the map.

    Parameters
    ----------
    detectors, axes, per_point, monitor, target, seed : as for `plans.find_hotspot`
    grid, forbidden, exposure_s, min_monitor, reduction, mask, timeout_s, seen : likewise
    budget : number of measurements, repeats of dead frames included; 100 by default
    agent : name of an agent, "bayesian" by default, which alone chooses for this end; with another
        name, or an object with ``suggest`` and ``ingest``, the points are its own
    agent_options, requests, also_read, md : as for `plans.find_hotspot`
    resumes : a run of this plan that was broken off; its points and settings count, and the budget
        goes on. Only a larger `budget` may be given with it

    Returns
    -------
    adaptive_map : the predicted map with its error, and its brightest measured spot

    Raises
    ------
    ValueError
        Before anything moves, for a budget, target, grid or agent that cannot work, and for
        a run that cannot be carried on (`bl_steer.steering.ResumeError`).
    bl_steer.steering.DetectorDeadError
        After several dead frames in a row; all earlier points are in the record.
    """
    return (
        yield from steered(
            "map_adaptively",
            detectors,
            axes,
            defaults=DEFAULTS,
            conclude=_map_of,
            per_point=per_point,
            monitor=monitor,
            target=target,
            budget=budget,
            seed=seed,
            grid=grid,
            forbidden=forbidden,
            agent=agent,
            agent_options=agent_options,
            exposure_s=exposure_s,
            min_monitor=min_monitor,
            reduction=reduction,
            mask=mask,
            timeout_s=timeout_s,
            resumes=resumes,
            seen=seen,
            requests=requests,
            also_read=also_read,
            md=md,
        )
    )


def _map_of(steering: Steering, reader: PointReader, settings: Mapping[str, Any]) -> AdaptiveMap:
    spot, space = hotspot_of(steering, reader), Space.from_dict(settings["grid"])
    predicted = predict_steered(steering, space)
    return AdaptiveMap(
        **vars(spot),
        map_error=predicted.error(space),
        map_range=predicted.range(space),
        predicted=predicted,
    )
