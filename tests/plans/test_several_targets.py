"""Several targets in one search, on the simulated beamline: found, recorded, repeated, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from matplotlib.figure import Figure

from bl_steer.plotting import LiveMap, draw_run
from bl_steer.runs import Run, export_run, open_run
from bl_steer.session import Session, open_session
from bl_steer.steering import ResumeError, differences, score
from plans import find_hotspot
from simulators.film.beamline import SimulatedBeamline
from simulators.film.truth import true_map

RICH, TILTED = "ref:x=0.45,R=0.9,tilt=0", "ref:x=0.2,R=0.9,tilt=0.3"
SEVERAL: dict[str, Any] = {"target": [RICH, TILTED], "budget": 16, "seed": 1}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("several")
    with open_session("smooth", seed=2, data_dir=folder, progress=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def searched(session: Session) -> tuple[Run, Any]:
    """A run, and what the plan returned."""
    uid, hotspot = session.run(session.find_hotspot(**SEVERAL))
    return open_run(session.store, uid), hotspot


def test_the_spot_of_each_target_is_found(session: Session, searched: tuple[Run, Any]) -> None:
    run, hotspot = searched
    assert hotspot.target == RICH
    assert [other.target for other in hotspot.others] == [TILTED]
    film = session.instrument.simulator.sample
    points = np.stack(film.grid, axis=1)
    for spot in (hotspot, *hotspot.others):
        found = score(
            run.positions,
            np.array([spot.best_x, spot.best_y]),
            points,
            true_map(film, spot.target),
            reach=5.0,
        )
        assert found.found, spot.target
        assert 0.0 < spot.best_sd < spot.best_value


def test_all_of_it_is_in_the_record(searched: tuple[Run, Any]) -> None:
    run, hotspot = searched
    assert run.steering["target"] == [RICH, TILTED]
    assert list(run.decisions["target"]) == [RICH, TILTED] * 8
    assert run.decisions["outcomes"].shape == (16, 2, 16)
    assert np.isfinite(run.decisions["outcomes"][-1][:, :15]).all()
    assert [spot["target"] for spot in run.spots] == [RICH, TILTED]
    assert run.result is not None
    assert run.result["target"] == RICH
    for spot, told in zip(run.spots, (hotspot, *hotspot.others), strict=True):
        assert (spot["best_x"], spot["best_sd"]) == (told.best_x, told.best_sd)
        assert spot["outcomes"].shape == (16,)


def test_it_verifies_and_is_drawn(searched: tuple[Run, Any]) -> None:
    run, _ = searched
    assert differences(run).decisions == []
    titles = [axes.get_title() for axes in draw_run(run).axes]
    assert [sum(target in title for title in titles) for target in (RICH, TILTED)] == [1, 1]


def test_a_run_that_was_broken_off_goes_on_with_all_targets(
    session: Session, searched: tuple[Run, Any]
) -> None:
    run, _ = searched
    figures: list[Figure] = []
    token = session.RE.subscribe(LiveMap(figures.append))
    uid, hotspot = session.run(session.find_hotspot(resumes=run, budget=19))
    session.RE.unsubscribe(token)
    whole = open_run(session.store, uid)
    assert list(whole.decisions["target"])[16:] == [RICH, TILTED, RICH]
    assert len(hotspot.others) == 1
    assert differences(whole).decisions == []
    assert len([axes for axes in figures[-1].axes if "points" in axes.get_title()]) == 2
    with pytest.raises(ResumeError, match="target must be that of the run to resume"):
        session.run(session.find_hotspot(resumes=run, budget=20, target=[RICH, "total"]))


def test_one_target_in_a_list_is_one_target(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    options: dict[str, Any] = {"budget": 3, "monitor": beamline.monitor}
    for target in ("total", ["total"]):
        hotspot = RE(
            find_hotspot(beamline.det, beamline.stage, target=target, **options)
        ).plan_result
        assert documents.run.steering["target"] == "total"
        assert hotspot.others == ()
        assert "target" not in documents.run.decisions
        assert len(documents.run.spots) == 1


def test_dead_frames_are_taken_again_for_all_targets(
    RE: RunEngine, mortal: SimulatedBeamline, documents: Any
) -> None:
    mortal.sample.dead = [4, 6, 7, 8, 9]  # one retake, and one place that is given up
    RE(find_hotspot(mortal.det, mortal.stage, monitor=mortal.monitor, **SEVERAL))
    run = documents.run
    reasons = list(run.decisions["reason"])
    assert [n for n, reason in enumerate(reasons) if reason == "retake"] == [5, 7, 8, 9]
    assert list(run.decisions["target"][4:11]) == [RICH, RICH, *[TILTED] * 4, RICH]
    assert differences(run).decisions == []


def test_the_rule_ends_a_run_when_it_is_met_for_all(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    options = {**SEVERAL, "budget": 60, "stop": "W=60"}
    hotspot = RE(
        find_hotspot(beamline.det, beamline.stage, monitor=beamline.monitor, **options)
    ).plan_result
    spots = (hotspot, *hotspot.others)
    assert {spot.stop_reason for spot in spots} == {"stop"}
    assert all(spot.p_better <= 0.05 for spot in spots)
    assert hotspot.n_measured < 60
    assert "there is a better spot" in documents.run.reason
    # The target that is sure first leaves its turn to the other.
    turns = list(documents.run.decisions["target"])
    assert turns != [turns[0], turns[1]] * (len(turns) // 2) + turns[:1] * (len(turns) % 2)
    assert differences(documents.run).decisions == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": [RICH, RICH]}, ValueError, "several targets must differ"),
        ({"target": ["field:a", RICH]}, ValueError, "one detector's frames"),
        ({"target": [RICH, 3]}, TypeError, "target must be a text or a list"),
        (
            {"exposure": "adaptive"},
            ValueError,
            "got exposure='adaptive'",
        ),
    ],
)
def test_what_several_targets_cannot_do_is_refused(
    RE: RunEngine,
    beamline: SimulatedBeamline,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        RE(find_hotspot(beamline.det, beamline.stage, **{**SEVERAL, **options}))


def test_an_export_holds_the_outcomes_of_all_targets(
    session: Session, searched: tuple[Run, Any], tmp_path: Path
) -> None:
    run, _ = searched
    export_run(run, tmp_path / "run.csv")
    for stream in ("decisions", "result"):
        assert TILTED in (tmp_path / f"run_{stream}.csv").read_text()
    files = export_run(run, tmp_path / "run.nxs", frames="none")
    with h5py.File(files[0]) as file:
        outcomes = [item for item in _datasets(file) if item.name.endswith("decisions/outcomes")]
        assert outcomes[0].shape == (16, 2, 16)


def _datasets(group: Any) -> list[Any]:
    found: list[Any] = []
    group.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found
