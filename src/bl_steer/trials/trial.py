"""Steer over a sample whose truth is known, and score it: what `find`, `replay` and benchmarks run.

Every trial goes through a RunEngine, the real device classes on simulated signals, and the plan
`plans.find_hotspot`; nothing is short-cut.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents import Space
from bl_steer.features import DEFAULT_TARGET, check_targets, make_feature, parse_target
from bl_steer.files.maps.lengths import per_micrometre
from bl_steer.protocols import Array
from bl_steer.session import Session, film
from bl_steer.steering import FrontSpot, Score, score
from bl_steer.store import Store
from bl_steer.trials.agents import AGENTS
from plans import Hotspot
from plans.stubs.options import pareto_option
from simulators.film import PRESETS, RecordedMap, Sample, SigeFilm, SimulatedBeamline, true_map

__all__ = [
    "Trial",
    "agent_of",
    "check_trial",
    "replay_trials",
    "sample_space",
    "samples_of",
    "steer",
    "truth_of",
    "y_in_x",
]


@dataclass(frozen=True)
class Trial:
    """One steered run over a sample with known truth."""

    run_uid: str
    best_x: float
    best_y: float
    stop_reason: str
    hidden_width: float
    """As `plans.Hotspot` has it, also `p_hidden` and `p_better`; NaN without a rule."""
    p_hidden: float
    p_better: float
    score: Score
    beam_time_s: float
    """Simulated time from the start to the stop of the run."""
    time_to_found_s: float | None
    """Simulated time until a point that counts as A was measured; None for never."""
    confirmed: bool
    """As `plans.Hotspot` has it."""
    grid_time_s: float
    """Simulated time of a snake over the whole grid, same clock and exposure."""
    decision_cpu_s_median: float
    target: str
    best_value: float
    best_sd: float
    p_right: float
    others: tuple[Trial, ...] = ()
    """The same run, scored for each further target."""
    front: tuple[FrontSpot, ...] = ()
    """As `plans.Hotspot` has it."""


def sample_space(sample: Sample) -> Space:
    """Return the sample's own points as candidates."""
    x, y = sample.grid
    if sample.grid_shape is None:
        return Space.scattered(x, y)
    n_x = sample.grid_shape[1]
    return Space.grid(x[:n_x], y[::n_x])


def y_in_x(sample: Sample) -> float | None:
    """Return how many units of x a unit of y is; None where they are no lengths, and unlike."""
    unit_y = getattr(sample, "unit_y", sample.unit)
    x, y = per_micrometre(sample.unit), per_micrometre(unit_y)
    return 1.0 if unit_y == sample.unit else x / y if x and y else None


def check_trial(
    sample: Sample,
    *,
    target: str | list[str],
    budget: int,
    agent: str,
    exposure_s: float,
    pareto: bool | None = None,
    stop: str | None = None,
) -> None:
    """Refuse what cannot work on this sample, before anything is measured or written.

    Raises
    ------
    ValueError
        For a target, budget, agent or exposure that cannot work.
    """
    pareto_option(pareto, target, agent_of(agent)[0], stop)
    if not 0.0 < exposure_s < np.inf:
        raise ValueError(f"exposure must be positive and finite, got {exposure_s:g} s; try 10 s")
    targets = [target] if isinstance(target, str) else target
    if len(targets) > 1:
        check_targets(targets)
    for text in targets:
        make_feature(text, sample.axes)
    n_points = len(sample.grid[0])
    if not 1 <= budget <= n_points:
        raise ValueError(
            f"budget must lie in 1 … {n_points} (the number of points), got {budget}; "
            "choose a number in between"
        )
    n_components = max(parse_target(text).n_components or 0 for text in targets)
    if n_components > budget:
        raise ValueError(
            f"an NMF with {n_components} components needs at least as many patterns, got a budget "
            f"of {budget}; raise the budget or lower the components"
        )


