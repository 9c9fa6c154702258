"""Figures drawn from stored runs, and from nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bl_steer.agents import AXIS_NAMES, Space
from bl_steer.agents.comparison import reportable
from bl_steer.features import make_feature
from bl_steer.plotting.fronts import plot_front
from bl_steer.plotting.goals import plot_goal
from bl_steer.plotting.maps import (
    INTENSITY,
    plot_figure_1,
    plot_map,
    plot_prediction,
    plot_progress,
)
from bl_steer.protocols import Array
from bl_steer.runs import Run, cells_of, read_outcomes, unit_of_axes
from bl_steer.steering import front_of, predicted_map
from bl_steer.steering.decision import brightest

__all__ = [
    "check_figure",
    "draw_figure_1",
    "draw_run",
    "label_of",
    "map_outcomes",
    "measured_outcomes",
    "seen_outcomes",
]


def measured_outcomes(run: Run, number: int = 0) -> tuple[Array, Array]:
    """Return the valid points of a steered run, (n, d), and their latest outcomes, (n,), counts.

    Parameters
    ----------
    number : of the target, in a run with several
    """
    names = [name for name in AXIS_NAMES if name in run.decisions]
    positions = np.column_stack([run.decisions[name] for name in names])
    outcomes = _latest_outcomes(run, number)
    valid = np.isfinite(outcomes)
    return positions[valid], outcomes[valid]


def _latest_outcomes(run: Run, number: int = 0) -> Array:
    if number < len(run.spots):
        known = np.asarray(run.spots[number]["outcomes"], dtype=float)
    else:
        known = np.atleast_2d(run.decisions["outcomes"][-1])[number]
    return np.asarray(known[_points(run)])


def _points(run: Run) -> NDArray[np.int_]:
    """Return the number of the point that each decision is about: some may be lost."""
    return np.asarray(run.decisions["point"], dtype=int)


def _noise_ratios(run: Run) -> Array:
    """Return the noise ratios of the points of `measured_outcomes`, (n,)."""
    outcomes, points = _latest_outcomes(run), _points(run)
    ratios = np.ones(len(outcomes))
    if run.steering.get("noise_per_point", False):
        measured = points < run.n_points
        ratios[measured] = run.noise_ratios[points[measured]]
    return ratios[np.isfinite(outcomes)]


def seen_outcomes(row: Mapping[str, Any]) -> tuple[Array, Array, Array]:
    """Return the points of earlier runs that a row of the stream ``seen`` tells of.

    Returns
    -------
    positions, outcomes, noise_ratios : shapes (n, d), (n,) and (n,)
    """
    positions = np.column_stack([read_outcomes(row[name]) for name in AXIS_NAMES if name in row])
    return positions, read_outcomes(row["outcomes"]), read_outcomes(row["noise_ratios"])


def _space_of(run: Run) -> Space:
    """Return the space of a run, with the zones that the user forbade while it went on."""
    space, requests = Space.from_dict(run.steering["grid"]), run.streams.get("requests", {})
    rows = zip(requests.get("kind", ()), requests.get("what", ()), strict=True)
    return space.forbid([json.loads(what) for kind, what in rows if kind == "forbid"])


def _all_known(run: Run, *own: Array) -> list[Array]:
    """Return points, outcomes and noise ratios with those of the earlier runs that it was told."""
    seen = _seen_of(run)
    if seen[0] is None:
        return list(own)
    return [np.concatenate(pair) for pair in zip(seen, own, strict=True)]


def _seen_of(run: Run) -> tuple[Any, Any, Any]:
    """Return the points of earlier runs that a run was told of, as `seen_outcomes`, or None."""
    table = run.streams.get("seen", {})
    if not table:
        return None, None, None
    return seen_outcomes({name: column[-1] for name, column in table.items()})


def _of_seen(run: Run, space: Space) -> dict[str, Any]:
    """Return the points of earlier runs, and the best outcome of those that may be reported."""
    places, outcomes, _ = _seen_of(run)
    if places is None:
        return {}
    within = outcomes[reportable(space, places)]
    return {"seen": places, "best_seen": float(np.max(within, initial=-math.inf))}


def map_outcomes(run: Run, target: str) -> Array:
    """Return the outcome at every cell of a `plans.map_sample` run, (n_cells,), counts.

    A feature that learns sees the whole map first. A cell without a valid frame is NaN.
    """
    space = Space.from_dict(run.steering["grid"])
    valid = run.valid
    patterns = run.patterns()[valid]
    feature = make_feature(target, run.axes).partial_fit(patterns)
    outcomes = np.full(len(space.points), np.nan)
    cells = cells_of(run)
    if cells is None:
        cells = np.array([space.index_of(*position) for position in run.positions], dtype=int)
    outcomes[cells[valid]] = feature.transform(patterns)
    return outcomes


def draw_figure_1(steered: Run, mapped: Run) -> Figure:
    """Draw the map measured point by point beside the map predicted from a few points."""
    space = _space_of(steered)
    measured, outcomes = measured_outcomes(steered)
    noise_ratios = _noise_ratios(steered)
    known = _all_known(steered, measured, outcomes, noise_ratios)
    predicted, _ = predicted_map(steered.steering, *known)
    full = map_outcomes(mapped, steered.steering["target"])
    return plot_figure_1(
        space,
        full,
        predicted,
        measured=measured,
        seen=_seen_of(steered)[0],
        best=_reported(steered, measured, outcomes, noise_ratios),
        true_best=tuple(space.points[int(np.nanargmax(full))]),
        unit=unit_of_axes(steered),
    )


def draw_run(run: Run) -> Figure:
    """Draw a stored run: a steered one as prediction, uncertainty and progress; a map as its total.

    Raises
    ------
    ValueError
        If the run has no grid, or no valid point yet.
    """
    if "grid" not in run.steering:
        raise ValueError(
            f"a run must have a grid to be drawn, got {run.uid[:8]} of the plan "
            f"{run.start.get('plan_name')}; its values are in open_run(…).primary"
        )
    if not run.n_points or not run.valid.any():
        raise ValueError(
            f"a run must have a valid point to be drawn, got none of {run.n_points} in "
            f"{run.uid[:8]} ({run.reason or run.status}); measure again"
        )
    space = _space_of(run)
    if not run.decisions:
        figure = Figure(figsize=(5.6, 4.6), layout="constrained")
        plot_map(
            space,
            map_outcomes(run, "total"),
            ax=figure.subplots(),
            title=f"total counts, {run.n_points} points",
            unit=unit_of_axes(run),
        )
        return figure
    if not isinstance(run.steering["target"], str):
        return _draw_targets(run, space)
    measured, outcomes = measured_outcomes(run)
    noise_ratios = _noise_ratios(run)
    mean, sd = predicted_map(run.steering, *_all_known(run, measured, outcomes, noise_ratios))
    if run.steering.get("goal") is not None:
        return _draw_goal(run, space, mean, sd)
    return plot_prediction(
        space,
        mean,
        sd,
        measured=measured,
        outcomes=outcomes,
        **_of_seen(run, space),
        best=_reported(run, measured, outcomes, noise_ratios),
        n_start=_n_start(run),
        target=run.steering["target"],
        unit=unit_of_axes(run),
        label=label_of(run.start),
    )


def _draw_goal(run: Run, space: Space, mean: Array, sd: Array) -> Figure:
    """Draw a run that maps, or outlines a level; an outline only of one that came to its end."""
    measured, outcomes = measured_outcomes(run)
    result, label = run.result or {}, label_of(run.start)
    outline, above, told = None, None, "uncertainty (one sd)"
    if "level" in result and math.isfinite(result["level"]) and "predicted" in run.streams:
        row = {name: column[-1] for name, column in run.streams["predicted"].items()}
        mean, sd, above = (read_outcomes(row[name]) for name in ("mean", "sd", "above"))
        outline = np.column_stack([read_outcomes(row[f"outline_{n}"]) for n in space.names])
        inside, low, high = (100.0 * result[f"inside{end}"] for end in ("", "_low", "_high"))
        told = f"above {result['level']:.4g}: {inside:.1f} % ({low:.1f} … {high:.1f} %)"
    elif result.get("map_range"):
        told += f", {100.0 * result['map_error'] / result['map_range']:.1f} % of the range expected"
    return plot_goal(
        space,
        mean,
        sd,
        measured=measured,
        outcomes=outcomes,
        seen=_seen_of(run)[0],
        outline=outline,
        above=above,
        target=run.steering["target"],
        told=told,
        unit=unit_of_axes(run),
        label=label,
    )


def _draw_targets(run: Run, space: Space) -> Figure:
    """Draw a search for several targets: for each a row of prediction, uncertainty and progress.

    Where the places were sought that no other one beats, these are drawn in a row below.
    """
    targets, noise_ratios, front = run.steering["target"], _noise_ratios(run), front_of(run)
    unit, label = unit_of_axes(run), label_of(run.start)
    pairs = [] if front is None else list(combinations(range(len(targets)), 2))
    n_columns = max(2 + (len(space.names) > 1), len(pairs))
    size = (5.0 * n_columns, 4.6 * (len(targets) + bool(pairs)))
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(len(targets) + bool(pairs), n_columns, squeeze=False)
    known = np.stack([measured_outcomes(run, number)[1] for number in range(len(targets))], axis=1)
    for number, (target, panels) in enumerate(zip(targets, rows, strict=False)):
        measured, outcomes = measured_outcomes(run, number)
        mean, sd = predicted_map(run.steering, measured, outcomes, noise_ratios)
        best = _reported(run, measured, outcomes, noise_ratios, number)
        drawn: dict[str, Any] = {"measured": measured, "unit": unit, "label": label}
        title = f"{target}\npredicted from {len(measured)} points"
        plot_map(
            space, mean, ax=panels[0], sd=sd, outcomes=outcomes, best=best, title=title, **drawn
        )
        if front is not None and len(space.names) == 2:
            panels[0].plot(*front.positions.T, "s", mfc="none", mec="red", ms=6)
        if n_columns > 2:
            plot_map(space, sd, ax=panels[1], title="uncertainty (one sd)", **drawn)
        so_far = np.fmax.accumulate(outcomes)
        plot_progress(so_far, n_start=_n_start(run), ax=panels[-1], label=label)
    for panel, pair in zip_longest(rows[-1] if pairs else (), pairs):
        if front is None or pair is None:
            panel.set_axis_off()
        else:
            plot_front(front, known, ax=panel, pair=pair)
    return figure


def _reported(
    run: Run, measured: Array, outcomes: Array, noise_ratios: Array, number: int = 0
) -> list[float] | None:
    if not len(outcomes):  # of a run that ended before its only point was judged
        return None
    if number < len(run.spots):
        spot = run.spots[number]
        return [float(spot[f"best_{n}"]) for n in AXIS_NAMES if f"best_{n}" in spot]
    best, _ = brightest(outcomes, noise_ratios)
    return [float(value) for value in measured[best]]


def _n_start(run: Run) -> int | None:
    reasons = list(run.decisions["reason"])
    return reasons.count("start") or None


def label_of(start: Mapping[str, Any]) -> str:
    """Return what the values of a run are called: counts, or the number that was steered on."""
    source = start.get("steering", {}).get("source", {})
    return str(source["key"]) if source.get("kind") == "field" else INTENSITY


def check_figure(path: Path) -> None:
    """Refuse a figure that could not be saved, before anything is measured.

    Raises
    ------
    FileNotFoundError, ValueError
        When its folder is missing, or its ending is not that of a picture.
    """
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"the figure must go to a folder that exists, got {path}; make the folder first"
        )
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(f"the figure must end in .png, .pdf or .svg, got {path}")
