"""The loop of a run, built from what its start document says of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from bl_steer import features
from bl_steer.agents import Space, make_agent
from bl_steer.diffraction import FrameAxes
from bl_steer.features.memory import Masks
from bl_steer.protocols import Agent, Feature
from bl_steer.steering.confirming import kept_looks
from bl_steer.steering.joint import JointSteering
from bl_steer.steering.loop import Steering
from bl_steer.steering.stopping.rule import StopRule

__all__ = ["agent_of", "build_loop", "build_steering"]

logger = logging.getLogger(__name__)


def build_steering(
    settings: Mapping[str, Any],
    axes: FrameAxes | Callable[[], FrameAxes],
    *,
    agent: Agent | None = None,
) -> Steering:
    """Build agent and feature from the ``steering`` entry of a run's start document.

    Parameters
    ----------
    settings : keys ``target``, ``agent`` (name), ``agent_options``, ``seed``, ``budget``,
        ``grid`` as `Space.from_dict` takes it, ``stop`` as `StopRule.parse` does, ``looks`` as
        `bl_steer.agents.looks.Looks` where the agent says how long to look, ``goal`` as
        `bl_steer.agents.mapping.goal.Goal` where it is not the maximum, ``batch``, how many points
        are decided together, where it is more than one, ``masks`` and
        ``careful``: without, as in runs of earlier versions, each pattern is judged alone, and
        noise of few counts is a hot pixel. ``scales``: whether axes of unlike units are brought to
        one, ``gives_up``: whether a place that gives nothing is left out, ``explores``: whether the
        agent looks for what may hide once it expects nothing more, ``textured``: whether it then
        measures on where it is bright, too, if the brightest outcome stands out, ``selects``:
        whether an agent that says how long to look compares spots until the one to report is
        probably right, and whether two rays on one cell are told from a peak, ``sums``: whether it
        sums the looks at a place, ``sparing``: whether members of the model without weight are left
        out, and ``exact``: whether a cell counts as measured by points at it alone; without, as in
        runs of earlier versions, they are not
    axes : coordinates of the frame's pixels, or a function that gives them once there is a pattern
    agent : an agent to use in place of the named one
    """
    space = _space(settings)
    target = str(settings["target"])
    feature: Feature = (
        features.LateFeature(target, axes, masks=_masks(settings))
        if callable(axes)
        else features.make_feature(target, axes, masks=_masks(settings))
    )
    return _loop(settings, space, agent_of(settings, space) if agent is None else agent, feature)


def build_loop(
    settings: Mapping[str, Any],
    axes: FrameAxes | Callable[[], FrameAxes],
    *,
    agent: Agent | None = None,
) -> Steering | JointSteering:
    """Build the loop of a run, whose ``target`` is a text, or a list of several.

    Parameters
    ----------
    settings : as for `build_steering`, and with several targets ``pareto``, see `JointSteering`
    axes, agent : likewise; an agent of a user's own has one target
    """
    if isinstance(settings["target"], str):
        return build_steering(settings, axes, agent=agent)
    targets, space = [str(target) for target in settings["target"]], _space(settings)
    made = features.make_features(targets, axes, masks=_masks(settings))
    loops = [_loop(settings, space, agent_of(settings, space), feature) for feature in made]
    return JointSteering(loops, targets, space=space, pareto=bool(settings.get("pareto")))


def _space(settings: Mapping[str, Any]) -> Space:
    return Space.from_dict(settings["grid"], scaled=bool(settings.get("scales", False)))


def _masks(settings: Mapping[str, Any]) -> Masks:
    if not settings.get("masks", False):
        return False
    if not settings.get("careful", False):
        return "first"
    return True if settings.get("selects", False) else "second"


def _loop(settings: Mapping[str, Any], space: Space, agent: Agent, feature: Feature) -> Steering:
    if isinstance(feature, features.RoiFeature) and feature.remark:
        logger.warning("%s", feature.remark)
    n_kept = None
    if settings.get("looks") is not None:
        n_kept = kept_looks(int(settings["budget"]), selects=bool(settings.get("selects", False)))
    return Steering(
        agent,
        feature,
        budget=int(settings["budget"]),
        seed=int(settings["seed"]),
        space=space,
        noise_per_point=bool(settings.get("noise_per_point", False)),
        gives_up=bool(settings.get("gives_up", False)),
        exact=bool(settings.get("exact", False)),
        stop=StopRule.parse(settings["stop"]) if settings.get("stop") else None,
        batch=int(settings.get("batch") or 1),
        n_kept=n_kept,
    )


def agent_of(settings: Mapping[str, Any], space: Space) -> Agent:
    """Return the named agent of a run, as the ``steering`` entry of its start document has it."""
    options = dict(settings["agent_options"])
    if settings["agent"] == "bayesian":
        for rule in ("explores", "selects", "sparing", "sums", "textured"):
            options.setdefault(rule, bool(settings.get(rule, False)))
        if settings.get("looks") is not None:
            options["looks"] = {"adds_up": False, **settings["looks"]}
        if settings.get("goal") is not None:
            options["goal"] = settings["goal"]
    return make_agent(settings["agent"], space, seed=int(settings["seed"]), **options)
