"""Find where a target crosses a level: the outline of a phase, a grain or a damaged region.

    RE(find_level_set(det, stage, monitor=monitor, level="50%", budget=100))

Points are chosen where they tell most of the outline. For the whole map, use
`plans.map_adaptively`; for the brightest spot, `plans.find_hotspot`.
"""

# The queue server reads the annotations of plans: they must be types here, never text, so this
# module has no `from __future__ import annotations`.

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import Space
from bl_steer.agents.mapping.goal import Goal
from bl_steer.diffraction import Reduction
from bl_steer.protocols import Agent
from bl_steer.runs import Run
from bl_steer.steering import Outline, Requests, Steering, predict_outline, remark_on_level
from plans.stubs.axes import Axes
from plans.stubs.hotspots import Hotspot, hotspot_of
from plans.stubs.per_point import PerPoint
from plans.stubs.points import PointReader
from plans.stubs.steered import steered

__all__ = ["LevelSet", "find_level_set"]

logger = logging.getLogger(__name__)

DEFAULTS = {"budget": 100, "seed": 0, "agent": "bayesian", "goal": "level=50%"}


@dataclass(frozen=True)
class LevelSet(Hotspot):
    """What a run knows of where its target is above a level: the row of its stream ``result``."""

    level: float = math.nan
    """In the target's unit, also where a share of the range was asked for."""
    inside: float = math.nan
    """Share of the cells outside the forbidden zones that is above the level."""
    inside_low: float = math.nan
    inside_high: float = math.nan
    """Its 95 % interval."""
    predicted: Outline | None = field(default=None, repr=False)
    """Predicted map, probability to be above the level, and the outline's points: the row of the
    stream ``predicted``."""


def find_level_set(
    detectors: Readable[Any] | Sequence[Readable[Any]],
    axes: Axes,
    *,
    level: str | float | None = None,
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
) -> MsgGenerator[LevelSet]:
    """Measure where it tells most of the outline on which `target` crosses a level.

    Parameters
    ----------
    level : in the target's unit, or as ``"50%"``, its share of the range of the predicted map, from
        the smallest value to the largest; "50%" by default
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
    level_set : the share of the sample above the level with its interval, the outline, the
        predicted map and the brightest measured spot

    Raises
    ------
    ValueError
        Before anything moves, for a level, budget, target, grid or agent that cannot work, and for
        a run that cannot be carried on (`bl_steer.steering.ResumeError`).
    bl_steer.steering.DetectorDeadError
        After several dead frames in a row; all earlier points are in the record.
    """
    return (
        yield from steered(
            "find_level_set",
            detectors,
            axes,
            defaults=DEFAULTS,
            conclude=_level_set_of,
            goal=None if level is None else str(Goal.at_level(level)),
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


def _level_set_of(steering: Steering, reader: PointReader, settings: Mapping[str, Any]) -> LevelSet:
    spot, space = hotspot_of(steering, reader), Space.from_dict(settings["grid"])
    outline = predict_outline(steering, space, Goal.parse(settings["goal"]))
    measured = [float(point["objective"]) for point in steering.told()]
    remark = remark_on_level(outline.level, np.append(outline.mean[space.allowed], measured))
    if remark:
        logger.warning("%s", remark)
    return LevelSet(
        **{**vars(spot), "remark": "; ".join(filter(None, (spot.remark, remark)))},
        level=outline.level,
        inside=outline.inside,
        inside_low=outline.inside_low,
        inside_high=outline.inside_high,
        predicted=outline,
    )
