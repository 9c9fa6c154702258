"""The beamline in this process: the real device classes on simulated signals and time.

`ophyd.sim.make_fake_device` replaces the EPICS signals of the real classes; what is added here is
what the motor records and the detector would do. Nothing sleeps: the `VirtualClock` jumps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, Kind, Signal
from ophyd.sim import make_fake_device

from bl_steer.files.maps.lengths import per_micrometre
from bl_steer.protocols import Array
from devices import AreaDetector, BeamMonitor, SampleStage, SurfaceDiffractometer
from simulators.clock import VirtualClock
from simulators.epics.fake_motor import FakeMotor, animate, disconnect
from simulators.film.faults import Faults
from simulators.film.film_on_detector import FilmOnDetector
from simulators.film.sample import Sample

__all__ = ["SimulatedBeamline"]

SPEED = 50.0
"""µm/s, and deg/s for the circles: assumed, the beamline's own is not known.

Axes in another unit of length move as fast; pixels, and what is no length, count as µm.
"""
SETTLE_S = 0.9
READOUT_S = 0.2
ALIGNED_DEG = 0.0
"""Where the circles stand, and `eta` is aligned to the reflection, when a session begins."""
MARGIN = 10.0
"""Travel beyond the sample's edge, in the sample's unit."""


class _ClockedMonitor(BeamMonitor):
    """The beam monitor, with the simulated time beside the counts."""

    sim_clock = Component(Signal, value=0.0, kind=Kind.normal, doc="simulated time, s since 1970")


class _ShotNumbers:
    """The numbers of a run's shots: a measurement repeated after a pause keeps its own.

    Noise belongs to a shot, so an interrupted run measures what an uninterrupted one does. A shot
    is repeated where it is to fill the same row of the file from the same positions; a row may be
    made of several, such as the steps of a rocking scan.
    """

    def __init__(self) -> None:
        self._next = 0
        self._row: tuple[Path | None, int] | None = None
        self._known: dict[tuple[object, ...], range] = {}

    def of(self, path: Path | None, row: int, where: tuple[float, ...], n_frames: int) -> range:
        """Return the numbers of `n_frames` frames, taken from `where` on, for a row of a file."""
        if path is None or self._row != (path, row):
            self._row = (path, row)
            self._known.clear()
        if (*where, n_frames) not in self._known:
            self._known[(*where, n_frames)] = range(self._next, self._next + n_frames)
            self._next += n_frames
        return self._known[(*where, n_frames)]


class SimulatedBeamline:
    """Devices with the real names and signals, around a simulated sample.

    With 5 µm steps and an exposure of 10 s a point takes 11.2 s, as at the beamline: .1 s of
    motion, .9 s to settle, 10 s of exposure, .2 s to read out.

    Stage and circles move while the detector exposes, where a plan does not wait for them: each
    frame sees where they are in its middle. The circle ``diffractometer.eta`` rocks the sample; a
    `simulators.film.FilmOnDetector` gives true frames instead of maps, which follow all circles.

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
        self.faults = Faults()
        self._shots = _ShotNumbers()
        self.stage: Any = make_fake_device(SampleStage)("SIM:STG:", name="stage", settle_s=0.0)
        self.det: Any = make_fake_device(AreaDetector)(
            "SIM:DET:", name="det", axes=sample.axes, frames_dir=frames_dir
        )
        self.monitor: Any = make_fake_device(_ClockedMonitor)("SIM:MON:", name="monitor")
        self.diffractometer: Any = make_fake_device(SurfaceDiffractometer)(
            "SIM:DIF:", name="diffractometer"
        )
        self.x, self.y = self._prepare_stage()
        self._prepare_detector(exposure_s)
        # Which circles the sample's frames follow, and where they stand when a session begins.
        aligned = sample.aligned if isinstance(sample, FilmOnDetector) else {"eta": ALIGNED_DEG}
        self.circles = {
            circle: self._animate(
                getattr(self.diffractometer, circle),
                (-180.0, 180.0),
                aligned.get(circle, ALIGNED_DEG),
                "deg",
            )
            for circle in self.diffractometer.component_names
        }
        self._turning = [circle for circle in self.circles if circle in aligned]

    def misbehave(self, *faults: str) -> None:
        """Let things go wrong from now on; see `simulators.film.faults`. None ends it."""
        self.faults.set(faults)

    @property
    def devices(self) -> dict[str, Device]:
        """The devices by name."""
        return {d.name: d for d in (self.stage, self.det, self.monitor, self.diffractometer)}

    def _prepare_stage(self) -> tuple[FakeMotor, FakeMotor]:
        self.stage.settle_time.put(SETTLE_S)
        corners = [
            (float(positions.min()), float(positions.max())) for positions in self.sample.grid
        ]
        x, y = (
            self._animate(axis, (low - MARGIN, high + MARGIN), low, unit, speed)
            for axis, (low, high), unit, speed in zip(
                (self.stage.x, self.stage.y), corners, self._units, self._speeds(), strict=True
            )
        )
        return x, y

    @property
    def _units(self) -> tuple[str, str]:
        """Units of x and y; those of a recorded map may be unlike."""
        return self.sample.unit, getattr(self.sample, "unit_y", self.sample.unit)

    def _speeds(self) -> list[float]:
        """Return the speeds of x and y, each in its unit a second."""
        return [SPEED * (per_micrometre(unit) or 1.0) for unit in self._units]

    def _animate(
        self,
        motor: Any,
        limits: tuple[float, float],
        start: float,
        unit: str,
        speed: float = SPEED,
    ) -> FakeMotor:
        """Let a fake motor record move, in simulated time."""
        return animate(
            motor,
            self.clock,
            limits=limits,
            start=start,
            unit=unit,
            speed=speed,
            settle_s=SETTLE_S,
            fault=lambda: self.faults.of_motor(motor.attr_name),
        )

    def _prepare_detector(self, exposure_s: float) -> None:
        det = self.det
        det.exposure_time.sim_put(exposure_s)
        det.n_frames.sim_put(1)
        det.state.sim_put(0)
        det.busy.sim_put(0)
        # Files take the type of the image: gaps of true frames are below 0, which integers tell.
        kind = np.int32 if isinstance(self.sample, FilmOnDetector) else np.float64
        det.image.sim_put(np.zeros(self.sample.axes.shape, dtype=kind))
        det.acquire.sim_set_putter(self._acquire)
        self.monitor.nominal_rate.put(self.sample.nominal_monitor)

    def _acquire(self, value: int, **_: object) -> None:
        det, clock = self.det, self.clock
        if not value:
            det.busy.sim_put(0, timestamp=clock.now)
            return
        begun = clock.free()
        if jump := self.faults.now("clock"):
            clock.skip(jump.size)
            begun = clock.now
        exposure_s, n_frames = float(det.exposure_time.get()), int(det.n_frames.get())
        det.busy.sim_put(1, timestamp=begun)
        if self._never_ends():
            return
        shots = []
        for shot in self._shots.of(det.file_path, det.n_points, self._where(begun), n_frames):
            begun_s, begun = clock.elapsed_s, clock.now
            clock.advance(begun + 0.5 * exposure_s)
            shots.append(self._expose(self._where(clock.now), exposure_s, begun_s, shot))
            clock.advance(begun + exposure_s)
        clock.occupy(READOUT_S)
        now = clock.free()
        frames, counts = self.faults.spoil(
            np.stack([frame for frame, _ in shots]), [counts for _, counts in shots]
        )
        self.faults.next()
        det.image.sim_put(frames, timestamp=now)
        self.monitor.counts.sim_put(counts, timestamp=now)
        self.monitor.sim_clock.put(now, timestamp=now)
        det.busy.sim_put(0, timestamp=now)

    def _never_ends(self) -> bool:
        """Return whether the detector hangs, or is lost, in the exposure that has begun."""
        hangs, lost = self.faults.now("hang"), self.faults.now("disconnect", "det")
        if lost:
            disconnect(self.det, lost.size)
        if hangs or lost:
            self.faults.next()
        return bool(hangs or lost)

    def _expose(
        self, where: tuple[float, ...], exposure_s: float, time_s: float, shot: int
    ) -> tuple[NDArray[Any], float]:
        x, y, *angles = where
        if isinstance(self.sample, FilmOnDetector):
            stand = dict(zip(self._turning, angles, strict=True))
            return self.sample.expose(
                x, y, exposure_s=exposure_s, time_s=time_s, shot=shot, angles=stand
            )
        turned = angles[0] - ALIGNED_DEG
        return self.sample.expose(
            x, y, exposure_s=exposure_s, time_s=time_s, shot=shot, rocking_deg=turned
        )

    def _where(self, time_s: float) -> tuple[float, ...]:
        """Return the stage's positions and the angles of the circles that matter, at a time."""
        circles = (self.circles[name] for name in self._turning)
        return tuple(motor.position_at(time_s) for motor in (self.x, self.y, *circles))

    def duration_s(self, path: Array, *, exposure_s: float) -> float:
        """Return the simulated time that measuring along `path`, shape (n, 2), takes."""
        moves_s = np.abs(np.diff(path, axis=0) / self._speeds()).max(axis=1, initial=0.0)
        each = SETTLE_S + exposure_s * int(self.det.n_frames.get()) + READOUT_S
        return float(moves_s.sum() + len(path) * each)
