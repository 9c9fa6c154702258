"""Trials on films with a known truth, and on recorded maps: demo, find, replay, figure 1.

Each returns its report, which `bl_steer.cli` prints and writes as JSON.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer import plotting
from bl_steer.features import DEFAULT_TARGET
from bl_steer.runs import durations_of, open_run
from bl_steer.session import epics, open_session
from bl_steer.steering import FrontSpot
from bl_steer.trials.trial import (
    Trial,
    agent_of,
    check_trial,
    replay_trials,
    samples_of,
    steer,
    truth_of,
    y_in_x,
)
from simulators.film import SigeFilm, true_map

__all__ = ["demo", "find", "find_on_epics", "paper_figure_1", "replay"]


def find(
    sample: str,
    *,
    seed: int,
    budget: int,
    target: str | list[str] | None,
    pareto: bool | None = None,
    agent: str,
    data_dir: Path,
    exposure_s: float,
    stop: str | None = None,
    mask: NDArray[np.bool_] | None = None,
    exposure: str | None = None,
    seen: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Find point A on a simulated film; return what ``bl-steer find --json`` writes."""
    film = SigeFilm(sample, seed=seed)
    target = target or DEFAULT_TARGET
    check_trial(
        film,
        target=target,
        budget=budget,
        agent=agent,
        exposure_s=exposure_s,
        pareto=pareto,
        stop=stop,
    )
    truth = truth_of(film, target, exposure_s=exposure_s)
    with open_session(film, data_dir=data_dir, exposure_s=exposure_s) as session:
        trial = steer(
            session,
            truth,
            target=target,
            pareto=pareto,
            budget=budget,
            seed=seed,
            agent=agent,
            exposure_s=exposure_s,
            stop=stop,
            mask=mask,
            exposure=exposure,
            seen=seen,
        )
    return find_report(sample, seed, len(film.grid[0]), trial)


