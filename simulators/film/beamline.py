"""The beamline in this process: the real device classes on simulated signals and time.

`ophyd.sim.make_fake_device` replaces the EPICS signals of the real classes; what is added here is
what the motor records and the detector would do. Nothing sleeps: the `VirtualClock` jumps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ophyd import Component, Device, Kind, Signal
from ophyd.sim import make_fake_device

from bl_steer.protocols import Array
from devices import AreaDetector, BeamMonitor, SampleStage, SurfaceDiffractometer
from simulators.clock import VirtualClock
from simulators.epics.fake_motor import animate
from simulators.film.sample import Sample

__all__ = ["SimulatedBeamline"]

SPEED = 50.0
"""µm/s, and deg/s for the circles: assumed, the beamline's own is not known."""
SETTLE_S = 0.9
READOUT_S = 0.2
MARGIN = 10.0
"""Travel beyond the sample's edge, in the sample's unit."""


class _ClockedMonitor(BeamMonitor):
    """The beam monitor, with the simulated time beside the counts."""

    sim_clock = Component(Signal, value=0.0, kind=Kind.normal, doc="simulated time, s since 1970")


class SimulatedBeamline:
    """Devices with the real names and signals, around a simulated sample.

    With 5 µm steps and an exposure of 10 s a point takes 11.2 s, as at the beamline: .1 s of
    motion, .9 s to settle, 10 s of exposure, .2 s to read out.

    Parameters
    ----------
    sample : what is under the beam
    clock : simulated time; a new one by default
    frames_dir : folder for the detector's files; may be set on ``det`` later
    exposure_s : exposure time of a frame, s
    """

    def __init__(
        self,
        sample: Sample,
        *,
        clock: VirtualClock | None = None,
        frames_dir: Path | str | None = None,
        exposure_s: float = 10.0,
    ) -> None:
        self.sample = sample
        self.clock = VirtualClock() if clock is None else clock
        self._shots = range(0)
        self._point: tuple[Path | None, int] | None = None
        self.stage: Any = make_fake_device(SampleStage)("SIM:STG:", name="stage", settle_s=0.0)
        self.det: Any = make_fake_device(AreaDetector)(
            "SIM:DET:", name="det", axes=sample.axes, frames_dir=frames_dir
        )
        self.monitor: Any = make_fake_device(_ClockedMonitor)("SIM:MON:", name="monitor")
        self.diffractometer: Any = make_fake_device(SurfaceDiffractometer)(
            "SIM:DIF:", name="diffractometer"
        )
        self._prepare_stage()
        self._prepare_detector(exposure_s)
        for circle in self.diffractometer.component_names:
            self._animate(getattr(self.diffractometer, circle), (-180.0, 180.0), 0.0, "deg")

    @property
    def devices(self) -> dict[str, Device]:
        """The devices by name."""
        return {d.name: d for d in (self.stage, self.det, self.monitor, self.diffractometer)}

    def _prepare_stage(self) -> None:
        self.stage.settle_time.put(SETTLE_S)
        for axis, positions in zip((self.stage.x, self.stage.y), self.sample.grid, strict=True):
            low, high = float(positions.min()), float(positions.max())
            self._animate(axis, (low - MARGIN, high + MARGIN), low, self.sample.unit)

    def _animate(self, motor: Any, limits: tuple[float, float], start: float, unit: str) -> None:
        """Let a fake motor record move, in simulated time."""
        animate(
            motor,
            self.clock,
            limits=limits,
            start=start,
            unit=unit,
            speed=SPEED,
            settle_s=SETTLE_S,
        )

    def _prepare_detector(self, exposure_s: float) -> None:
        det = self.det
        det.exposure_time.sim_put(exposure_s)
        det.n_frames.sim_put(1)
        det.state.sim_put(0)
        det.busy.sim_put(0)
        det.image.sim_put(np.zeros(self.sample.axes.shape))
        det.acquire.sim_set_putter(self._acquire)
        self.monitor.nominal_rate.put(self.sample.nominal_monitor)

    def _acquire(self, value: int, **_: object) -> None:
        if not value:
            return
        self.clock.join()
        det = self.det
        exposure_s, n_frames = float(det.exposure_time.get()), int(det.n_frames.get())
        x, y = (axis.user_readback.get() for axis in (self.stage.x, self.stage.y))
        det.busy.sim_put(1)
        shots = []
        for shot in self._numbers(n_frames):
            shots.append(
                self.sample.expose(
                    x, y, exposure_s=exposure_s, time_s=self.clock.elapsed_s, shot=shot
                )
            )
            self.clock.occupy(exposure_s)
            self.clock.join()
        self.clock.occupy(READOUT_S)
        now = self.clock.join()
        det.image.sim_put(np.stack([frame for frame, _ in shots]), timestamp=now)
        self.monitor.counts.sim_put(sum(counts for _, counts in shots), timestamp=now)
        self.monitor.sim_clock.put(now, timestamp=now)
        det.busy.sim_put(0)

    def _numbers(self, n_frames: int) -> range:
        """Return the numbers of a point's shots: a point repeated after a pause keeps its own.

        Noise belongs to a shot, so an interrupted run measures what an uninterrupted one does.
        """
        point = (self.det.file_path, self.det.n_points)
        if point[0] is None or point != self._point:
            self._point = point
            self._shots = range(self._shots.stop, self._shots.stop + n_frames)
        return self._shots

    def duration_s(self, path: Array, *, exposure_s: float) -> float:
        """Return the simulated time that measuring along `path`, shape (n, 2), takes."""
        steps = np.abs(np.diff(path, axis=0)).max(axis=1, initial=0.0)
        each = SETTLE_S + exposure_s * int(self.det.n_frames.get()) + READOUT_S
        return float(steps.sum() / SPEED + len(path) * each)
