"""A client that lives through faults over Channel Access; `test_matrix` reads what it reports.

Usage: matrix_client.py FOLDER

``FOLDER/jobs.json`` holds rows of the matrix by name, and names of what is said in `OTHERS`. The
client serves the IOC itself, so that it can kill it and bring it back.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.suspenders import SuspendFloor
from bluesky.utils import RunEngineInterrupted

import devices.detector
import devices.frames_file
import devices.motor
from tests.plans.fault_matrix import AT, GIVES_UP_S
from tests.simulators.epics.bench import Bench

logger = logging.getLogger(__name__)


def live_through(bench: Bench, run: Callable[[], Any]) -> dict[str, Any]:
    """Run, and tell how it ended and what it left."""
    error: BaseException | None = None
    begun = time.monotonic()
    try:
        run()
    except Exception as raised:
        error = raised
    seconds = time.monotonic() - begun
    bench.connect()
    time.sleep(0.1)  # until the monitors have told
    axes = (bench.stage.x, bench.stage.y)
    for thread in threading.enumerate():
        if thread.name.startswith(("think", "read")):
            thread.join(timeout=60.0)
    return {
        "uid": bench.session.db[-1].metadata["start"]["uid"],
        "error": type(error).__name__ if error else None,
        "message": str(error) if error else "",
        "seconds": seconds,
        "at_rest": [axis.motor_done_move.get() == 1 for axis in axes],
        "within": [axis.limits[0] <= axis.position <= axis.limits[1] for axis in axes],
        "thinking": [t.name for t in threading.enumerate() if t.name.startswith(("think", "read"))],
        "children": [child.name for child in multiprocessing.active_children()],
    }


def lived_row(bench: Bench, row: dict[str, Any]) -> dict[str, Any]:
    """Live through a row of the matrix."""
    bench.make_ready(row["n_frames"])
    bench.switchboard.put(" ".join(row["faults"]), wait=True)
    away = any(fault.endswith("=1000") for fault in row["faults"])

    def run() -> None:
        try:
            bench.session.RE(bench.search(budget=row["budget"]))
        finally:
            if away:  # for ever: another IOC comes in its place
                bench.kill()
                bench.serve()

    return live_through(bench, run)


def at_exposure(bench: Bench, act: Callable[[], object]) -> Callable[[], None]:
    """Let something be done in the midst of exposure `AT`; return what ends that."""
    n_exposed = 0

    def on_change(*, value: int, old_value: int, **_: object) -> None:
        nonlocal n_exposed
        if value == 1 != old_value:
            n_exposed += 1
            if n_exposed == AT + 1:
                threading.Thread(target=act).start()

    token = bench.det.busy.subscribe(on_change, run=False)
    return lambda: bench.det.busy.unsubscribe(token)


def ioc_killed(bench: Bench) -> dict[str, Any]:
    """Kill the IOC in an exposure, bring it back, and carry the run on."""
    bench.make_ready()
    forget = at_exposure(bench, bench.kill)

    def run() -> None:
        try:
            bench.session.RE(bench.search())
        finally:
            forget()
            bench.serve()

    lived = live_through(bench, run)
    bench.make_ready()
    bench.session.RE(bench.search(resumes=lived["uid"]))
    return {**lived, "resumed": bench.session.db[-1].metadata["start"]["uid"]}


def ioc_killed_in_motion(bench: Bench) -> dict[str, Any]:
    """Kill the IOC while the stage moves."""
    bench.make_ready()
    bench.session.RE(bps.mv(bench.stage.x.velocity, 2.0))  # × the speed-up
    n_moves = 0

    def on_change(*, value: int, old_value: int, **_: object) -> None:
        nonlocal n_moves
        if value == 0 != old_value:
            n_moves += 1
            if n_moves == AT:
                bench.kill()

    token = bench.stage.x.motor_done_move.subscribe(on_change, run=False)

    def run() -> None:
        try:
            bench.session.RE(bench.search())
        finally:
            bench.stage.x.motor_done_move.unsubscribe(token)
            bench.serve()

    return live_through(bench, run)


def disk_full(bench: Bench) -> dict[str, Any]:
    """Let the disk be full from point `AT` on."""
    bench.make_ready()
    usual = devices.frames_file.SPARE_BYTES

    def fill(name: str, doc: dict[str, Any]) -> None:
        if name == "event" and "det_total" in doc["data"] and doc["seq_num"] == AT:
            devices.frames_file.SPARE_BYTES = 2**62

    token = bench.session.RE.subscribe(fill)
    lived = live_through(bench, lambda: bench.session.RE(bench.search()))
    bench.session.RE.unsubscribe(token)
    devices.frames_file.SPARE_BYTES = usual
    return lived


def store_away(bench: Bench) -> dict[str, Any]:
    """Let the catalogue be away from point `AT` on, and bring it back after the run."""
    bench.make_ready()
    tables, away = (bench.folder / "data" / name for name in ("tables.db", "away"))

    def lose(name: str, doc: dict[str, Any]) -> None:
        if name == "event" and "det_total" in doc["data"] and doc["seq_num"] == AT:
            tables.rename(away)
            tables.mkdir()

    token = bench.session.RE.subscribe(lose)

    def run() -> None:
        try:
            bench.session.RE(bench.search())
        finally:
            bench.session.RE.unsubscribe(token)
            tables.rmdir()
            away.rename(tables)
            bench.session.store.sync()

    return live_through(bench, run)


def typed(bench: Bench, *, times: int) -> Callable[[], None]:
    """Let Ctrl-C be typed in exposure `AT`, once or more often."""

    def type_ctrl_c() -> None:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    return at_exposure(bench, type_ctrl_c)


def ctrl_c_once(bench: Bench) -> dict[str, Any]:
    """Type Ctrl-C once, and let the run go on."""
    bench.make_ready()
    forget = typed(bench, times=1)
    states = []

    def run() -> None:
        try:
            bench.session.RE(bench.search())
        except RunEngineInterrupted:
            forget()
            states.append(bench.session.RE.state)
            bench.session.RE.resume()

    return {**live_through(bench, run), "states": states}


def ctrl_c_twice(bench: Bench) -> dict[str, Any]:
    """Type Ctrl-C twice while the detector hangs, and give the run up."""
    bench.make_ready()
    devices.detector.READOUT_MARGIN_S = 600.0
    bench.switchboard.put(f"hang@{AT}", wait=True)
    forget = typed(bench, times=2)
    states = []

    def run() -> None:
        try:
            bench.session.RE(bench.search())
        except RunEngineInterrupted:
            states.append(bench.session.RE.state)
            bench.session.RE.abort()
        finally:
            forget()

    lived = live_through(bench, run)
    devices.detector.READOUT_MARGIN_S = GIVES_UP_S
    return {**lived, "states": states}


def suspended(bench: Bench) -> dict[str, Any]:
    """Lose the ring current in an exposure, and have it back after a second."""
    bench.make_ready()
    suspender = SuspendFloor(bench.current, 50.0, resume_thresh=90.0)
    bench.session.RE.install_suspender(suspender)
    n_triggers = 0

    def lose() -> None:
        bench.current.put(0.0)
        time.sleep(1.0)
        bench.current.put(100.0)

    def count(msg: Any) -> None:
        nonlocal n_triggers
        n_triggers += msg.command == "trigger" and msg.obj is bench.det

    forget = at_exposure(bench, lose)
    bench.session.RE.msg_hook = count
    lived = live_through(bench, lambda: bench.session.RE(bench.search()))
    bench.session.RE.msg_hook = None
    forget()
    bench.session.RE.remove_suspender(suspender)
    return {**lived, "triggers": n_triggers}


def undisturbed(bench: Bench) -> dict[str, Any]:
    """Let nothing go wrong."""
    bench.make_ready()
    return live_through(bench, lambda: bench.session.RE(bench.search()))


OTHERS = {
    "nothing": undisturbed,
    "IOC is killed in an exposure": ioc_killed,
    "IOC is killed in a move": ioc_killed_in_motion,
    "disk is full": disk_full,
    "store is away": store_away,
    "Ctrl-C once": ctrl_c_once,
    "Ctrl-C twice": ctrl_c_twice,
    "ring current is lost": suspended,
}


def main(folder: Path) -> None:
    devices.motor.ARRIVAL_MARGIN_S = GIVES_UP_S
    devices.detector.READOUT_MARGIN_S = GIVES_UP_S
    jobs = json.loads((folder / "jobs.json").read_text())
    bench = Bench(folder)
    report: dict[str, Any] = {}
    try:
        for name, row in jobs.items():
            began = time.monotonic()
            report[name] = lived_row(bench, row) if row else OTHERS[name](bench)
            logger.warning("%-30s %5.1f s", name, time.monotonic() - began)
    finally:
        bench.close()
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    main(Path(sys.argv[1]))
