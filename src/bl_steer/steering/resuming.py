"""A run that was broken off, carried on: what it measured counts, and the next decision follows.

`carried_options` says with which settings, `catch_up` brings a loop to where the run ended: every
decision is made again on the stored results and compared with the record. `plans.find_hotspot` and
`plans.map_sample` do both with ``resumes=run``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np

from bl_steer.agents import AGENT_NAMES, AXIS_NAMES, Space
from bl_steer.protocols import Array
from bl_steer.runs import PointResult, Run, has_gap, sound_rows
from bl_steer.steering.dead_detector import DetectorDeadError
from bl_steer.steering.decision import Decision, same_decision
from bl_steer.steering.joint import JointSteering
from bl_steer.steering.loop import Steering
from bl_steer.steering.replays import heed, recorded_decision, times_of
from bl_steer.steering.requests import recorded_requests
from bl_steer.store import is_being_written

__all__ = ["ResumeError", "carried_options", "catch_up", "in_flight", "taking_over"]

logger = logging.getLogger(__name__)


class ResumeError(ValueError):
    """A run cannot be carried on as was asked for."""


def carried_options(run: Any, plan: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options to carry a run on with: its own, and of those given what may change.

    Parameters
    ----------
    run : to be carried on, a `bl_steer.runs.Run`
    plan : name of the plan
    given : options of the plan, None where one is left out

    Raises
    ------
    ResumeError
        For what is no run of the plan, one that is still being measured or has all its points, and
        for options that contradict it; all problems at once.
    """
    _check_run(run, plan)
    recorded = run.steering
    options = {name: _recorded(run, name) for name in given}
    problems = [
        f"{name} must be that of the run to resume, {_short(options[name])}, got {_short(value)}; "
        "leave it out"
        for name, value in given.items()
        if value is not None
        and name not in ("agent", "budget", "forbidden")
        and not _same(name, value, options[name])
    ]
    if given.get("forbidden"):
        base = {k: v for k, v in recorded["grid"].items() if k != "forbidden"}
        if Space.from_dict(base).forbid(given["forbidden"]).to_dict() != recorded["grid"]:
            problems.append("forbidden must be that of the run to resume; leave it out")
    options["forbidden"] = ()  # they are in the grid
    if "agent" in given:
        options["agent"], problem = _agent(recorded["agent"], given["agent"])
        problems += problem
    if "budget" in given:
        options["budget"], problem = _budget(run, given["budget"])
        problems += problem
    elif run.status == "success":
        problems.append(
            f"the run to resume must have points left to measure, got {run.uid[:8]}, which has all"
        )
    if problems:
        raise ResumeError("; ".join(problems))
    return options


def taking_over(run: Run, start: dict[str, Any]) -> dict[str, Any]:
    """Return a start document that also says what is taken over from an earlier run.

    Parameters
    ----------
    start : start document of the run that carries on

    Raises
    ------
    ResumeError
        For other devices, another hook or another reading of them; names everything that differs.
    """
    _check_same_devices(run, start)
    if has_gap(run.streams):
        logger.warning(
            "the record of run %s has a gap: its first %d points count, and those behind the gap "
            "are measured again; they stay in that run",
            run.uid[:8],
            run.n_complete,
        )
    unfinished = in_flight(run)
    if unfinished:
        where = ", ".join(f"{name} = {v:g}" for name, v in unfinished.items() if name != "point")
        logger.warning(
            "point %d at %s was in flight when run %s ended, and is measured now",
            unfinished["point"],
            where,
            run.uid[:8],
        )
    start["steering"] |= {
        "resumed_points": run.n_complete,
        "resumed_positions": _decided(run)[: run.n_complete].tolist(),
        "in_flight": unfinished,
    }
    # The user's: what the sample is, and the analyses that the earlier run never came to.
    return {k: run.start[k] for k in ("sample", "analyses") if k in run.start} | start


def _check_same_devices(run: Run, start: Mapping[str, Any]) -> None:
    pairs = {
        "the first detector": [list(s.get("detectors", ()))[:1] for s in (run.start, start)],
        "the axes": [list(s.get("motors", ())) for s in (run.start, start)],
        **{
            name: [s["steering"].get(name, absent) for s in (run.start, start)]
            for name, absent in (
                ("monitor", None),
                ("per_point", {"name": "expose_at"}),
                ("source", start["steering"]["source"]),
                ("angle_key", None),
                ("reduction", None),
            )
        },
        "the reductions' settings": [_digests(s["steering"]) for s in (run.start, start)],
    }
    if problems := [
        f"{name} must be that of the run to resume, {before}, got {now}; give the same again"
        for name, (before, now) in pairs.items()
        if before != now
    ]:
        raise ResumeError("; ".join(problems))


def _digests(settings: Mapping[str, Any]) -> list[str]:
    records = [settings.get("reduction_settings"), *settings.get("further_reductions", ())]
    return [record["digest"][:8] for record in records if record is not None]


