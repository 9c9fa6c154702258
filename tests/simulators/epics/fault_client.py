"""A client of a soft IOC that misbehaves and is killed in the end; `test_ioc` reads its report.

Usage: fault_client.py PREFIX DATA_DIR PID_OF_IOC
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import FailedStatus
from ophyd import EpicsSignal

import devices.detector
import devices.motor
from bl_steer.session import Session, epics, open_session
from tests.plans.fault_matrix import GIVES_UP_S

MOTOR_FAULTS = ("stall@0:x", "limit@0:x", "lie@0:x=0.4", "disconnect@0:x=1")
DETECTOR_FAULTS = ("hang@0", "disconnect@0:det=1")


def misfortunes(session: Session, prefix: str) -> dict[str, Any]:
    """Let things go wrong, and tell how each was reported, after how long, and what came after."""
    stage, det = session.devices["stage"], session.devices["det"]
    switchboard = EpicsSignal(f"{prefix}FAULTS", name="faults")
    switchboard.wait_for_connection(timeout=60.0)
    told = {}
    for fault in MOTOR_FAULTS + DETECTOR_FAULTS:
        session.RE(bps.mv(stage.x, 0.0))
        switchboard.put(fault, wait=True)
        plan = bps.mv(stage.x, 60.0) if fault in MOTOR_FAULTS else bps.trigger(det, wait=True)
        begun = time.monotonic()
        try:
            session.RE(plan)
        except FailedStatus as error:
            told[fault] = [str(error.__cause__), time.monotonic() - begun]
        for device in (stage, det, switchboard):
            device.wait_for_connection(timeout=60.0)
        switchboard.put("", wait=True)
        det.stop()
        session.RE(bps.mv(stage.x, 30.0))
        session.RE(bps.trigger(det, wait=True))
        told[fault].append(float(stage.x.position))
    return told


def killed(session: Session, ioc: int) -> dict[str, Any]:
    """Steer, and kill the IOC in the midst of the third exposure."""
    det = session.devices["det"]
    exposed = []

    def kill(*, value: int, old_value: int, **_: object) -> None:
        if value == 1 != old_value:
            exposed.append(time.monotonic())
            if len(exposed) == 3:
                os.kill(ioc, signal.SIGKILL)

    det.busy.subscribe(kill, run=False)
    error: BaseException | None = None
    try:
        session.RE(session.find_hotspot(budget=8))
    except Exception as raised:
        error = raised
    run = session.store.catalog[-1]
    return {
        "error": str(error),
        "seconds": time.monotonic() - exposed[-1],
        "reason": run.metadata["stop"]["reason"],
        "n_points": len(exposed) - 1,
    }


def main(prefix: str, data_dir: str, ioc: str) -> None:
    devices.motor.ARRIVAL_MARGIN_S = GIVES_UP_S
    devices.detector.READOUT_MARGIN_S = GIVES_UP_S
    instrument = epics(prefix=prefix, settle_s=0.02, timeout_s=60.0)
    with open_session(instrument, data_dir=data_dir, progress=False) as session:
        session.RE(bps.mv(session.devices["det"].exposure_time, 0.5))
        report = {"told": misfortunes(session, prefix)}
        report["killed"] = killed(session, int(ioc))
    Path(data_dir, "faults.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
