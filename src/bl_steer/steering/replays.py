"""A stored run decided again: the proof of its decisions, and the map that its model predicts.

Named in the plural because the package offers the function `replay`. To steer with patterns as
they come, use `bl_steer.steering.loop`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from bl_steer.agents import Space, make_agent
from bl_steer.agents.ledger import MIN_OUTCOMES
from bl_steer.diffraction import FrameAxes, Reduction
from bl_steer.protocols import Array, PredictsMap
from bl_steer.runs import PointResult, Run, gridded_of, has_gap
from bl_steer.steering.building import agent_of, build_loop
from bl_steer.steering.dead_detector import DetectorDeadError
from bl_steer.steering.decision import Decision, difference_of
from bl_steer.steering.doses import doses_of_runs
from bl_steer.steering.joint import JointSteering
from bl_steer.steering.loop import Steering
from bl_steer.steering.masks import recorded_masks
from bl_steer.steering.requests import Request, recorded_requests
from bl_steer.steering.seen import points_of_runs, runs_seen_by

__all__ = [
    "Differences",
    "differences",
    "differing_decisions",
    "heed",
    "predicted_map",
    "recorded_decision",
    "replay",
    "times_of",
]


def replay(
    settings: Mapping[str, Any],
    axes: FrameAxes,
    results: Iterable[PointResult | Array | None],
    *,
    seen: tuple[Array, Sequence[PointResult]] | None = None,
    doses: tuple[Array, Array] | None = None,
    requests: Mapping[int, Sequence[Request]] | None = None,
) -> Iterator[Decision]:
    """Decide again on a stored run's patterns: yields what the run must have decided.

    Not what it cost: of a run whose agent says how long to look, see `differences`.

    Parameters
    ----------
    settings : the ``steering`` entry of the run's start document
    results : of the points, in the order of measurement: see `bl_steer.runs.Run.results`; or the
        patterns alone, shape (n_pixels,) each, None for invalid ones
    seen : positions, shape (n, n_axes), and results of the earlier runs that it was told of
    doses : where these exposed, and for how long, as `bl_steer.steering.doses_of_runs` has it
    requests : of the user, see `bl_steer.steering.recorded_requests`
    """
    steering = build_loop(settings, axes)
    if seen is not None:
        steering.see(*seen, doses)
    for point, result in enumerate(results):
        heed(steering, (requests or {}).get(point, ()), None)
        yield steering.decide()
        with suppress(DetectorDeadError):  # it ended the run, which may have been carried on
            steering.observe(result)


class _Points(NamedTuple):
    decisions: list[int]
    masks: list[int]


class Differences(_Points):
    """Where a stored run, decided again, is not as it was recorded.

    Attributes
    ----------
    decisions : points whose decisions differ
    masks : numbers of points after which something else of the patterns does not count
    how : what of each of these decisions differs, by its point: another place, or numbers and by
        how much
    """

    how: dict[int, str]


def differing_decisions(
    run: Run, reduction: Reduction | None = None, *, seen: Sequence[Run] | None = None
) -> list[int]:
    """Decide again on a stored run; return the points whose decisions differ from its record.

    See `differences`, which compares what does not count as well.
    """
    return differences(run, reduction, seen=seen).decisions


def differences(
    run: Run, reduction: Reduction | None = None, *, seen: Sequence[Run] | None = None
) -> Differences:
    """Decide again on a stored run, and compare decisions and masks with its record.

    Nothing differs on the machine and with the constraints that the run was made on, whatever the
    number of threads. Elsewhere the last bits of the numbers may differ, and a choice between cells
    that are as good may turn out otherwise: `Differences.how` tells. What was measured at another
    place than is decided now counts where it was measured. Where the record has a gap, only the
    points before it can be decided again.

    Parameters
    ----------
    reduction : that the run was steered with, where it had one of its own; a grid in q is in the
        record
    seen : the earlier runs that it was told of; by default those of its store

    Raises
    ------
    ValueError
        For another reduction than the run names in its start document.
    StoreError
        Where an earlier run that it was told of is missing.
    """
    if reduction is None:
        reduction = gridded_of(run.start)
    name = None if reduction is None else type(reduction).__name__
    recorded = run.steering.get("reduction", name)
    if name != recorded:
        raise ValueError(
            f"the reduction must be that of the run to verify, {recorded}, got {name}; give the "
            "object that it was steered with: differing_decisions(run, reduction)"
        )
    table, results = run.decisions, run.results(reduction)
    if has_gap(run.streams):
        results = results[: run.n_complete]
    names = Space.from_dict(run.steering["grid"]).names
    steering = build_loop(run.steering, run.axes if reduction is None else reduction.axes)
    if run.steering.get("seen"):
        runs = runs_seen_by(run) if seen is None else seen
        earlier = points_of_runs(runs, run.start, reduction)
        told_results = earlier.scaled(run.steering["seen_scales"])
        steering.see(earlier.positions, told_results, doses_of_runs(runs, run.start))
    requests = recorded_requests(run.streams.get("requests", {}))
    masks, told = recorded_masks(run.streams.get("masks", {})), Differences([], [])
    told.how = {}
    for point in range(len(results) + 1):
        # What is new after a point is recorded before the next one; a resumed run says it again.
        is_new = steering.new_mask() is not None
        if (is_new or point in masks) and masks.get(point) != steering.mask():
            told.masks.append(point)
        if point == len(results):
            return told
        recorded = recorded_decision(table, point)
        heed(steering, requests.get(point, ()), recorded)
        if difference := difference_of(steering.decide(**times_of(recorded)), recorded):
            told.decisions.append(point)
            told.how[point] = difference
            steering.repeat(recorded.position(names))
        with suppress(DetectorDeadError):  # it ended the run, which may have been carried on
            steering.observe(results[point])
    return told


def recorded_decision(table: Mapping[str, Any], point: int) -> Decision:
    """Return a row of a run's stream ``decisions``; columns of axes that there are not are NaN."""
    return Decision(
        **{
            field.name: table[field.name][point]
            for field in fields(Decision)
            if field.name in table
        }
    )


