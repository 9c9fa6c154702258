"""A soft IOC and a session on it, for a client that lives through faults."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from ophyd import EpicsSignal

from bl_steer.agents import Space
from bl_steer.session import epics, open_session
from tests.simulators.epics.soft_ioc import PREFIX, serving

BUDGET = 7
GRID = Space.grid(np.linspace(0.0, 150.0, 6), np.linspace(0.0, 150.0, 6))
SPEEDUP = 20.0
BACK_S = 60.0
"""For a lost IOC to be found again: clients ask less and less often."""


class Bench:
    """A soft IOC and a session on it.

    Parameters
    ----------
    folder : of the store and of the IOC's log of where the stage has been
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ioc = ExitStack()
        self.pid = 0
        self.serve()
        instrument = epics(prefix=PREFIX, settle_s=0.02, timeout_s=60.0)
        self.session = open_session(instrument, data_dir=folder / "data", progress=False)
        self.det, self.stage = (self.session.devices[name] for name in ("det", "stage"))
        self.switchboard = EpicsSignal(f"{PREFIX}FAULTS", name="switchboard")
        self.current = EpicsSignal(f"{PREFIX}RING:CURRENT", name="ring_current")

    def serve(self) -> None:
        """Start the IOC, in the place of one that has been killed."""
        self._ioc.close()
        process = self._ioc.enter_context(
            serving(self.folder, speedup=SPEEDUP, steady=True, start=subprocess.Popen)
        )
        self.pid = process.pid

    def kill(self) -> None:
        """Kill the IOC, as a computer that loses its power."""
        os.kill(self.pid, signal.SIGKILL)

    def connect(self) -> None:
        """Wait until everything answers again."""
        for device in (*self.session.devices.values(), self.switchboard, self.current):
            device.wait_for_connection(timeout=BACK_S)

    def make_ready(self, n_frames: int = 1) -> None:
        """Let nothing go wrong, and stand where all runs begin."""
        self.connect()
        self.switchboard.put("", wait=True)
        self.det.stop()
        self.session.RE(bps.mv(self.stage.x, 0.0, self.stage.y, 0.0, self.det.n_frames, n_frames))

    def search(self, **options: Any) -> Any:
        """Return the plan of each run."""
        chosen: dict[str, Any] = {"agent": "random", "target": "total", "grid": GRID, "seed": 5}
        return self.session.find_hotspot(**{**chosen, "budget": BUDGET, **options})

    def close(self) -> None:
        self.session.close()
        self._ioc.close()