def catch_up(steering: Steering | JointSteering, run: Run, results: Sequence[PointResult]) -> None:
    """Bring a loop to where a run ended: decide again, compare, and take what was measured.

    An agent of a user's own is fed with the outcomes instead: its decisions are not made again.

    Parameters
    ----------
    results : of the points that were measured to their end

    Raises
    ------
    ResumeError
        Where another point is decided than the record has: the outcomes would be put to points
        that they are not from. Where only the last bits of a decision differ, the log says so.
    """
    decisions, n_recorded = run.decisions, _n_decided(run)
    repeats = run.steering["agent"] in AGENT_NAMES
    differing = []
    requests = recorded_requests(run.streams.get("requests", {}))
    last = min(n_recorded, len(results) + 1)
    for point in range(last):
        recorded = _with_budget(recorded_decision(decisions, point), steering.budget)
        if repeats:
            heed(steering, requests.get(point, ()), recorded)
            decision = steering.decide(**times_of(recorded))
            _check_same_point(run, decision, recorded)
            if not same_decision(decision, recorded):
                differing.append(point)
        elif point < len(results):
            names = AXIS_NAMES if steering.space is None else steering.space.names
            steering.repeat(recorded.position(names))
        if point < len(results):
            with suppress(DetectorDeadError):  # the run ended for this; it gets another chance
                steering.observe(results[point])
    if repeats and last <= len(results):
        heed(steering, requests.get(last, ()), None)  # of a decision that was not made any more
    steering.go_on()
    if differing:
        logger.warning(
            "the decisions of %s are made again, but the last bits of points %s differ: the run "
            "was made with %s; what follows may differ from what it would have decided",
            run.uid[:8],
            differing,
            run.start.get("versions", "another machine"),
        )


def in_flight(run: Run) -> dict[str, Any] | None:
    """Return the point that was decided or begun, and not measured to its end; None without.

    Returns
    -------
    point : its number as ``point``, and where it is as ``x`` (and ``y`` (and ``z``))
    """
    number, decisions = run.n_complete, run.decisions
    names = Space.from_dict(run.steering["grid"]).names
    if number < _n_decided(run):
        return {"point": number} | {name: float(decisions[name][number]) for name in names}
    if number < run.n_points and not has_gap(run.streams):
        where = run.positions[number].tolist()
        return {"point": number} | dict(zip(names, where, strict=True))
    return None


def _decided(run: Run) -> Array:
    """Return the positions of all decisions, shape (n, n_axes); of a map there are none."""
    names = [name for name in AXIS_NAMES if name in run.decisions]
    return np.array([run.decisions[name] for name in names]).T


def _n_decided(run: Run) -> int:
    return sound_rows(run.streams.get("decisions", {}))


def _check_run(run: Any, plan: str) -> None:
    if not isinstance(run, Run):
        raise ResumeError(
            f"resumes must be a run, got {run!r}; open it with open_run(store, {run!r}), or call "
            "the plan in a session, which knows its store"
        )
    if run.start.get("plan_name") != plan or not run.steering:
        raise ResumeError(
            f"resumes must be a run of {plan}, got {run.uid[:8]} of "
            f"{run.start.get('plan_name')!r}; list the runs to see which there are"
        )
    if run.record is not None and is_being_written(run.record):
        raise ResumeError(
            f"resumes must be a run that has ended, got {run.uid[:8]}, which is being measured; "
            "wait for its end, or abort it"
        )


def _recorded(run: Run, name: str) -> Any:
    """Return what a run was made with, by the name of the plan's option."""
    recorded = run.steering
    if name == "min_monitor" and "source" not in recorded:
        return 0.0  # earlier versions took any count above 0 for beam
    if name == "exposure_s" and recorded.get(name) is None:
        seconds = run.exposure_s
        return seconds if seconds > 0.0 else None
    return recorded.get(name)


def _same(name: str, value: Any, recorded: Any) -> bool:
    if name == "grid":
        space = value if isinstance(value, Space) else Space.from_dict(value)
        own = space.to_dict()
        return bool(own == recorded or own | {"forbidden": recorded.get("forbidden")} == recorded)
    if name == "agent_options":
        return dict(value) == dict(recorded or {})
    return bool(value == recorded)


def _agent(recorded: str, given: Any) -> tuple[Any, list[str]]:
    if given is None or isinstance(given, str):
        if recorded in AGENT_NAMES:
            same = given in (None, recorded)
        else:
            return given, [
                f"agent must be an object of {recorded}, as in the run to resume, got {given!r}; "
                "give it: it is fed with what was measured"
            ]
    else:
        same = type(given).__name__ == recorded
    problem = f"agent must be that of the run to resume, {recorded!r}, got {given!r}; leave it out"
    return (recorded if given is None else given), [] if same else [problem]


def _budget(run: Run, given: Any) -> tuple[Any, list[str]]:
    recorded, n = int(run.steering["budget"]), run.n_complete
    budget = recorded if given is None else given
    if isinstance(budget, bool) or not isinstance(budget, Integral):
        return budget, []  # the plan has an answer to it
    if budget < recorded:
        return budget, [
            f"budget must be that of the run to resume, {recorded}, or more, got {budget}; leave "
            "it out"
        ]
    if n >= budget and run.status == "success":  # else its result is still to be recorded
        return budget, [
            f"the run to resume must have points left to measure, got {run.uid[:8]} with all its "
            f"{n}; give a budget above that to go on"
        ]
    return budget, []


def _with_budget(decision: Decision, budget: int) -> Decision:
    """Return a decision with its outcomes padded to a budget, which may be larger than its own."""
    outcomes = np.full((*decision.outcomes.shape[:-1], budget), np.nan)
    outcomes[..., : decision.outcomes.shape[-1]] = decision.outcomes[..., :budget]
    return replace(decision, outcomes=outcomes)


def _check_same_point(run: Run, decision: Decision, recorded: Decision) -> None:
    here, there = (
        [(getattr(d, name)) for name in AXIS_NAMES if getattr(d, name) == getattr(d, name)]
        for d in (decision, recorded)
    )
    if here != there:
        raise ResumeError(
            f"the decisions of a run to resume must come out as recorded, got point "
            f"{recorded.point} at {here} in place of {there} of {run.uid[:8]}; resume it with the "
            f"versions that it was made with, {run.start.get('versions')}, or start a new run"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
