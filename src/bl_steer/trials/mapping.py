"""Trials whose goal is the whole map, or the outline of a level, beside an even grid of points.

For the brightest spot see `bl_steer.trials.trial`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.mapping.goal import Goal
from bl_steer.features import DEFAULT_TARGET
from bl_steer.protocols import Array
from bl_steer.session import Session, epics, film, open_session
from bl_steer.store import Store
from bl_steer.trials.trial import agent_of, check_trial, sample_space, samples_of
from simulators.film import Sample, SigeFilm, true_map

__all__ = [
    "even_grid",
    "even_maps",
    "map_film",
    "map_on_epics",
    "map_score",
    "replay_map",
    "steer_goal",
]

MOST_SQUEEZED = 1.42
"""By which the points of an even grid may lie closer along one axis than along the other."""


def even_grid(space: Space, budget: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return columns and rows of an even grid of at most so many points, out to the edges.

    Of the grids whose points lie about as close along both axes, the one with the most points.
    """
    check_regular(space)
    n_y, n_x = space.shape or (0, 0)
    grids = [
        (a * b, -abs(np.log((a / n_x) / (b / n_y))), a, b)
        for a in range(2, n_x + 1)
        for b in range(2, n_y + 1)
        if a * b <= budget and abs(np.log((a / n_x) / (b / n_y))) < np.log(MOST_SQUEEZED)
    ]
    if not grids:
        raise ValueError(f"an even grid must have 4 points at least, got a budget of {budget}")
    *_, a, b = max(grids)
    columns, rows = (
        np.unique(np.round(np.linspace(0, n - 1, count)).astype(np.intp))
        for n, count in ((n_x, a), (n_y, b))
    )
    return columns, rows


def check_regular(space: Space) -> None:
    """Refuse scattered points and a single axis, on which there is no even grid of rows."""
    if space.shape is None or len(space.shape) != 2 or min(space.shape) < 2:
        raise ValueError(
            "an even grid must be one of a regular map on two axes, got scattered points or a line"
        )


def even_maps(space: Space, budget: int, values: Array) -> tuple[int, dict[str, Array]]:
    """Return the points of an even grid, and the maps that are made of what it measures.

    Parameters
    ----------
    values : shape (n,), what each cell of the space gives

    Returns
    -------
    maps : shape (n,) each: of the steering agent's own ``"model"``, and by ``"linear"`` and
        ``"cubic"`` interpolation
    """
    columns, rows = even_grid(space, budget)
    n_y, n_x = space.shape or (0, 0)
    cells = (rows[:, None] * n_x + columns).ravel()
    agent = BayesianAgent(space)
    agent.ingest(
        [
            {**space.point(space.points[cell].tolist()), "objective": float(values[cell])}
            for cell in cells
        ]
    )
    maps = {"model": agent.predict(space.points)[0]}
    mesh = values[cells].reshape(len(rows), len(columns))
    at = np.stack(np.unravel_index(np.arange(n_y * n_x), (n_y, n_x)), axis=1)
    for method in ("linear", "cubic"):
        if method == "linear" or min(mesh.shape) > 3:
            axes = (rows.astype(float), columns.astype(float))
            maps[method] = RegularGridInterpolator(axes, mesh, method=method)(at)
    return len(cells), maps


def map_score(
    goal: Goal, predicted: Array, truth: Array, above: NDArray[np.bool_] | None = None
) -> float:
    """Return how wrong a map is: of its range, root mean square; of a level the area.

    Parameters
    ----------
    predicted, truth : shape (n,)
    above : shape (n,), whether each cell is believed above the level; by default what is predicted
        is compared with the level in it
    """
    if goal.kind == "map":
        return float(np.sqrt(np.mean((predicted - truth) ** 2)) / np.ptp(truth))
    inside = truth > goal.level_in(truth)
    believed = predicted > goal.level_in(predicted) if above is None else above
    return float(np.mean(believed != inside))


