"""Plans through a real queue server with a real Redis, and an agent outside that submits points."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("bluesky_queueserver")

from bl_steer.agents import Space
from bl_steer.runs import RecordsAlone, Run
from bl_steer.session import (
    QueueError,
    RunQueue,
    steer_through_queue,
)
from bl_steer.steering import Decision, SuggestionError
from tests import fork_server
from tests.bl_steer.session.queue_server import LINES, SHELL, QueueServer, free_port

REDIS = shutil.which("redis-server")
GRID = {"x": {"start": 0, "stop": 150, "num": 11}, "y": {"start": 0, "stop": 150, "num": 11}}
ZONE = {"box": [[0, 0], [40, 150]]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueServer]:
    if REDIS is None:
        pytest.skip("left out: the queue server, which needs redis-server (make system)")
    server = QueueServer(tmp_path_factory.mktemp("queue"))
    try:
        server.open()
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def _empty_queue(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server").queue.call("queue_clear")


def steering(server: QueueServer, **options: Any) -> Any:
    usual = {"grid": GRID, "budget": 4, "seed": 3, "monitor": "monitor", "exposure_s": 1}
    return steer_through_queue(server.queue, RecordsAlone(server.data), **(usual | options))


def check_each_cell_gave_one_point(run: Run) -> None:
    """No cell is lost and none counts twice: measured again is what the detector did not see."""
    assert run.status == "success"
    cells = Space.from_dict(GRID).points.tolist()
    assert sorted(run.positions[run.valid].tolist()) == sorted(cells)
    lost = np.flatnonzero(~run.valid)  # a frame in 300 on this film, by chance
    assert not run.total[lost].any()
    assert run.positions[lost + 1].tolist() == run.positions[lost].tolist()


def test_two_runs_in_a_row_by_name_are_in_the_store(server: QueueServer) -> None:
    rocking = {"name": "rocking_scan", "axis": "diffractometer.eta", "start": -1, "stop": 1, "n": 3}
    server.add("find_hotspot", "det", "stage", monitor="monitor", budget=3, grid=GRID)
    server.add("map_sample", "det", ["stage.x", "stage.y"], points=[[15, 30]], per_point=rocking)
    steered, mapped = server.run()
    assert [steered["exit_status"], mapped["exit_status"]] == ["completed", "completed"]
    run = server.stored(steered["run_uids"][0])
    assert (run.status, run.n_points, len(run.decisions["x"])) == ("success", 3, 3)
    assert run.result is not None
    run = server.stored(mapped["run_uids"][0])
    assert (run.n_points, len(run.primary["seq_num"])) == (1, 3)
    assert run.positions.tolist() == [[15.0, 30.0]]


def test_paused_run_goes_on_and_no_point_is_recorded_twice(server: QueueServer) -> None:
    server.add("map_sample", "det", "stage", monitor="monitor", grid=GRID)
    server.queue.call("queue_start")
    uid = server.measuring(3)
    server.queue.call("re_pause", option="immediate")
    server.until(lambda s: s["manager_state"] == "paused")
    server.queue.call("re_resume")
    server.until(lambda s: s["manager_state"] == "idle")
    check_each_cell_gave_one_point(server.stored(uid))


def test_aborted_run_keeps_its_points_and_goes_on_under_its_uid(server: QueueServer) -> None:
    server.add("find_hotspot", "det", "stage", budget=12, grid=GRID, target="total")
    server.queue.call("queue_start")
    uid = server.measuring(3)
    server.queue.call("re_pause", option="deferred")
    server.until(lambda s: s["manager_state"] == "paused")
    server.queue.call("re_abort")
    server.until(lambda s: s["manager_state"] == "idle")
    assert server.history()[-1]["result"]["exit_status"] == "aborted"
    broken = server.stored(uid)
    assert broken.status == "abort"
    server.queue.call("queue_clear")  # the server puts an aborted plan back
    server.add("find_hotspot", "det", "stage", resumes=uid[:8])
    (result,) = server.run()
    assert result["exit_status"] == "completed", result["msg"]
    run = server.stored(result["run_uids"][0])
    assert run.steering["resumes"] == uid
    assert run.n_points == 12


def test_killed_worker_leaves_its_points_and_another_goes_on(server: QueueServer) -> None:
    server.add("map_sample", "det", "stage", monitor="monitor", grid=GRID)
    server.queue.call("queue_start")
    uid = server.measuring(3)
    server.queue.call("environment_destroy")
    server.until(lambda s: not s["worker_environment_exists"] and s["manager_state"] == "idle")
    assert "destroyed" in server.history()[-1]["result"]["msg"]
    assert server.stored(uid).n_points >= 3
    server.queue.call("queue_clear")
    server.open()
    server.add("map_sample", "det", "stage", monitor="monitor", resumes=uid[:8])
    (result,) = server.run()
    assert result["exit_status"] == "completed", result["msg"]
    check_each_cell_gave_one_point(server.stored(result["run_uids"][0]))


def test_agent_outside_measures_the_points_of_its_decisions(server: QueueServer) -> None:
    asked: list[Decision] = []

    def approve(decision: Decision) -> bool:
        asked.append(decision)
        return True

    steered = steering(server, budget=5, approve=approve, md={"operator": "me"})
    assert steered.stop_reason == "budget"
    runs = [server.stored(uid) for uid in steered.uids]
    assert [r.positions.tolist() for r in runs] == [[[d.x, d.y]] for d in asked]
    assert [r.start["decision"]["point"] for r in runs] == [0, 1, 2, 3, 4]
    assert {r.start["operator"] for r in runs} == {"me"}
    assert max(d.best_so_far for d in asked[1:]) > 0.0
    space = Space.from_dict(GRID)
    assert space.cell_of(steered.best.x, steered.best.y) is not None
    assert not server.queue.call("queue_get")["items"]


def test_point_that_a_person_declines_is_not_submitted(server: QueueServer) -> None:
    answers = iter([True, False])
    steered = steering(server, approve=lambda _: next(answers))
    assert (steered.stop_reason, len(steered.uids)) == ("declined", 1)
    assert not server.queue.call("queue_get")["items"]


class Wanderer:
    """An agent that suggests one position, whatever it is told."""

    def __init__(self, x: float, y: float) -> None:
        self.point = {"_id": 0, "x": x, "y": y}

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        return [dict(self.point)]

    def ingest(self, points: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("agent", "problem"),
    [
        (Wanderer(160.0, 75.0), "must lie in the grid"),
        (Wanderer(15.0, 75.0), "must lie outside the forbidden zones"),
    ],
)
def test_agent_outside_cannot_submit_what_is_beyond_its_bounds(
    server: QueueServer, agent: Any, problem: str
) -> None:
    known = len(server.history())
    with pytest.raises(SuggestionError, match=problem):
        steering(server, agent=agent, forbidden=[ZONE])
    assert len(server.history()) == known


@pytest.mark.parametrize(
    ("kwargs", "problem"),
    [
        ({"points": [[15, 75]], "forbidden": [ZONE]}, "lies in the forbidden zone"),
        ({"points": [[160, 75]]}, "lies outside"),
        ({"grid": {"x": [0, 1e4], "y": [0, 5]}, "points": [[1e4, 0]]}, "within its limits"),
    ],
)
def test_plan_refuses_a_forged_point_before_anything_moves(
    server: QueueServer, kwargs: dict[str, Any], problem: str
) -> None:
    n_runs = len(server.uids())
    with pytest.raises(QueueError, match=problem):
        server.queue.run("map_sample", "det", "stage", **({"grid": GRID} | kwargs))
    assert len(server.uids()) == n_runs  # not even begun
    assert not server.queue.call("queue_get")["items"]


def test_what_the_server_refuses_is_told_with_its_words(server: QueueServer) -> None:
    with pytest.raises(QueueError, match=r"refused queue_item_add: [\s\S]*budget"):
        server.queue.run("find_hotspot", "det", "stage", budget="many")
    with pytest.raises(QueueError, match="no_such_plan"):
        server.queue.run("no_such_plan")


def test_agent_outside_ends_where_nothing_can_carry_its_point_out(server: QueueServer) -> None:
    def close(decision: Decision) -> bool:
        if decision.point == 1:
            server.queue.call("environment_close")
            server.until(lambda s: not s["worker_environment_exists"])
        return True

    with pytest.raises(QueueError, match="refused queue_start"):
        steering(server, approve=close)
    assert not server.queue.call("queue_get")["items"]
    server.open()


def test_plan_that_is_aborted_is_told_and_leaves_the_queue(server: QueueServer) -> None:
    with ThreadPoolExecutor(1) as other, RunQueue(server.address, timeout_s=180.0) as queue:
        told = other.submit(queue.run, "map_sample", "det", "stage", grid=GRID)
        server.measuring(2)
        server.queue.call("re_pause", option="immediate")
        server.until(lambda s: s["manager_state"] == "paused")
        assert not told.done()  # a pause is waited for
        server.queue.call("re_abort")
        with pytest.raises(QueueError, match="must be carried out, got it aborted"):
            told.result(60.0)
    assert not server.queue.call("queue_get")["items"]


@pytest.mark.skipif(REDIS is None, reason="redis-server is missing (make system)")
def test_fifteen_lines_steer_devices_of_ophyd_sim(tmp_path: Path) -> None:
    lines = [line for block in LINES.values() for line in block.splitlines()]
    assert sum(bool(line) for line in lines) == 15
    done: dict[str, Callable[[dict[str, Any]], bool]] = {
        "qserver environment open": lambda s: bool(s["worker_environment_exists"]),
        "qserver queue add": lambda s: s["items_in_queue"] == 1,
        "qserver queue start": lambda s: s["items_in_history"] == 1,
        "bl-steer show": lambda s: True,
    }
    server = QueueServer(tmp_path, LINES["python"])
    environment = {k: v for k, v in server.environment.items() if not k.startswith("BL_STEER_")}
    try:
        server.until(lambda s: s["manager_state"] == "idle")
        for line in (line for line in SHELL if not line.endswith("&")):
            command, *options = shlex.split(line)
            told = fork_server.run(
                [*server.words(command), *options],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
            )
            printed = told.stdout
            # 3: on a busy machine the answer may take more than the 2 s that qserver waits for it.
            assert told.returncode in ((0, 3) if line.startswith("qserver") else (0,)), printed
            (reached,) = (done[start] for start in done if line.startswith(start))
            server.until(lambda s, reached=reached: reached(s) and s["manager_state"] == "idle")
    finally:
        server.close()
    shown = {line[:22].strip(): line[22:] for line in printed.splitlines()}
    assert (shown["status"], shown["n_points"]) == ("success", "24")
    best = [float(shown[f"best_{axis}"]) for axis in "xy"]
    assert np.hypot(best[0] - 60.0, best[1] - 100.0) <= 5.0


def test_like_plan_of_somebody_else_stays_in_the_queue(server: QueueServer) -> None:
    kwargs: dict[str, Any] = {"points": [[160, 75]], "grid": GRID}
    theirs = server.add("map_sample", "det", "stage", **kwargs)
    with (
        RunQueue(server.address, start=False, timeout_s=1.0) as queue,
        pytest.raises(QueueError, match="map_sample must be done within 1 s"),
    ):
        queue.run("map_sample", "det", "stage", **kwargs)
    assert [item["item_uid"] for item in server.queue.call("queue_get")["items"]] == [theirs]


def test_silent_server_is_told_with_its_address() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with RunQueue(address, timeout_s=1.0) as queue, pytest.raises(QueueError, match=address):
        queue.call("status")
