"""A client of the soft IOC, in a process of its own: `test_ioc` runs it and reads what it leaves.

Usage: epics_client.py PREFIX DATA_DIR
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import RunEngineInterrupted
from ophyd.utils import LimitError

from bl_steer.agents import Space
from bl_steer.session import Session, epics, open_session

BUDGET = 14
SWEPT = 8


def refusals(session: Session) -> dict[str, Any]:
    """Ask for what lies beyond the limits, and tell what came of it."""
    stage, det = session.devices["stage"], session.devices["det"]
    session.RE(bps.mv(stage.x, 20.0, stage.y, 30.0))
    refused = {}
    wide = Space.grid([0.0, 200.0], [0.0, 30.0])
    asked: dict[str, Callable[[], object]] = {
        "grid": lambda: session.RE(session.find_hotspot(grid=wide, budget=2)),
        "move": lambda: session.RE(bps.mv(stage.x, 161.0)),
    }
    for name, ask in asked.items():
        try:
            ask()
        except (ValueError, LimitError) as error:
            refused[name] = str(error)
    stage.x.user_setpoint.put(161.0, force=True, wait=True)
    time.sleep(1.0)  # until the monitors have told of a put that the axis does not know of
    refused["record"] = float(stage.x.user_setpoint.get(use_monitor=False))
    return {
        **refused,
        "limits": list(stage.x.limits),
        "position": [stage.x.position, stage.y.position],
        "state": det.state.get(),
    }


def stopped_move(session: Session) -> dict[str, float]:
    """Stop a motion on its way, then make the next one."""
    x = session.devices["stage"].x
    speed = x.velocity.get()
    x.velocity.set(0.5).wait(60.0)
    status = x.set(150.0)
    time.sleep(0.5)
    x.stop()
    status.wait(60.0)
    at = float(x.position)
    x.velocity.set(speed).wait(60.0)
    x.set(90.0).wait(60.0)
    return {"at": at, "next": float(x.position)}


def paused_run(session: Session) -> dict[str, Any]:
    """Steer, and pause twice: while the stage moves, and while the detector exposes."""
    counts = {"moving": 0, "exposing": 0}

    def pause_at(what: str, number: int, edge: int) -> Callable[..., None]:
        def on_change(*, value: int, old_value: int, **_: object) -> None:
            if value == edge != old_value:
                counts[what] += 1
                if counts[what] == number:
                    threading.Thread(target=session.RE.request_pause).start()

        return on_change

    det, stage = session.devices["det"], session.devices["stage"]
    stage.x.motor_done_move.subscribe(pause_at("moving", 4, 0), run=False)
    det.busy.subscribe(pause_at("exposing", 8, 1), run=False)
    begun = time.perf_counter()
    pauses = 0
    done = None
    resume: Callable[[], Any] = lambda: session.RE(session.find_hotspot(budget=BUDGET))  # noqa: E731
    while done is None:
        try:
            done = resume()
        except RunEngineInterrupted:
            pauses += 1
            resume = session.RE.resume
    return {
        "pauses": pauses,
        "uid": done.run_start_uids[0],
        "best": [done.plan_result.best_x, done.plan_result.best_y],
        "stop_reason": done.plan_result.stop_reason,
        "ms_per_point": 1000.0 * (time.perf_counter() - begun) / BUDGET,
    }


def repeated_sets(session: Session) -> list[float]:
    """Set a value while another set of it is under way, as after a pause; return what is left."""
    exposure = session.devices["det"].exposure_time
    usual = float(exposure.get())
    for status in [exposure.set(value) for value in (2.0 * usual, 2.0 * usual, 3.0 * usual)]:
        status.wait(60.0)
    left = float(exposure.get(use_monitor=False))
    exposure.set(usual).wait(60.0)
    return [left / usual, float(exposure.get(use_monitor=False)) / usual]


def swept_circle(session: Session) -> dict[str, Any]:
    """Turn the circle through the reflection while the detector takes its series."""
    det, eta = session.devices["det"], session.devices["diffractometer"].eta
    encoder: list[float] = []
    speed, exposure_s = eta.velocity.get(), det.exposure_time.get()

    def sweep() -> Any:
        yield from bps.mv(eta, -1.0)
        yield from bps.mv(eta.velocity, 2.0 / (SWEPT * exposure_s), det.n_frames, SWEPT)
        yield from bps.abs_set(eta, 1.0, group="sweep")
        yield from bps.trigger(det, group="sweep")
        yield from bps.wait("sweep")

    token = eta.user_readback.subscribe(lambda value, **_: encoder.append(value), run=False)
    session.RE(sweep())
    eta.user_readback.unsubscribe(token)
    frames = det.frames().sum(axis=(1, 2)).tolist()
    session.RE(bps.mv(det.n_frames, 1, eta.velocity, speed))
    session.RE(bps.mv(eta, 0.0))
    return {"frames": frames, "encoder": encoder, "end": float(eta.position)}


def main(prefix: str, data_dir: str) -> None:
    instrument = epics(prefix=prefix, settle_s=0.02, timeout_s=60.0)
    with open_session(instrument, data_dir=data_dir, progress=False) as session:
        report = {
            "read_timeout_s": session.devices["det"].n_frames.timeout,
            "refusals": refusals(session),
            "stopped": stopped_move(session),
            "repeated": repeated_sets(session),
            "swept": swept_circle(session),
            "run": paused_run(session),
        }
    Path(data_dir, "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
