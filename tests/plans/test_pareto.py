"""A search for the places that no other one beats in two targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.plotting import draw_run
from bl_steer.runs import Run, open_run
from bl_steer.session import Session, open_session
from bl_steer.steering import differences, dominated_volume, front_of, non_dominated
from bl_steer.steering.hypervolume import reference_values
from plans import find_hotspot
from simulators.film.beamline import SimulatedBeamline
from simulators.film.truth import true_map

RICH, TILTED = "ref:x=0.45,R=0.9,tilt=0", "ref:x=0.2,R=0.9,tilt=0.3"
PARETO: dict[str, Any] = {"target": [RICH, TILTED], "pareto": True, "budget": 24, "seed": 1}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pareto")
    with open_session("smooth", seed=2, data_dir=folder, progress=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def searched(session: Session) -> tuple[Run, Any]:
    """A run, and what the plan returned."""
    uid, hotspot = session.run(session.find_hotspot(**PARETO))
    return open_run(session.store, uid), hotspot


def test_the_front_comes_near_to_that_of_the_whole_film(
    session: Session, searched: tuple[Run, Any]
) -> None:
    run, hotspot = searched
    film = session.instrument.simulator.sample
    truth = np.stack([true_map(film, target) for target in (RICH, TILTED)], axis=1)
    cells = [film_cell(film, spot.x, spot.y) for spot in hotspot.front]
    reference = reference_values(truth)
    found = dominated_volume(truth[cells], reference) / dominated_volume(truth, reference)
    assert found > 0.85
    measured = [film_cell(film, x, y) for x, y in run.positions]
    by_chance = np.random.default_rng(0).choice(len(truth), len(measured), replace=False)
    assert dominated_volume(truth[measured], reference) > dominated_volume(
        truth[by_chance], reference
    )


def film_cell(film: Any, x: float, y: float) -> int:
    return int(np.argmin(np.hypot(film.grid[0] - x, film.grid[1] - y)))


def test_the_front_is_recorded_and_no_place_of_it_is_beaten(searched: tuple[Run, Any]) -> None:
    run, hotspot = searched
    front = front_of(run)
    assert front is not None
    assert front.targets == [RICH, TILTED]
    np.testing.assert_array_equal(front.values, [spot.values for spot in hotspot.front])
    np.testing.assert_array_equal(front.positions[:, 0], [spot.x for spot in hotspot.front])
    assert (front.sds > 0).all()
    assert (np.diff(front.values[:, 0]) < 0).any()
    measured = {tuple(place) for place in run.positions.tolist()}
    assert all(tuple(place) in measured for place in front.positions.tolist())
    # Each target's own spot is reported as well.
    assert [spot["target"] for spot in run.spots] == [RICH, TILTED]


def test_it_verifies_goes_on_and_is_drawn(session: Session, searched: tuple[Run, Any]) -> None:
    run, _ = searched
    assert differences(run).decisions == []
    assert set(run.decisions["reason"]) <= {"start", "improve", "explore"}
    assert np.isfinite(run.decisions["acquisition"][10:]).all()
    labels = [axes.get_xlabel() for axes in draw_run(run).axes]
    assert f"{RICH} (counts)" in labels
    uid, _ = session.run(session.find_hotspot(resumes=run, budget=26))
    whole = open_run(session.store, uid)
    assert differences(whole).decisions == []
    assert whole.steering["pareto"]


def test_a_search_in_turn_has_no_front(session: Session) -> None:
    uid, hotspot = session.run(session.find_hotspot(**{**PARETO, "pareto": None, "budget": 3}))
    run = open_run(session.store, uid)
    assert (front_of(run), hotspot.front, run.steering["pareto"]) == (None, (), False)


def test_a_sample_that_is_measured_everywhere_ends_the_search(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    grid = {"x": [0.0, 50.0, 100.0], "y": [0.0, 50.0, 100.0, 150.0]}
    hotspot = RE(
        find_hotspot(beamline.det, beamline.stage, grid=grid, **{**PARETO, "budget": 20})
    ).plan_result
    assert (hotspot.n_measured, hotspot.stop_reason) == (12, "exhausted")
    values = np.array([spot.values for spot in hotspot.front])
    assert len(values)
    assert np.isfinite(values).all()
    assert non_dominated(values).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pareto": "front"}, "pareto must be True or False"),
        ({"target": "total"}, "pareto must come with several targets"),
        ({"agent": "random"}, "agent='bayesian' and no rule stop"),
        ({"stop": "W=20"}, "agent='bayesian' and no rule stop"),
        ({"target": [RICH, TILTED, "total", "roi:0,1,0,1"]}, "two or three targets"),
    ],
)
def test_what_a_front_cannot_be_sought_with_is_refused(
    RE: RunEngine, beamline: SimulatedBeamline, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RE(find_hotspot(beamline.det, beamline.stage, **{**PARETO, **options}))