def steer_goal(
    session: Session,
    truth: Array,
    *,
    goal: Goal,
    target: str,
    budget: int,
    seed: int,
    agent: str = "bayesian",
    exposure_s: float = 10.0,
    mask: NDArray[np.bool_] | None = None,
    seen: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Map a sample, or outline a level in it, on a simulated session; return the report.

    The even grid beside it is measured without noise.

    Parameters
    ----------
    truth : shape (n,), the true map on the sample's points
    seen : earlier runs of the store, whose points are known
    """
    sample: Sample = session.instrument.simulator.sample
    check_trial(sample, target=target, budget=budget, agent=agent, exposure_s=exposure_s)
    space = sample_space(sample)
    name, settings = agent_of(agent)
    options: dict[str, Any] = {
        "target": target,
        "budget": budget,
        "seed": seed,
        "grid": space,
        "agent": name,
        "agent_options": settings,
        "exposure_s": exposure_s,
        "mask": mask,
        "seen": seen,
    }
    told, found = _carried_out(session, goal, options)
    believed = None
    if goal.kind != "map":
        believed = found.predicted.above > 0.5
        told["true_inside"] = float(np.mean(truth > goal.level_in(truth)))
    report = {
        "goal": str(goal),
        "agent": agent,
        "seed": seed,
        "grid_points": len(space),
        **told,
        "error": map_score(goal, found.predicted.mean, truth, believed),
    }
    if space.shape is None or min(space.shape) < 2:
        return report
    n_even, maps = even_maps(space, budget, truth)
    return {
        **report,
        "even_points": n_even,
        "even_error": {kind: map_score(goal, even, truth) for kind, even in maps.items()},
    }


def _carried_out(
    session: Session, goal: Goal, options: Mapping[str, Any]
) -> tuple[dict[str, Any], Any]:
    """Carry out the plan of a goal; return what it tells, and its result."""
    if goal.kind == "map":
        uid, found = session.run(session.map_adaptively(**options))
        keys = ["map_error", "map_range"]
    else:
        level = str(goal).partition("=")[2]
        uid, found = session.run(session.find_level_set(level=level, **options))
        keys = ["level", "inside", "inside_low", "inside_high"]
    keys += ["n_measured", "n_invalid", "stop_reason"]
    return {**{key: getattr(found, key) for key in keys}, "run_uid": uid}, found


def map_on_epics(
    *,
    prefix: str | None,
    axes: Path | None,
    goal: str,
    seed: int,
    data_dir: Path,
    target: str | None = None,
    agent: str = "bayesian",
    **options: Any,
) -> dict[str, Any]:
    """Map the sample in the beam; return what ``find --epics --goal --json`` writes.

    The points are those of `map_film` for the same seed, where `bl-steer ioc` serves the same film.
    """
    aim, (name, settings) = Goal.parse(goal), agent_of(agent)
    options |= {"target": target or DEFAULT_TARGET, "seed": seed}
    with open_session(epics(axes, prefix=prefix), data_dir=data_dir) as session:
        began = time.monotonic()
        chosen = {"agent": name, "agent_options": settings, **options}
        told, _ = _carried_out(session, aim, chosen)
    return {
        "goal": str(aim),
        "agent": agent,
        "seed": seed,
        **told,
        "duration_s": time.monotonic() - began,
    }


def map_film(
    preset: str,
    *,
    goal: str,
    seed: int,
    data_dir: Path,
    target: str | None = None,
    exposure_s: float = 10.0,
    **options: Any,
) -> dict[str, Any]:
    """Map a simulated film, or outline a level in it; return what ``find --goal --json`` writes."""
    aim, sample, target = Goal.parse(goal), SigeFilm(preset, seed=seed), target or DEFAULT_TARGET
    truth = true_map(sample, target, exposure_s=exposure_s)
    with open_session(sample, data_dir=data_dir, exposure_s=exposure_s) as session:
        report = steer_goal(
            session,
            truth,
            goal=aim,
            seed=seed,
            target=target,
            exposure_s=exposure_s,
            **options,
        )
    return {"preset": preset, **report}


def replay_map(
    file: str,
    *,
    goal: str,
    agents: Sequence[str],
    seeds: Sequence[int],
    target: str | None,
    budget: int,
    clip: float | None,
    stride: int,
    missing: Sequence[float],
    exposure_s: float,
    on_trial: Callable[[Mapping[str, Any]], None],
    on_map: Callable[[str], None],
) -> list[Mapping[str, Any]]:
    """Map a recorded map or a preset anew with every agent and seed; return a record for each.

    The runs go to a store that is thrown away. Parameters are those of `bl_steer.trials.replay`.
    """
    aim = Goal.parse(goal)
    for agent in agents:
        agent_of(agent)
    sample_of, target = samples_of(file, target, clip, stride, missing, on_map)
    records: list[Mapping[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bl_steer_") as folder, Store.open(folder) as store:
        for agent, seed in product(agents, seeds):
            sample = sample_of(seed)
            with Session(store, film(sample, exposure_s=exposure_s), progress=False) as session:
                record = steer_goal(
                    session,
                    true_map(sample, target, exposure_s=exposure_s),
                    goal=aim,
                    target=target,
                    budget=budget,
                    seed=seed,
                    agent=agent,
                    exposure_s=exposure_s,
                )
            records.append(record)
            on_trial(record)
    return records