def agent_of(agent: str) -> tuple[str, Mapping[str, Any]]:
    """Return name and options, for `find_hotspot`, of an agent of `bl_steer.trials.AGENTS`."""
    if agent not in AGENTS:
        raise ValueError(f"agent must be one of {', '.join(AGENTS)}, got {agent!r}; choose one")
    return AGENTS[agent]


def truth_of(
    sample: Sample, target: str | list[str], *, exposure_s: float = 10.0
) -> Array | list[Array]:
    """Return the true map of a target on the sample's points, (n,); of several a list of them."""
    if isinstance(target, str):
        return true_map(sample, target, exposure_s=exposure_s)
    return [true_map(sample, text, exposure_s=exposure_s) for text in target]


def samples_of(
    file: str,
    target: Any,
    clip: float | None,
    stride: int,
    missing: Sequence[float],
    on_map: Callable[[str], None],
) -> tuple[Callable[[int], Sample], Any]:
    """Return the sample of a recorded map or preset for each seed, and what to steer on.

    Parameters are those of `bl_steer.trials.replay`.
    """
    if file in PRESETS:
        if clip is not None or stride != 1 or missing:
            raise ValueError(
                f"clip, stride and missing must be left out for a preset, got {file!r}; give a "
                "recorded map"
            )
        return lambda seed: SigeFilm(file, seed=seed), target or DEFAULT_TARGET
    recorded = RecordedMap.load(file, clip=clip, stride=stride, missing=missing)
    _check_differs(recorded)
    target = target or ("map" if recorded.axes.shape == (1, 1) else "total")
    on_map("\n  ".join([f"{recorded}, target {target}", *recorded.notes]))
    return lambda seed: recorded, target


def _check_differs(recorded: RecordedMap) -> None:
    """Refuse a map that has no brightest place."""
    values = recorded.rates(*recorded.grid)
    if (values == values[0]).all():
        empty = (
            f", and must be finite, got {recorded.n_empty} NaN and" if recorded.n_empty else ", got"
        )
        raise ValueError(
            f"values of a map must differ from place to place{empty} the same at all "
            f"{len(values)} points of {recorded.name!r}; give the map itself"
        )


def steer(
    session: Session,
    truth: Array | list[Array],
    *,
    target: str | list[str],
    pareto: bool | None = None,
    budget: int,
    seed: int,
    agent: str = "bayesian",
    exposure_s: float = 10.0,
    stop: str | None = None,
    mask: NDArray[np.bool_] | None = None,
    exposure: str | None = None,
    seen: Sequence[str] | None = None,
) -> Trial:
    """Run `plans.find_hotspot` on a simulated session, and score it.

    Parameters
    ----------
    session : on the simulated beamline
    truth : shape (n,), the true map on the sample's points; a list of them for several targets
    agent : a name in `bl_steer.trials.AGENTS`
    pareto, stop, exposure : as for `plans.find_hotspot`
    seen : earlier runs of the session's store, by uid or scan id
    mask : shape of a frame, True where a pixel is not to be used

    Raises
    ------
    ValueError
        For an agent, target or budget that cannot work; nothing is measured then.
    """
    beamline: SimulatedBeamline = session.instrument.simulator
    check_trial(beamline.sample, target=target, budget=budget, agent=agent, exposure_s=exposure_s)
    space = sample_space(beamline.sample)
    name, options = agent_of(agent)
    decisions: list[Mapping[str, Any]] = []
    ended: list[float] = []
    started = beamline.clock.elapsed_s
    token = session.RE.subscribe(
        _collect(decisions.append, lambda _: ended.append(beamline.clock.elapsed_s - started))
    )
    try:
        uid, hotspot = session.run(
            session.find_hotspot(
                target=target,
                pareto=pareto,
                budget=budget,
                seed=seed,
                grid=space,
                agent=name,
                agent_options=options,
                exposure_s=exposure_s,
                stop=stop,
                mask=mask,
                exposure=exposure,
                seen=seen,
            )
        )
    finally:
        session.RE.unsubscribe(token)
    measured = np.array([(d["x"], d["y"]) for d in decisions]).reshape(-1, 2)
    beam_time_s = beamline.clock.elapsed_s - started

    def scored(spot: Hotspot, target: str, truth: Array) -> Trial:
        best = np.array([spot.best_x, spot.best_y])
        result = score(measured, best, space.points, truth, reach=space.steps)
        if factor := y_in_x(beamline.sample):
            way = np.diff(measured, axis=0) * [1.0, factor]
            result = replace(result, path=float(np.linalg.norm(way, axis=1).sum()))
        if seen:  # A may have been measured before
            told = score(best[None], best, space.points, truth, reach=space.steps)
            result = replace(result, found=told.found)
        first = result.n_to_found
        return Trial(
            run_uid=uid,
            best_x=spot.best_x,
            best_y=spot.best_y,
            stop_reason=spot.stop_reason,
            hidden_width=spot.hidden_width,
            p_hidden=spot.p_hidden,
            p_better=spot.p_better,
            score=result,
            beam_time_s=beam_time_s,
            time_to_found_s=None if first is None else ended[first - 1],
            confirmed=spot.confirmed,
            grid_time_s=beamline.duration_s(space.snake(), exposure_s=exposure_s),
            decision_cpu_s_median=float(np.median([d["think_cpu_s"] for d in decisions] or [0.0])),
            target=target,
            best_value=spot.best_value,
            best_sd=spot.best_sd,
            p_right=spot.p_right,
        )

    spots = (hotspot, *hotspot.others)
    targets = [target] if isinstance(target, str) else target
    truths = truth if isinstance(truth, list) else [truth]
    first, *others = map(scored, spots, targets, truths)
    return replace(first, others=tuple(others), front=hotspot.front)


