from __future__ import annotations

from pathlib import Path

import bluesky.plans as bp
import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.plotting.maps import plot_map
from bl_steer.plotting.runs import draw_figure_1, draw_run, map_outcomes, measured_outcomes
from bl_steer.runs import Run, open_run
from bl_steer.session import open_session
from simulators.film.sige_film import SigeFilm


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run, Run]:
    """A steered run, a map of the same cells, and a run of one point; as stored on disk."""
    places = np.linspace(0.0, 150.0, 7)
    grid = Space.grid(places, places)
    folder = tmp_path_factory.mktemp("store")
    with open_session(SigeFilm("smooth", 1), data_dir=folder, progress=False) as session:
        uids = [
            session.run(session.find_hotspot(grid=grid, budget=20))[0],
            session.run(session.map_sample(grid=grid))[0],
            session.run(session.find_hotspot(grid=grid, budget=1))[0],
        ]
        records = [session.store.record_dir / f"{uid}.jsonl" for uid in uids]
    steered, mapped, single = map(Run.from_record, records)
    return steered, mapped, single


def test_figure_1_shows_the_map_the_prediction_the_points_and_a(
    runs: tuple[Run, Run, Run], tmp_path: Path
) -> None:
    steered, mapped, _ = runs
    figure = draw_figure_1(steered, mapped)
    left, right = figure.axes[:2]
    assert left.get_title() == "(a) measured point by point, 49 points"
    assert right.get_title() == f"(b) predicted from {steered.valid.sum()} points"
    for axes in (left, right):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("x (µm)", "y (µm)")
        assert "A" in [text.get_text() for text in axes.texts]
    assert len(right.collections[1].get_offsets()) == steered.valid.sum()
    reported = right.lines[0].get_xydata()[0]
    assert steered.result is not None
    assert tuple(reported) == (steered.result["best_x"], steered.result["best_y"])
    figure.savefig(tmp_path / "figure.png")


def test_prediction_and_map_agree_where_it_was_measured(runs: tuple[Run, Run, Run]) -> None:
    steered, mapped, _ = runs
    full = map_outcomes(mapped, steered.steering["target"])
    places, outcomes = measured_outcomes(steered)
    space = Space.from_dict(mapped.steering["grid"])
    cells = [space.index_of(x, y) for x, y in places]
    assert np.corrcoef(full[cells], outcomes)[0, 1] > 0.95


@pytest.mark.parametrize("which", [0, 1])
def test_a_stored_run_is_drawn_alone(runs: tuple[Run, Run, Run], which: int) -> None:
    figure = draw_run(runs[which])
    assert len([axes for axes in figure.axes if axes.get_xlabel() == "x (µm)"]) == 2 - which


def test_a_run_of_one_point_is_drawn_without_a_prediction(runs: tuple[Run, Run, Run]) -> None:
    predicted, uncertainty, progress = draw_run(runs[2]).axes  # no colour bar: nothing is known
    assert predicted.get_title() == "predicted from 1 points"
    assert np.isnan(uncertainty.collections[0].get_array().filled(np.nan)).all()
    assert len(progress.lines[0].get_xdata()) == 1


def test_a_line_of_points_is_drawn_with_colour() -> None:
    line = Space.grid(np.linspace(0.0, 10.0, 5), [3.0])
    axes = plot_map(line, np.arange(5.0))
    colours = axes.collections[0].get_array()
    assert colours is not None
    assert colours.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(axes.collections[0].get_offsets()) == 5


def test_a_run_without_a_grid_or_a_point_is_refused(tmp_path: Path) -> None:
    with open_session("smooth", data_dir=tmp_path, progress=False) as session:
        counted, _ = session.run(bp.count([session.devices["det"]]))
        with pytest.raises(ValueError, match=r"must have a grid .* of the plan count; its values"):
            draw_run(open_run(session.store, counted))
        steered, _ = session.run(session.find_hotspot(budget=1))
        start = open_run(session.store, steered).start
    with pytest.raises(ValueError, match=r"must have a valid point to be drawn, got none of 0 in"):
        draw_run(Run.from_documents([("start", start)]))
