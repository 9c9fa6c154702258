"""Runs that were broken off and carried on, cut at any of their documents."""

from __future__ import annotations

import io
import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from bl_steer.agents import Space
from bl_steer.diffraction import SummedFrames
from bl_steer.plotting.live import LiveMap, Progress
from bl_steer.runs import Run, list_runs, open_run
from bl_steer.session import Session, open_session
from bl_steer.steering import ResumeError, differing_decisions, recorded_decision, same_decision
from plans import find_hotspot
from plans.stubs.per_point import rocking_scan, rocking_sweep

GRID = Space.grid(np.linspace(0.0, 150.0, 16), np.linspace(0.0, 150.0, 16))
COARSE = Space.grid(np.linspace(0.0, 150.0, 3), np.linspace(0.0, 150.0, 3))
QUICK = {"budget": 8, "grid": GRID, "target": "total", "seed": 3}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an undisturbed run of `QUICK`."""
    folder = tmp_path_factory.mktemp("finished")
    with open_session("smooth", seed=1, data_dir=folder, progress=False) as opened:
        opened.run(opened.find_hotspot(**QUICK))
    return folder


@pytest.fixture
def session(finished: Path, tmp_path: Path) -> Iterator[Session]:
    """A session on a copy of that store."""
    shutil.copytree(finished, tmp_path / "data")
    with open_session("smooth", seed=1, data_dir=tmp_path / "data", progress=False) as opened:
        yield opened


@pytest.fixture
def uid(finished: Path) -> str:
    """The undisturbed run."""
    (record,) = (finished / "record").glob("*.jsonl")
    return record.stem


def cut(session: Session, uid: str, keep: Callable[[list[Any]], int]) -> Run:
    """Store what a process leaves that dies while it runs `uid`: the first documents of it."""
    record = session.store.record_dir / f"{uid}.jsonl"
    lines = record.read_text().splitlines(keepends=True)
    n = keep([json.loads(line) for line in lines])
    died = str(uuid.uuid4())
    path = record.with_name(f"{died}.jsonl")
    path.write_text("".join(lines[:n]).replace(uid, died) + '["event", {"seq')
    return Run.from_record(path)


def after(stream: str, number: int) -> Callable[[list[Any]], int]:
    """Return where a record ends just after an event of a stream."""

    def lines_of(documents: list[Any]) -> int:
        streams = {d["uid"]: d["name"] for name, d in documents if name == "descriptor"}
        seen = 0
        for n, (name, doc) in enumerate(documents, start=1):
            seen += name == "event" and streams[doc["descriptor"]] == stream
            if seen == number:
                return n
        raise AssertionError(f"no event {number} of {stream}")

    return lines_of


def same_up_to(run: Run, undisturbed: Run, last: int) -> bool:
    return all(
        same_decision(
            recorded_decision(run.decisions, point), recorded_decision(undisturbed.decisions, point)
        )
        for point in range(last + 1)
    )


@pytest.mark.parametrize("lines", [1, 9, 15, 16, 17, 31])
def test_run_is_carried_on_with_the_decision_of_an_undisturbed_one(
    session: Session, uid: str, lines: int
) -> None:
    undisturbed, died = open_run(session.store, uid), cut(session, uid, lambda _: lines)
    n = died.n_points

    resumed, hotspot = session.run(session.find_hotspot(resumes=died.uid))

    run = open_run(session.store, resumed)
    assert (run.n_points, hotspot.n_measured, hotspot.stop_reason) == (8, 8, "budget")
    assert run.start["steering"].items() >= {"resumes": died.uid, "resumed_points": n}.items()
    np.testing.assert_array_equal(run.total[:n], undisturbed.total[:n])
    assert same_up_to(run, undisturbed, min(n, 7))
    assert differing_decisions(run) == []
    assert len(run.decisions["x"]) == 8
    assert len(run.patterns()) == 8
    np.testing.assert_array_equal(Run.from_record(str(run.record)).total, run.total)


def test_point_in_flight_is_named_and_measured_once(
    session: Session, uid: str, caplog: pytest.LogCaptureFixture
) -> None:
    died = cut(session, uid, after("decisions", 5))
    x, y = (float(died.decisions[name][4]) for name in "xy")

    resumed, _ = session.run(session.find_hotspot(resumes=died))

    run = open_run(session.store, resumed)
    assert run.steering["in_flight"] == {"point": 4, "x": x, "y": y}
    assert f"point 4 at x = {x:g}, y = {y:g} was in flight when run {died.uid[:8]}" in caplog.text
    assert (run.decisions["x"][4], run.decisions["point"].tolist()) == (x, list(range(8)))


def test_resumed_run_that_dies_too_is_resumed(session: Session, uid: str) -> None:
    first = cut(session, uid, after("primary", 3))
    second_uid, _ = session.run(session.find_hotspot(resumes=first))
    second = cut(session, second_uid, after("primary", 2))
    assert second.n_points == 5

    third, hotspot = session.run(session.find_hotspot(resumes=second, budget=9))

    run = open_run(session.store, third)
    assert (run.n_points, hotspot.n_measured) == (9, 9)
    assert differing_decisions(run) == []
    with pytest.raises(KeyError, match=r"carried on by .{8} already; resume that one"):
        session.find_hotspot(resumes=first.uid)


@pytest.mark.parametrize("steps", [True, False])
def test_incomplete_rocking_scan_is_repeated_whole(session: Session, steps: bool) -> None:
    eta = session.devices["diffractometer"].eta
    turn: Any = rocking_scan(eta, -1, 1, 3) if steps else rocking_sweep(eta, -1, 1, 3)
    quick = QUICK | {"budget": 3}
    uid, _ = session.run(session.find_hotspot(**quick, per_point=turn))
    died = cut(session, uid, after("primary", 5 if steps else 2))
    assert died.n_complete == (1 if steps else 2)

    with pytest.raises(
        ResumeError, match=r"per_point must be that of the run to resume, {'name': 'rock"
    ):
        session.run(session.find_hotspot(resumes=died))
    resumed, _ = session.run(session.find_hotspot(resumes=died, per_point=turn))

    run = open_run(session.store, resumed)
    assert [len(rows) for rows in run.events_of] == [3 if steps else 1] * 3
    assert differing_decisions(run) == []


@pytest.mark.parametrize("points", [0, 5])
def test_map_is_carried_on(session: Session, points: int) -> None:
    uid, _ = session.run(session.map_sample(grid=COARSE))
    undisturbed = open_run(session.store, uid)
    died = cut(session, uid, after("primary", points) if points else lambda _: 1)

    resumed, n = session.run(session.map_sample(resumes=died.uid))

    run = open_run(session.store, resumed)
    assert n == run.n_points == len(run.frames or ())
    np.testing.assert_array_equal(run.positions[:points], undisturbed.positions[:points])
    assert {tuple(p) for p in run.positions} == {tuple(p) for p in COARSE.points}
    with pytest.raises(ResumeError, match=r"points left to measure, got .* which has all"):
        session.run(session.map_sample(resumes=resumed))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"seed": 4, "target": "map"},
            "target must be .*, 'total', got 'map'.*seed must be .*3, got 4",
        ),
        ({"budget": 7}, "budget must be that of the run to resume, 8, or more, got 7"),
        ({"agent": "sobol"}, "agent must be that of the run to resume, 'bayesian', got 'sobol'"),
        ({"grid": COARSE}, "grid must be that of the run to resume"),
        ({"forbidden": [{"circle": [5, 5, 1]}]}, "forbidden must be that of the run to resume"),
        ({"exposure_s": 3.0}, "exposure_s must be that of the run to resume, 10.0, got 3.0"),
        ({"min_monitor": 5.0}, "min_monitor must be that of the run to resume, None, got 5.0"),
        ({"monitor": None}, "monitor must be that of the run to resume, monitor, got None; give"),
    ],
)
def test_options_that_contradict_the_run_are_refused_by_name(
    session: Session, uid: str, options: dict[str, Any], message: str
) -> None:
    died = cut(session, uid, after("primary", 2))
    before = len(list_runs(session.store))
    with pytest.raises(ResumeError, match=message):
        session.run(session.find_hotspot(resumes=died, **options))
    assert len(list_runs(session.store)) == before


def test_what_cannot_be_resumed_is_refused(session: Session, uid: str) -> None:
    det, stage = session.devices["det"], session.devices["stage"]
    with pytest.raises(ResumeError, match="must be a run, got 'ab12'; open it with open_run"):
        session.RE(find_hotspot(det, stage, resumes="ab12"))  # type: ignore[arg-type]
    with pytest.raises(
        ResumeError, match=r"points left to measure, got .* all its 8; give a budget"
    ):
        session.run(session.find_hotspot(resumes=uid))
    with pytest.raises(ResumeError, match="resumes must be a run of map_sample, got"):
        session.run(session.map_sample(resumes=uid))
    more, hotspot = session.run(session.find_hotspot(resumes=uid, budget=10))
    assert hotspot.n_measured == 10
    assert differing_decisions(open_run(session.store, more)) == []


ZONE = {"circle": [75.0, 75.0, 45.0]}


@pytest.mark.parametrize("again", [(), (ZONE,)])
def test_resumed_run_stays_out_of_the_forbidden_zones(
    session: Session, again: tuple[dict[str, Any], ...]
) -> None:
    stage, where = session.devices["stage"], []
    uid, _ = session.run(session.find_hotspot(**QUICK | {"forbidden": [ZONE], "budget": 12}))
    died = cut(session, uid, after("primary", 4))
    for axis in (stage.x, stage.y):
        axis.user_readback.subscribe(lambda **_: where.append((stage.x.position, stage.y.position)))

    resumed, _ = session.run(session.find_hotspot(resumes=died, forbidden=again))

    run = open_run(session.store, resumed)
    space = Space.from_dict(run.steering["grid"])
    assert run.steering["grid"] == died.steering["grid"]
    assert run.n_points == 12
    assert len(where) > 12
    for spot in [*where, *map(tuple, run.positions)]:
        assert space.zone_between(spot, spot) is None, spot


def test_live_map_and_bar_of_a_resumed_run_count_the_points_before(
    session: Session, uid: str
) -> None:
    first = cut(session, uid, after("primary", 3))
    second_uid, _ = session.run(session.find_hotspot(resumes=first))
    died = cut(session, second_uid, after("primary", 2))
    figures: list[Figure] = []
    text = io.StringIO()
    session.watch(LiveMap(figures.append))
    session.watch(Progress(text))

    resumed, _ = session.run(session.find_hotspot(resumes=died))

    axes = figures[-1].axes[0]
    assert "8 points" in axes.get_title()
    shown = np.asarray(axes.collections[1].get_offsets())
    run = open_run(session.store, resumed)
    np.testing.assert_array_equal(np.unique(shown, axis=0), np.unique(run.positions, axis=0))
    assert re.findall(r"(\d+)/(\d+)", text.getvalue())[-1] == ("8", "8")


class Brightest(SummedFrames):
    """A reduction of a user's own: the brightest frame."""

    def reduce(self, frames: Any, *, scales: Any, angles: Any = None) -> Any:
        return super().reduce(frames, scales=scales, angles=angles) / len(frames) ** 0.5


