"""What the commands do: each returns its report, which `bl_steer.cli` prints and writes as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer.features import DEFAULT_TARGET

if TYPE_CHECKING:
    from bl_steer.runs import RecordsAlone, Run
    from bl_steer.store import Store
    from bl_steer.trials.trial import Trial
    from simulators.film.sample import Sample

__all__ = ["demo", "find", "paper_figure_1", "replay", "runs", "show"]


def find(
    sample: str,
    *,
    seed: int,
    budget: int,
    target: str | None,
    agent: str,
    data_dir: Path,
    exposure_s: float,
) -> dict[str, Any]:
    """Find point A on a simulated film; return what ``bl-steer find --json`` writes."""
    from bl_steer.session.session import open_session
    from bl_steer.trials.trial import check_trial, steer
    from simulators.film.sige_film import SigeFilm
    from simulators.film.truth import true_map

    film = SigeFilm(sample, seed=seed)
    target = target or DEFAULT_TARGET
    check_trial(film, target=target, budget=budget, agent=agent, exposure_s=exposure_s)
    truth = true_map(film, target, exposure_s=exposure_s)
    with open_session(film, data_dir=data_dir, exposure_s=exposure_s) as session:
        trial = steer(
            session,
            truth,
            target=target,
            budget=budget,
            seed=seed,
            agent=agent,
            exposure_s=exposure_s,
        )
    return find_report(sample, seed, len(truth), trial)


def find_report(preset: str, seed: int, grid_points: int, trial: Trial) -> dict[str, Any]:
    """Return a trial under the stable keys of ``find --json``."""
    return {
        "preset": preset,
        "seed": seed,
        "grid_points": grid_points,
        "n_measured": trial.score.n_measured,
        "n_distinct": trial.score.n_distinct,
        "n_to_found": trial.score.n_to_found,
        "n_to_95": trial.score.n_to_95,
        "n_to_best_cell": trial.score.n_to_best_cell,
        "found": trial.score.found,
        "best_x_um": trial.best_x,
        "best_y_um": trial.best_y,
        "true_x_um": trial.score.true_x,
        "true_y_um": trial.score.true_y,
        "beam_time_s": trial.beam_time_s,
        "grid_time_s": trial.grid_time_s,
        "speedup": trial.grid_time_s / trial.beam_time_s,
        "decision_cpu_s_median": trial.decision_cpu_s_median,
        "run_uid": trial.run_uid,
    }


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
    """Draw figure 1 of the source at its scale: 31×31 points, 10 random starts, then EI."""
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
    from bl_steer.plotting.runs import draw_figure_1
    from bl_steer.runs import open_run
    from bl_steer.session.session import open_session
    from bl_steer.trials.trial import steer
    from simulators.film.truth import true_map

    _check_writable(figure)
    with open_session(sample, seed=seed, data_dir=data_dir) as session:
        truth = true_map(session.beamline.sample, DEFAULT_TARGET)
        trial = steer(session, truth, target=DEFAULT_TARGET, budget=budget, seed=seed, agent=agent)
        mapped, _ = session.run(session.map_sample())
        steered_run = open_run(session.store, trial.run_uid)
        draw_figure_1(steered_run, open_run(session.store, mapped)).savefig(figure, dpi=150)
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
    target: str,
    budget: int,
    clip: float | None,
    stride: int,
    exposure_s: float,
    on_trial: Callable[..., None],
) -> list[dict[str, Any]]:
    """Steer over a recorded map or a preset with every agent and seed; return a record for each.

    `on_trial` is called with each record as it comes, and ``first=True`` with the first.
    """
    from bl_steer.trials.trial import replay_trials
    from simulators.film.recorded_map import RecordedMap
    from simulators.film.sige_film import PRESETS, SigeFilm

    def sample_of(seed: int) -> Sample:
        if file in PRESETS:
            return SigeFilm(file, seed=seed)
        return recorded

    if file not in PRESETS:
        recorded = RecordedMap.load(file, clip=clip, stride=stride)
    elif clip is not None or stride != 1:
        raise ValueError(
            f"clip and stride must be left out for a preset, got {file!r}; give a recorded map"
        )
    records = []
    for agent, seed, trial in replay_trials(
        sample_of,
        agents=agents,
        seeds=seeds,
        target=target,
        budget=budget,
        exposure_s=exposure_s,
    ):
        records.append(
            {
                "agent": agent,
                "seed": seed,
                "n_measured": trial.score.n_measured,
                "n_to_found": trial.score.n_to_found,
                "n_to_95": trial.score.n_to_95,
                "n_to_best_cell": trial.score.n_to_best_cell,
                "n_distinct": trial.score.n_distinct,
                "found": trial.score.found,
                "path": trial.score.path,
                "beam_time_s": trial.beam_time_s,
                "decision_cpu_s_median": trial.decision_cpu_s_median,
            }
        )
        on_trial(records[-1], first=len(records) == 1)
    return records


def runs(*, data_dir: Path) -> list[dict[str, Any]]:
    """Return a row for every stored run, the oldest first."""
    from bl_steer.runs import list_runs

    with _existing_store(data_dir) as store:
        return [
            {
                "uid": row.uid,
                "scan_id": row.scan_id,
                "time": row.time.isoformat(timespec="seconds"),
                "plan": row.plan,
                "analysis": row.analysis,
                "n_points": row.n_points,
                "status": row.status,
                "in_progress": row.in_progress,
            }
            for row in list_runs(store)
        ]


def show(uid: str, *, data_dir: Path, figure: Path | None, verify: bool) -> dict[str, Any]:
    """Draw a stored run and return what it found; repeat its decisions if asked.

    Of an analysis run, return what it holds; its figures were drawn when it was made.
    """
    from bl_steer.agents import AGENT_NAMES
    from bl_steer.analysis import is_analysis
    from bl_steer.plotting.runs import draw_run
    from bl_steer.processing.stored_runs import show_analysis
    from bl_steer.runs import open_named
    from bl_steer.steering import differing_decisions

    with _existing_store(data_dir) as store:
        run = open_named(store, uid)
        if is_analysis(run.start):
            return show_analysis(run, store.path / "frames")
        if verify and not run.decisions:
            raise ValueError(
                f"a run must have decisions to be verified, got a {run.start.get('plan_name')} "
                "without any; leave out --verify"
            )
        if verify and run.steering["agent"] not in AGENT_NAMES:
            raise ValueError(
                "only the decisions of a built-in agent can be repeated, got the agent "
                f"{run.steering['agent']!r}; leave out --verify"
            )
        if not run.steering:
            return _show_plain(run, figure)
        figure = figure or Path(f"{run.uid[:8]}.png")
        _check_writable(figure)
        draw_run(run).savefig(figure, dpi=150)
        result = {key: v for key, v in (run.result or {}).items() if key != "outcomes"}
        report = {
            "uid": run.uid,
            "plan": run.start.get("plan_name"),
            "status": run.status,
            "n_points": run.n_points,
            "n_invalid": int((~run.valid).sum()),
            "steering": {k: v for k, v in run.steering.items() if k != "grid"},
            **result,
            "figure": str(figure),
        }
        if verify:
            report["decisions_that_differ"] = differing_decisions(run)
    return report


def _show_plain(run: Run, figure: Path | None) -> dict[str, Any]:
    """Return what is known of a run that steered nothing, such as one of micrographs."""
    if figure is not None:
        raise ValueError(
            f"a figure must be of a run with a grid, got a {run.start.get('plan_name')}; show its "
            "analysis, or leave out --figure"
        )
    return {
        "uid": run.uid,
        "plan": run.start.get("plan_name"),
        "status": run.status,
        "n_points": run.n_points,
        "analyses": run.start.get("analyses", []),
        "steering": {},
    }


@contextmanager
def _existing_store(data_dir: Path) -> Iterator[Store | RecordsAlone]:
    """Open a store to look at; where it cannot be opened (full or read-only disk), its records."""
    from bl_steer.runs import RecordsAlone
    from bl_steer.store import Store, StoreError

    if not data_dir.is_dir():
        raise FileNotFoundError(
            f"the store must be a folder that exists, got {data_dir}; give --data, or measure first"
        )
    try:
        store = Store.open(data_dir)
    except StoreError:
        if not (data_dir / "record").is_dir():
            raise
        yield RecordsAlone(data_dir)
    else:
        with store:
            yield store


def _check_writable(figure: Path) -> None:
    """Refuse a figure that could not be saved, before anything is measured."""
    if not figure.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"the figure must go to a folder that exists, got {figure}; make the folder first"
        )
    if figure.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(f"the figure must end in .png, .pdf or .svg, got {figure}")