def find_on_epics(
    *,
    prefix: str | None,
    axes: Path | None,
    seed: int,
    budget: int,
    target: str | list[str] | None,
    pareto: bool | None = None,
    agent: str,
    data_dir: Path,
    exposure_s: float,
    stop: str | None = None,
    mask: NDArray[np.bool_] | None = None,
    exposure: str | None = None,
    seen: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Find the brightest spot on EPICS; return what ``bl-steer find --epics --json`` writes.

    The points are those of `find` for the same seed, where `bl-steer ioc` serves the same film.
    """
    name, options = agent_of(agent)
    with open_session(epics(axes, prefix=prefix), data_dir=data_dir) as session:
        began = time.monotonic()
        uid, hotspot = session.run(
            session.find_hotspot(
                target=target or DEFAULT_TARGET,
                pareto=pareto,
                budget=budget,
                seed=seed,
                agent=name,
                agent_options=options,
                exposure_s=exposure_s,
                stop=stop,
                mask=mask,
                exposure=exposure,
                seen=seen,
            )
        )
        durations = durations_of(open_run(session.store, uid))
    return {
        "seed": seed,
        "best_x_um": hotspot.best_x,
        "best_y_um": hotspot.best_y,
        "best_value": hotspot.best_value,
        "best_sd": hotspot.best_sd,
        "n_measured": hotspot.n_measured,
        "n_invalid": hotspot.n_invalid,
        "confirmed": hotspot.confirmed,
        "stop_reason": hotspot.stop_reason,
        **_probable(hotspot),
        **_of_targets([_spot(spot) for spot in (hotspot, *hotspot.others)], hotspot.front),
        "duration_s": time.monotonic() - began,
        "durations": durations.to_dict(),
        "run_uid": uid,
    }


def find_report(preset: str, seed: int, grid_points: int, trial: Trial) -> dict[str, Any]:
    """Return a trial under the stable keys of ``find --json``."""
    return {
        "preset": preset,
        "seed": seed,
        "grid_points": grid_points,
        **_scores(trial),
        "best_x_um": trial.best_x,
        "best_y_um": trial.best_y,
        "true_x_um": trial.score.true_x,
        "true_y_um": trial.score.true_y,
        "confirmed": trial.confirmed,
        "time_to_found_s": _last([t.time_to_found_s for t in (trial, *trial.others)]),
        "beam_time_s": trial.beam_time_s,
        "grid_time_s": trial.grid_time_s,
        "speedup": trial.grid_time_s / max(trial.beam_time_s, 1.0),  # nothing may be left to do
        "decision_cpu_s_median": trial.decision_cpu_s_median,
        "stop_reason": trial.stop_reason,
        **_probable(trial),
        **_of_targets([_scored_spot(t) for t in (trial, *trial.others)], trial.front),
        "run_uid": trial.run_uid,
    }


def _scores(trial: Trial) -> dict[str, Any]:
    """Return the scores of a trial; with several targets, when the last of them was found."""
    scores = [t.score for t in (trial, *trial.others)]
    return {
        "n_measured": trial.score.n_measured,
        "n_distinct": trial.score.n_distinct,
        "n_to_found": _last([s.n_to_found for s in scores]),
        "n_to_95": _last([s.n_to_95 for s in scores]),
        "n_to_best_cell": _last([s.n_to_best_cell for s in scores]),
        "found": all(s.found for s in scores),
    }


def _last(when: Sequence[Any]) -> Any:
    """Return when the last of several was found; None if one never was."""
    return None if None in when else max(when)


def _of_targets(spots: list[dict[str, Any]], front: Sequence[FrontSpot]) -> dict[str, Any]:
    """Return what was found of each of several targets; nothing for one."""
    rows = [
        {"x_um": s.x, "y_um": s.y, "values": s.values.tolist(), "sds": s.sds.tolist()}
        for s in front
    ]
    report = {"targets": spots, "front": rows} if rows else {"targets": spots}
    return report if len(spots) > 1 else {}


def _spot(found: Any) -> dict[str, Any]:
    """Return the spot of one of several targets."""
    return {
        "target": found.target,
        "best_x_um": found.best_x,
        "best_y_um": found.best_y,
        "best_value": found.best_value,
        "best_sd": found.best_sd,
        **_probable(found),
    }


def _scored_spot(trial: Trial) -> dict[str, Any]:
    return {
        **_spot(trial),
        "true_x_um": trial.score.true_x,
        "true_y_um": trial.score.true_y,
        "n_to_found": trial.score.n_to_found,
        "found": trial.score.found,
        "time_to_found_s": trial.time_to_found_s,
    }


def _probable(outcome: Any) -> dict[str, Any]:
    """Return what a rule `stop` says in the end, and an agent that chose exposure times."""
    told = {} if math.isnan(outcome.p_right) else {"p_right": outcome.p_right}
    if not math.isnan(outcome.p_better):
        told["hidden_width_um"] = outcome.hidden_width
        told |= {"p_hidden": outcome.p_hidden, "p_better": outcome.p_better}
    return told


def demo(*, sample: str, seed: int, data_dir: Path, figure: Path) -> dict[str, Any]:
    """Steer, map the same film point by point, and draw the two beside each other."""
    return _figure_1(
        sample,
        seed=seed,
        data_dir=data_dir,
        figure=figure,
        agent="bayesian",
        budget=48,
    )


def paper_figure_1(*, seed: int, data_dir: Path, figure: Path) -> dict[str, Any]:
    """Draw figure 1 of the paper at its scale: 31×31 points, 10 random starts, then EI."""
    return _figure_1(
        "multi-domain",
        seed=seed,
        data_dir=data_dir,
        figure=figure,
        agent="bayesian-random-start",
        budget=48,
    )


def _figure_1(
    sample: str, *, seed: int, data_dir: Path, figure: Path, agent: str, budget: int
) -> dict[str, Any]:
    plotting.check_figure(figure)
    with open_session(sample, seed=seed, data_dir=data_dir) as session:
        truth = true_map(session.instrument.simulator.sample, DEFAULT_TARGET)
        trial = steer(session, truth, target=DEFAULT_TARGET, budget=budget, seed=seed, agent=agent)
        mapped, _ = session.run(session.map_sample())
        steered_run = open_run(session.store, trial.run_uid)
        plotting.draw_figure_1(steered_run, open_run(session.store, mapped)).savefig(
            figure, dpi=150
        )
    return {
        **find_report(sample, seed, len(truth), trial),
        "map_uid": mapped,
        "figure": str(figure),
    }


def replay(
    file: str,
    *,
    agents: list[str],
    seeds: range,
    target: str | list[str] | None,
    pareto: bool | None = None,
    budget: int,
    clip: float | None,
    stride: int,
    exposure_s: float,
    on_trial: Callable[..., None],
    on_map: Callable[[str], None] = lambda told: None,
    missing: Sequence[float] = (),
) -> list[dict[str, Any]]:
    """Steer over a recorded map or a preset with every agent and seed; return a record for each.

    `on_trial` is called with each record as it comes, and ``first=True`` with the first; `on_map`
    before them with what a recorded map was taken for, in a line, and what was decided in reading
    it in lines below. Values that are `missing` mark what was not measured. Without a target the
    film's Ge-rich phase is sought, a recorded map's number, or the total of its patterns. The
    ``path`` is in the unit of x, None where that of y cannot be converted to it.
    """

    for agent in agents:
        agent_of(agent)
    sample_of, target = samples_of(file, target, clip, stride, missing, on_map)
    sample: Any = sample_of(seeds[0])
    path_unit = None if y_in_x(sample) is None else sample.unit
    records = []
    for agent, seed, trial in replay_trials(
        sample_of,
        agents=agents,
        seeds=seeds,
        target=target,
        pareto=pareto,
        budget=budget,
        exposure_s=exposure_s,
    ):
        records.append(
            {
                "agent": agent,
                "seed": seed,
                **_scores(trial),
                "path": trial.score.path if path_unit else None,
                "path_unit": path_unit,
                "beam_time_s": trial.beam_time_s,
                "decision_cpu_s_median": trial.decision_cpu_s_median,
                **_of_targets([_scored_spot(t) for t in (trial, *trial.others)], trial.front),
            }
        )
        on_trial(records[-1], first=len(records) == 1)
    return records
