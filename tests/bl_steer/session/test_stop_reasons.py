"""Why a run ended is in its stop document, in the list of runs, and in what is shown of it."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import MsgGenerator, RunEngineInterrupted

from bl_steer.agents import Space
from bl_steer.cli import main
from bl_steer.runs import Run, list_runs, open_run
from bl_steer.session import Session, film, open_session

GRID = Space.grid([0.0, 50.0], [0.0, 50.0])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("data")
    with open_session(film("smooth"), data_dir=folder, progress=False) as opened:
        yield opened


def pausing(plan: Any) -> MsgGenerator[Any]:
    """Pause when the first event is recorded."""
    paused = False

    def after_save(msg: Any) -> Any:
        nonlocal paused
        if msg.command != "save" or paused:
            return None, None
        paused = True
        return None, bps.pause()

    return (yield from bpp.plan_mutator(plan, after_save))


def interrupted(session: Session, plan: Any, end: str, *reason: str) -> Run:
    with pytest.raises(RunEngineInterrupted):
        session.RE(pausing(plan))
    getattr(session.RE, end)(*reason)
    return open_run(session.store, -1)


def plan_of(session: Session, name: str) -> Any:
    if name == "count":
        return bp.count([session.devices["monitor"]], num=3)
    return getattr(session, name)(grid=GRID)


def press_ctrl_c() -> None:
    """Have SIGINT taken by this thread, as the system may give it to any."""
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def test_ctrl_c_that_another_thread_is_given_ends_a_run(session: Session) -> None:
    threading.Timer(0.3, press_ctrl_c).start()
    with pytest.raises(KeyboardInterrupt):
        session.run(bp.count([session.devices["monitor"]], num=200, delay=0.05))
    assert open_run(session.store, -1).status == "abort"


def test_ctrl_c_after_the_last_checkpoint_ends_the_script_and_not_the_run(session: Session) -> None:
    def plan() -> MsgGenerator[None]:
        yield from bp.count([session.devices["monitor"]])
        press_ctrl_c()  # in the RunEngine's thread

    with pytest.raises(KeyboardInterrupt):
        session.run(plan())
    assert open_run(session.store, -1).status == "success"
    session.run(bp.count([session.devices["monitor"]]))


def test_ctrl_c_while_the_catalogue_is_waited_for_is_heard(tmp_path: Path) -> None:
    with open_session(film("smooth"), data_dir=tmp_path, progress=False) as session:
        settle = session.store.settle

        def settle_and_interrupt() -> None:
            settle()
            signal.raise_signal(signal.SIGINT)

        session.store.settle = settle_and_interrupt  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            session.run(bp.count([session.devices["monitor"]]))
        del session.store.settle
        assert open_run(session.store, -1).status == "success"


@pytest.mark.parametrize("name", ["find_hotspot", "map_sample", "count"])
def test_the_reason_of_an_abort_is_in_the_record_and_in_the_list(
    session: Session, name: str
) -> None:
    run = interrupted(session, plan_of(session, name), "abort", "the shutter was left closed")
    assert run.stop is not None
    assert (run.status, run.stop["reason"]) == ("abort", "the shutter was left closed")
    assert list_runs(session.store)[-1].reason == run.reason == run.stop["reason"]


def test_a_stopped_run_says_so_and_the_next_run_says_nothing(session: Session) -> None:
    run = interrupted(session, plan_of(session, "find_hotspot"), "stop")
    assert (run.status, run.reason) == ("success", "stopped by RE.stop()")
    assert run.result is not None
    assert run.result["stop_reason"] == "interrupted"
    uid, _ = session.run(session.find_hotspot(budget=2, grid=GRID))
    run = open_run(session.store, uid)
    assert (run.status, run.reason) == ("success", "")


def test_an_aborted_run_without_a_reason_and_a_halted_one_have_none(session: Session) -> None:
    for end in ("abort", "halt"):
        run = interrupted(session, plan_of(session, "count"), end)
        assert (run.status, run.reason) == ("abort", "")


def failing(session: Session, error: Exception) -> MsgGenerator[None]:
    async def fail() -> None:
        raise error

    @bpp.run_decorator(md={})
    def plan() -> MsgGenerator[None]:
        (task,) = yield from bps.wait_for([fail])
        task.result()

    yield from plan()


@pytest.mark.parametrize(
    ("close", "reason"),
    [
        ({"exit_status": "fail", "reason": "the sample fell off"}, "the sample fell off"),
        ({"exit_status": "abort", "reason": "no sample"}, "no sample"),
        ({}, ""),
    ],
)
def test_a_reason_of_the_plans_own_stays(
    session: Session, close: dict[str, str], reason: str
) -> None:
    def plan() -> MsgGenerator[None]:
        yield from bps.open_run({})
        yield from bps.close_run(**close)

    (uid,) = session.RE(plan()).run_start_uids
    assert open_run(session.store, uid).reason == reason


def test_an_exception_tells_its_text_or_else_its_name(session: Session) -> None:
    with pytest.raises(OSError, match="no space"):
        session.RE(failing(session, OSError("no space")))
    assert open_run(session.store, -1).reason == "no space"

    class Mute:
        name, parent = "mute", None

        def read(self) -> dict[str, Any]:
            raise TimeoutError

        def describe(self) -> dict[str, Any]:
            return {}

    with pytest.raises(TimeoutError):
        session.RE(bp.count([Mute()]))
    run = open_run(session.store, -1)
    assert (run.status, run.reason) == ("fail", "TimeoutError")


def test_show_and_runs_tell_the_reason_of_a_run_without_points_too(
    session: Session,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = interrupted(session, plan_of(session, "find_hotspot"), "abort", "beam lost at 12:03")
    data, report = ["--data", str(session.store.path)], tmp_path / "report.json"
    assert main(["runs", *data, "--json", str(report)]) == 0
    assert "abort: beam lost at 12:03" in capsys.readouterr().out
    assert json.loads(report.read_text())[-1]["reason"] == run.reason
    assert main(["show", "-1", *data, "--json", str(report)]) == 0
    assert "beam lost at 12:03" in capsys.readouterr().out
    shown = json.loads(report.read_text())
    assert (shown["reason"], shown["n_points"], shown["figure"]) == (run.reason, 0, None)