def test_reduction_of_a_users_own_is_named_and_must_be_given_again(session: Session) -> None:
    eta = session.devices["diffractometer"].eta
    own = Brightest(session.devices["det"].axes)
    turn = rocking_sweep(eta, -1, 1, 3)
    uid, _ = session.run(
        session.find_hotspot(**QUICK | {"budget": 5}, per_point=turn, reduction=own)
    )
    undisturbed = open_run(session.store, uid)
    assert undisturbed.steering["reduction"] == "Brightest"
    assert differing_decisions(undisturbed, own) == []
    with pytest.raises(ValueError, match="must be that of the run to verify, Brightest, got None"):
        differing_decisions(undisturbed)
    died = cut(session, uid, after("primary", 3))
    with pytest.raises(
        ResumeError, match="reduction must be that of the run to resume, Brightest, got None"
    ):
        session.run(session.find_hotspot(resumes=died, per_point=turn))

    resumed, _ = session.run(session.find_hotspot(resumes=died, per_point=turn, reduction=own))

    run = open_run(session.store, resumed)
    assert same_up_to(run, undisturbed, 3)
    assert differing_decisions(run, own) == []


class Stepping:
    """An agent of a user's own: walks along the diagonal, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: dict[Any, float] = {}
        self.n = 0

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        self.n += 1
        position = 10.0 * len(self.told)
        return [{"_id": self.n, "x": position, "y": position}]

    def ingest(self, points: Any) -> None:
        self.told |= {point["_id"]: point["objective"] for point in points}


def test_agent_of_a_users_own_is_fed_with_what_was_measured(session: Session) -> None:
    uid, _ = session.run(session.find_hotspot(**QUICK | {"agent": Stepping()}))
    died = cut(session, uid, after("primary", 4))
    with pytest.raises(ResumeError, match=r"agent must be an object of Stepping, .*, got None"):
        session.run(session.find_hotspot(resumes=died))

    agent = Stepping()
    resumed, _ = session.run(session.find_hotspot(resumes=died, agent=agent))

    run = open_run(session.store, resumed)
    assert run.x.tolist() == [10.0 * n for n in range(8)]
    np.testing.assert_allclose(sorted(agent.told.values()), sorted(run.result["outcomes"]))


def test_run_whose_decisions_come_out_elsewhere_is_not_resumed(session: Session, uid: str) -> None:
    died = cut(session, uid, after("primary", 4))
    died.streams["decisions"]["x"][2] += 10.0
    with pytest.raises(ResumeError, match="must come out as recorded, got point 2 at"):
        session.run(session.find_hotspot(resumes=died))