def times_of(decision: Decision) -> dict[str, float]:
    """Return what a recorded decision knew of the time of the point before it, for `decide`."""
    return {"move_s": decision.previous_move_s, "expose_s": decision.previous_expose_s}


def heed(
    steering: Steering | JointSteering, requests: Iterable[Request], decision: Decision | None
) -> None:
    """Do what the user asked for before a decision, as it was done in the run.

    Parameters
    ----------
    decision : the recorded one, which knew the same of times; None where it was not made
    """
    times = {} if decision is None else times_of(decision)
    for request in requests:
        if request.takes_back and not steering.is_waiting:
            steering.decide(**times)  # what was taken back
        steering.heed(request)


def predicted_map(
    settings: Mapping[str, Any],
    measured: Array,
    outcomes: Array,
    noise_ratios: Array | None = None,
) -> tuple[Array, Array]:
    """Predict the objective on the whole grid from a run's outcomes.

    Parameters
    ----------
    settings : the ``steering`` entry of the run's start document
    measured : shape (n, d), positions of the valid points
    outcomes : shape (n,), their outcomes under the last basis, counts
    noise_ratios : shape (n,), variances of their noise in units of that at the run's usual beam;
        1 by default

    Returns
    -------
    mean, sd : shape (n_cells,) each, counts; of the run's own model where its agent has one, else
        of the default agent's; NaN where there are too few outcomes for a model
    """
    space = Space.from_dict(settings["grid"], scaled=bool(settings.get("scales", False)))
    if len(outcomes) < MIN_OUTCOMES:
        unknown = np.full(len(space.points), np.nan)
        return unknown, unknown
    seed = int(settings["seed"])
    try:
        agent = agent_of(settings, space)
    except ValueError:  # an agent of the user's own
        agent = make_agent("bayesian", space, seed=seed)
    if not isinstance(agent, PredictsMap):
        agent = make_agent("bayesian", space, seed=seed)
    ratios = np.ones(len(outcomes)) if noise_ratios is None else noise_ratios
    rows = zip(measured, outcomes, ratios, strict=True)
    agent.ingest(
        [
            {
                "_id": number,
                **space.point(position.tolist()),
                "objective": float(outcome),
                "noise_ratio": float(ratio),
            }
            for number, (position, outcome, ratio) in enumerate(rows)
        ]
    )
    if not isinstance(agent, PredictsMap):
        raise TypeError(f"{type(agent).__name__} must predict maps; it has no method predict")
    return agent.predict(space.points)
