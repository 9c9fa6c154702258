"""Steer to the brightest spot with devices that nobody here wrote, in a process of their own.

Each way to go is a function that returns a detector and two axes; `test_servers` runs those of a
server one after the other beside it and reads what they print, a line each.

Usage: clients.py DATA_DIR DETECTOR_DIR NAME …
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.plans import count
from ophyd import (
    Component,
    Device,
    EpicsMotor,
    EpicsSignal,
    EpicsSignalRO,
    PVPositioner,
    SoftPositioner,
)
from ophyd.areadetector import EigerDetector, PilatusDetector, SimDetector, SingleTrigger
from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite
from ophyd.areadetector.plugins import HDF5Plugin_V34
from ophyd.signal import EpicsSignalBase
from ophyd.status import SubscriptionStatus

from bl_steer.runs import Run, open_run
from bl_steer.steering import differing_decisions
from bl_steer.store import Store
from plans import find_hotspot

BUDGET = 14
GRID = {"x": {"start": 0, "stop": 9, "num": 7}, "y": {"start": 0, "stop": 6, "num": 5}}
"""One of its points is the brightest spot of each server, (6, 3)."""

Setup = tuple[Any, list[Any]]


class Hdf5(HDF5Plugin_V34, FileStoreHDF5IterativeWrite):
    def get_frames_per_point(self) -> int:
        return int(self.parent.cam.num_images.get())


def area_detector(kind: type, folder: Path, *, n_frames: int = 1, swmr: str = "On") -> Setup:
    class Detector(SingleTrigger, kind):  # type: ignore[misc]
        hdf5 = Component(Hdf5, "HDF1:", write_path_template=str(folder) + "/")

    detector = Detector("AD:", name="det")
    detector.read_attrs = ["hdf5"]  # by default its frames are not read
    detector.hdf5.stage_sigs["swmr_mode"] = swmr
    detector.hdf5.stage_sigs.move_to_end("capture")  # which opens the file, in the mode by then
    detector.cam.stage_sigs["num_images"] = n_frames
    axes = [EpicsMotor(f"STAGE:{axis}", name=axis) for axis in ("x", "y")]
    for device in (detector, *axes):
        device.wait_for_connection(timeout=60.0)
    return detector, axes


class SoftAxis(PVPositioner):
    setpoint = Component(EpicsSignal, "")
    readback = Component(EpicsSignalRO, ":RBV", kind="hinted")
    done = Component(EpicsSignalRO, ":DMOV")
    done_value = 1


class SoftCounter(Device):
    """A counter of a softIOC; its image stays in the IOC."""

    counts = Component(EpicsSignalRO, "CNT", kind="hinted")
    acquire = Component(EpicsSignal, "ACQ", kind="omitted")
    busy = Component(EpicsSignalRO, "BUSY", kind="omitted", auto_monitor=True)

    def trigger(self) -> SubscriptionStatus:
        def has_ended(*, value: int, old_value: int, **_: object) -> bool:
            return bool(old_value == 1 and value == 0)

        status = SubscriptionStatus(self.busy, has_ended, run=False)
        self.acquire.put(1, wait=False)
        return status


def softioc(folder: Path) -> Setup:
    axes = [SoftAxis(f"SOFT:{axis}", name=f"soft_{axis.lower()}") for axis in ("X", "Y")]
    counter = SoftCounter("SOFT:", name="counter")
    for device in (counter, *axes):
        device.wait_for_connection(timeout=60.0)
    return counter, axes


class PvaAxis(SoftPositioner):
    """An axis that is a number on PV Access."""

    def __init__(self, pv: str, *, name: str, context: Any) -> None:
        self._pv, self._context = pv, context
        super().__init__(name=name, init_pos=0.0)

    def _setup_move(self, position: float, status: Any) -> None:
        self._context.put(self._pv, position)
        super()._setup_move(position, status)

    def read(self) -> dict[str, Any]:
        value = float(self._context.get(self._pv))
        return {self.name: {"value": value, "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        return {self.name: {"source": f"pva://{self._pv}", "dtype": "number", "shape": []}}


def pva(folder: Path) -> Setup:
    # Here, for the other ways do without p4p.
    from p4p.client.thread import Context

    from devices.pva import PvaDetector

    context = Context("pva")
    axes = [PvaAxis(f"PVA:{axis}", name=axis, context=context) for axis in ("x", "y")]
    detector = PvaDetector("PVA:image", name="det", acquire="PVA:acquire", frames_dir=folder)
    return detector, axes


SETUPS: dict[str, Callable[[Path], Setup]] = {
    "sim": lambda folder: area_detector(SimDetector, folder),
    "pilatus": lambda folder: area_detector(PilatusDetector, folder, n_frames=3),
    "eiger": lambda folder: area_detector(EigerDetector, folder),
    "no-swmr": lambda folder: area_detector(SimDetector, folder, swmr="Off"),
    "softioc": softioc,
    "pva": pva,
}


OPTIONS: dict[str, dict[str, Any]] = {"pva": {"target": "roi:14,26,4,16"}}
"""On frames: its detector hints at a number, which would be steered on."""


def pvapy(detector_dir: str) -> list[list[int]]:
    """Return which of the simulated detector's images the frames of four points are."""
    from devices.pva import PvaDetector

    detector = PvaDetector("SIM:image", name="det", frames_dir=detector_dir)
    detector.n_frames.put(3)
    images = np.load("images.npy")
    documents: list[Any] = []
    run_engine = RunEngine({})
    run_engine(count([detector], 4), lambda name, doc: documents.append((name, doc)))
    frames = np.asarray(Run.from_documents(documents).frames)
    return [[int(np.flatnonzero((images == f).all((1, 2)))[0]) for f in p] for p in frames]


def steer(name: str, data_dir: str, detector_dir: str) -> dict[str, Any]:
    """Steer by one way, and tell what came of it."""
    run_engine = RunEngine({}, call_returns_result=True)
    with Store.open(data_dir, readable=[detector_dir]) as store:
        store.subscribe_to(run_engine)
        detector, axes = SETUPS[name](Path(detector_dir))
        done = run_engine(
            find_hotspot(detector, axes, grid=GRID, budget=BUDGET, seed=1, **OPTIONS.get(name, {}))
        )
        run = open_run(store, done.run_start_uids[0])
        return {
            "best": [done.plan_result.best_x, done.plan_result.best_y],
            "differing": differing_decisions(run),
            "source": run.steering["source"],
            "frames": None if run.frames is None else list(run.frames.shape),
            "points": run.n_points,
        }


def main(data_dir: str, detector_dir: str, *names: str) -> None:
    EpicsSignalBase.set_defaults(timeout=60.0, connection_timeout=60.0)
    for name in names:
        folder = Path(detector_dir, name)
        folder.mkdir()
        if name == "pvapy":
            report: dict[str, Any] = {"numbers": pvapy(str(folder))}
        else:
            report = steer(name, data_dir, str(folder))
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