def replay_trials(
    sample_of: Callable[[int], Sample],
    *,
    agents: Iterable[str],
    seeds: Iterable[int],
    target: str | list[str],
    pareto: bool | None = None,
    budget: int,
    exposure_s: float = 10.0,
) -> Iterator[tuple[str, int, Trial]]:
    """Steer with every agent over the sample of every seed; yields agent, seed and trial.

    The runs go to a store that is thrown away: what lasts of a replay is its scores.

    Parameters
    ----------
    sample_of : the sample for a seed; a recorded map is the same for all
    """
    agents, seeds = list(agents), list(seeds)
    for agent in agents:
        check_trial(
            sample_of(seeds[0]),
            target=target,
            budget=budget,
            agent=agent,
            exposure_s=exposure_s,
            pareto=pareto,
        )
    truths: dict[int, Array | list[Array]] = {}
    with tempfile.TemporaryDirectory(prefix="bl_steer_") as folder, Store.open(folder) as store:
        for agent in agents:
            for seed in seeds:
                sample = sample_of(seed)
                if seed not in truths:
                    truths[seed] = truth_of(sample, target, exposure_s=exposure_s)
                instrument = film(sample, exposure_s=exposure_s)
                with Session(store, instrument, progress=False) as session:
                    trial = steer(
                        session,
                        truths[seed],
                        target=target,
                        pareto=pareto,
                        budget=budget,
                        seed=seed,
                        agent=agent,
                        exposure_s=exposure_s,
                    )
                yield agent, seed, trial


def _collect(
    on_decision: Callable[[Mapping[str, Any]], None], on_point: Callable[[Mapping[str, Any]], None]
) -> Any:
    """Return a callback that hands on the data of events of a run, as they come."""
    hand_on = {"decisions": on_decision, "primary": on_point}
    streams: dict[str, Callable[[Mapping[str, Any]], None]] = {}

    def collect(name: str, doc: Mapping[str, Any]) -> None:
        if name == "descriptor" and doc["name"] in hand_on:
            streams[doc["uid"]] = hand_on[doc["name"]]
        elif name == "event" and doc["descriptor"] in streams:
            streams[doc["descriptor"]](doc["data"])

    return collect
