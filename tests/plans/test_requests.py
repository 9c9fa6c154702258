"""The user's hand on a search: points to add, zones, a veto and the end, and what is recorded."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import Msg, RunEngineInterrupted
from ophyd.sim import SynAxis

from bl_steer.agents import Space
from bl_steer.plotting.runs import draw_run
from bl_steer.runs import Run, open_run
from bl_steer.session import open_session
from bl_steer.steering import Requests, differing_decisions, recorded_requests, replay
from plans import find_hotspot
from plans.stubs.per_point import rocking_scan
from tests.plans.searching import DIAGONAL, ListedAgent

COARSE = Space.grid(np.linspace(0.0, 150.0, 11), np.linspace(0.0, 150.0, 11))
GRID = {"x": list(range(0, 101, 10)), "y": list(range(0, 101, 10))}


class Prompt:
    """Pause a run at a message of a point, act, and resume it."""

    def __init__(self, RE: RunEngine, plan: Any, *, point: int, command: str = "wait") -> None:
        self.RE = RE
        self.moves: list[tuple[str, float]] = []
        self._point, self._command, self._n = point, command, 0
        self._is_due, self._stream = False, ""
        RE.msg_hook = self._hook
        with pytest.raises(RunEngineInterrupted):
            RE(plan)
        assert RE.state == "paused"
        self.moves.clear()

    def _hook(self, msg: Msg) -> None:
        if msg.command == "set" and msg.args:
            self.moves.append((msg.obj.name, float(msg.args[0])))
        if msg.command == "create":
            self._stream = msg.kwargs.get("name")
        if msg.command == "save" and self._stream == "decisions":
            self._n += 1
            self._is_due = self._n == self._point + 1
        elif self._is_due and msg.command == self._command:
            self._is_due = False
            self.RE.loop.call_soon(lambda: self.RE.loop.create_task(self.RE._request_pause_coro()))

    def resume(self) -> Any:
        result = self.RE.resume().plan_result
        self.RE.msg_hook = None
        return result


@pytest.fixture
def search() -> Requests:
    return Requests()


def places(run: Run) -> list[tuple[float, float]]:
    return list(zip(run.decisions["x"].tolist(), run.decisions["y"].tolist(), strict=True))


@pytest.mark.parametrize("command", ["set", "wait", "trigger"])
@pytest.mark.parametrize("agent", ["bayesian", "sobol"])
def test_a_point_that_is_vetoed_at_a_pause_is_not_gone_to(
    agent: str,
    command: str,
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
    search: Requests,
) -> None:
    plan = find_hotspot(counter, axes, grid=GRID, budget=14, agent=agent, requests=search)
    prompt = Prompt(RE, plan, point=11, command=command)
    taken_back = search._point
    assert taken_back is not None
    assert repr(search).startswith(f"search: at x = {taken_back['x']:g}, y = ")
    search.veto()
    hotspot = prompt.resume()
    assert hotspot.n_measured == 14
    assert prompt.moves[:2] != [("mx", taken_back["x"]), ("my", taken_back["y"])]
    run = documents.run
    assert (taken_back["x"], taken_back["y"]) not in places(run)
    np.testing.assert_array_equal(run.positions, places(run))
    assert run.decisions["point"].tolist() == list(range(14))
    assert len(documents.events("decisions")) == 15
    assert run.streams["requests"]["takes_back"].tolist() == [12]
    assert differing_decisions(run) == []


def test_points_are_added_and_zones_kept_out_of(
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
    search: Requests,
) -> None:
    plan = find_hotspot(counter, axes, grid=GRID, budget=20, requests=search, move_to_best=True)
    prompt = Prompt(RE, plan, point=12)
    search.add(x=33.0, y=71.0).add(30, 80).add(x=90, y=15)
    search.forbid(box=[[80, 0], [100, 20]])
    for refused, match in (
        (lambda: search.add(x=85, y=10), r"outside the forbidden zones, got x = 85, y = 10 in"),
        (lambda: search.add(x=101, y=10), r"in the grid, 0 … 100 on x, got x = 101; choose"),
        (lambda: search.add(3), r"a point to add must have x, y, got \[3\]; try search\.add\(x"),
        (lambda: search.add(x="3", y=2), r"x of a point to add must be a number, got '3'"),
        (lambda: search.forbid(box=[[0, 0], [100, 100]]), r"all 121 inside; make the zones"),
        (lambda: search.forbid(circle=[1, 2]), r"a zone must have finite numbers"),
    ):
        with pytest.raises(ValueError, match=match):
            refused()
    prompt.resume()
    run = documents.run
    assert places(run)[13:15] == [(33.0, 71.0), (30.0, 80.0)]  # (90, 15) was dropped
    assert run.decisions["reason"].tolist()[13:15] == ["user", "user"]
    assert all(x < 80 or y > 20 for x, y in places(run)[13:])
    assert differing_decisions(run) == []
    assert draw_run(run).axes
    with pytest.raises(ValueError, match="a search must be under way, running or paused"):
        search.add(x=1, y=2)


def test_a_zone_around_the_point_under_way_takes_it_back_and_is_left(
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
    search: Requests,
) -> None:
    plan = find_hotspot(counter, axes, grid=GRID, budget=15, requests=search)
    prompt = Prompt(RE, plan, point=11, command="trigger")  # the stage is there
    x, y = axes[0].position, axes[1].position
    search.forbid(circle=[x, y, 15])
    hotspot = prompt.resume()
    run = documents.run
    assert all(np.hypot(a - x, b - y) > 15 for a, b in places(run)[11:])
    assert np.hypot(hotspot.best_x - x, hotspot.best_y - y) > 15
    assert differing_decisions(run) == []


def test_a_search_is_ended_and_goes_on_when_it_is_resumed(
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
    search: Requests,
) -> None:
    options = {"grid": GRID, "requests": search}
    prompt = Prompt(RE, find_hotspot(counter, axes, budget=20, **options), point=5)
    search.add(x=33.0, y=71.0).end()
    hotspot = prompt.resume()
    first = documents.run
    assert (hotspot.n_measured, hotspot.stop_reason) == (6, "user")
    assert (first.status, first.reason) == ("success", "the user ended the search")
    assert differing_decisions(first) == []
    hotspot = RE(find_hotspot(counter, axes, resumes=first, requests=search)).plan_result
    assert (hotspot.n_measured, hotspot.stop_reason) == (20, "budget")
    assert differing_decisions(documents.run.carrying_on(first)) == []


def test_a_run_that_died_after_a_veto_is_resumed(
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
    search: Requests,
) -> None:
    prompt = Prompt(
        RE, find_hotspot(counter, axes, grid=GRID, budget=15, requests=search), point=11
    )
    search.veto().add(x=33.0, y=71.0)
    prompt.resume()
    undisturbed, kept = documents.run, list(documents.all)
    (last,) = (
        n
        for n, (name, doc) in enumerate(kept, start=1)
        if name == "event" and doc["data"].get("kind") == "add"
    )
    # After the veto, after the second request, its decision, and the point.
    for end in (last - 1, last, last + 1, last + 2):
        died = Run.from_documents(kept[:end])
        assert len(died.decisions["point"]) == (11 if end <= last else 12)
        RE(find_hotspot(counter, axes, resumes=died))
        run = documents.run.carrying_on(died)
        assert run.n_points == 15
        assert (places(run) == places(undisturbed)) is (end >= last)
        assert differing_decisions(run) == []


def test_requests_come_from_another_thread_while_the_search_runs(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any, search: Requests
) -> None:
    asked = threading.Event()

    def ask(name: str, doc: dict[str, Any]) -> None:
        if doc.get("data", {}).get("point") == 12 and not asked.is_set():
            asker = threading.Thread(target=lambda: search.veto() and search.add(x=1, y=2))
            RE.loop.call_soon(asker.start)
            asker_done.append(asker)
            asked.set()

    asker_done: list[threading.Thread] = []
    for axis in axes:
        axis.delay = 0.05
    RE.subscribe(ask)
    RE(find_hotspot(counter, axes, grid=GRID, budget=14, requests=search))
    asker_done[0].join()
    run = documents.run
    assert places(run)[12] == (1.0, 2.0)
    assert run.streams["requests"]["takes_back"].tolist() == [13, 0]
    assert differing_decisions(run) == []


def test_an_agent_that_knows_no_zones_is_asked_again(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any, search: Requests
) -> None:
    agent = ListedAgent([place for place in DIAGONAL if max(place) <= 100])
    plan = find_hotspot(counter, axes, grid=GRID, budget=4, agent=agent, requests=search)
    prompt = Prompt(RE, plan, point=1)
    search.forbid(box=[[25, 25], [50, 50]])
    prompt.resume()
    assert places(documents.run) == [(0.0, 0.0), (15.0, 15.0), (60.0, 60.0), (75.0, 75.0)]
    assert sum(np.isnan(point["objective"]) for point in agent.told) == 2  # 30 and 45


@pytest.mark.parametrize("stop", [None, "W=40"])
def test_a_search_that_chooses_exposures_confirms_when_it_is_ended(
    stop: str | None, tmp_path: Path
) -> None:
    with open_session("smooth", seed=1, data_dir=tmp_path, progress=False) as session:
        search = session.search
        decided: list[int] = []

        def act(name: str, doc: dict[str, Any]) -> None:
            if "reason" in doc.get("data", {}):
                decided.append(doc["data"]["point"])
                if decided[-1] == 11 and decided.count(11) == 1:
                    search.veto().forbid(circle=[0, 0, 20]).add(x=31.0, y=41.0)
                elif decided[-1] == 14:
                    search.end()

        session.watch(act)
        uid, hotspot = session.run(
            session.find_hotspot(
                grid=COARSE, target="total", exposure="adaptive", budget=40, stop=stop
            )
        )
        run = open_run(session.store, uid)
    assert (hotspot.stop_reason, hotspot.confirmed) == ("user", True)
    assert hotspot.n_measured < 40
    assert run.decisions["reason"][11] == "user"
    assert run.decisions["reason"][-1] in ("compare", "confirm")
    assert differing_decisions(run) == []
    again = replay(
        run.steering, run.axes, run.results(), requests=recorded_requests(run.streams["requests"])
    )
    assert next(again).x == run.decisions["x"][0]


@pytest.mark.parametrize("pareto", [False, True])
def test_a_search_for_several_targets_heeds_the_user(pareto: bool, tmp_path: Path) -> None:
    with open_session("smooth", seed=2, data_dir=tmp_path, progress=False) as session:
        search, vetoed = session.search, []

        def act(name: str, doc: dict[str, Any]) -> None:
            data = doc.get("data", {})
            if "reason" in data and data["point"] == 11 and not vetoed:
                vetoed.append((data["x"], data["y"]))
                search.veto().add(x=31.0, y=41.0).forbid(circle=[120, 120, 30])
            elif "reason" in data and data["point"] == 13:
                search.end()

        session.watch(act)
        targets = ["ref:x=0.45,R=0.9,tilt=0", "ref:x=0.2,R=0.9,tilt=0.3"]
        plan = session.find_hotspot(grid=COARSE, target=targets, pareto=pareto, budget=20)
        uid, hotspot = session.run(plan)
        run = open_run(session.store, uid)
    assert (hotspot.stop_reason, hotspot.n_measured) == ("user", 14)
    assert places(run)[11] == (31.0, 41.0)
    assert vetoed[0] not in places(run)
    assert run.decisions["reason"][11] == "user"
    assert differing_decisions(run) == []


def test_a_rocking_scan_is_taken_back_before_its_first_event_only(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any, search: Requests
) -> None:
    scan = rocking_scan(SynAxis(name="eta"), -1, 1, 3)
    options = {"grid": GRID, "agent": "sobol", "per_point": scan, "requests": search}
    prompt = Prompt(
        RE, find_hotspot(counter, axes, budget=4, **options), point=2, command="trigger"
    )
    search.veto()
    prompt.resume()
    run = documents.run
    assert run.n_points == 4
    assert [len(rows) for rows in run.events_of] == [3] * 4
    assert differing_decisions(run) == []
    prompt = Prompt(RE, find_hotspot(counter, axes, budget=4, **options), point=2, command="save")
    with pytest.raises(ValueError, match="a veto must come between the decision for a point and"):
        search.veto()
    prompt.resume()
    assert "requests" not in documents.run.streams
