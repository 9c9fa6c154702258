"""An electron microscope in this process: the real device classes over a simulated electrode.

As in `simulators.film.beamline`, the signals are fake, the classes real, and nothing sleeps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Device
from ophyd.sim import make_fake_device

from devices import SampleStage, ScanningElectronMicroscope
from simulators.clock import VirtualClock
from simulators.electron.fibsem_sample import FAMILIES, FibsemSpecimen
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import micrograph
from simulators.epics.fake_motor import animate

__all__ = ["SimulatedMicroscope"]

SPEED = 100.0
"""Of the stage, µm/s: assumed."""
SETTLE_S = 2.0
READOUT_S = 0.5
LIMITS_UM = (-2000.0, 2000.0)
WORKING_DISTANCE_MM = 5.0


class SimulatedMicroscope:
    """Microscope and stage, around one specimen.

    The place (x, y) of the stage is the centre of the field. The same place shows the same truth,
    each time with other noise.

    Parameters
    ----------
    family : of `simulators.electron.fibsem_sample.FAMILIES`
    seed : which specimen, and which noise
    shape : rows and columns of a micrograph
    conditions : at the start; the device's signals change pixel size, voltage, dwell time,
        etching and staining, the strengths of the faults stay
    clock : simulated time; a new one by default
    frames_dir : folder for the files of the micrographs; may be set on ``sem`` later

    Examples
    --------
    >>> microscope = SimulatedMicroscope("network", seed=1, shape=(64, 64))
    >>> microscope.sem.accelerating_voltage.put(5.0)
    >>> microscope.conditions.accelerating_voltage_kV
    5.0
    >>> microscope.truth(10.0, 0.0).shape
    (64, 64)
    """

    def __init__(
        self,
        family: str = "grains",
        seed: int = 0,
        *,
        shape: tuple[int, int] = (512, 512),
        conditions: ImagingConditions | None = None,
        clock: VirtualClock | None = None,
        frames_dir: Path | str | None = None,
    ) -> None:
        self.family = family
        self.seed = seed
        self.shape = shape
        self.clock = VirtualClock() if clock is None else clock
        self._start = ImagingConditions() if conditions is None else conditions
        self._shot = -1
        self._point: tuple[Path | None, int] | None = None
        self.stage: Any = make_fake_device(SampleStage)("SIM:STG:", name="stage", settle_s=0.0)
        self.sem: Any = make_fake_device(ScanningElectronMicroscope)(
            "SIM:SEM:", name="sem", frames_dir=frames_dir
        )
        self._prepare_stage()
        self._prepare_sem()
        self.truth(0.0, 0.0)  # refuses a specimen that cannot be

    @property
    def devices(self) -> dict[str, Device]:
        """The devices by name."""
        return {d.name: d for d in (self.stage, self.sem)}

    @property
    def conditions(self) -> ImagingConditions:
        """The conditions that the device's signals say now, with the faults of the start."""
        faults = ("noise", "curtaining", "charging", "shading", "drift", "gain_spread")
        return ImagingConditions(
            pixel_size_nm=float(self.sem.pixel_size.get()),
            accelerating_voltage_kV=float(self.sem.accelerating_voltage.get()),
            etching_s=float(self.sem.etching_time.get()),
            staining=self.sem.staining.get(),
            dwell_us=float(self.sem.dwell_time.get()),
            **{fault: getattr(self._start, fault) for fault in faults},
        )

    def truth(self, x: float, y: float) -> NDArray[np.uint8]:
        """Return the phases of the field around (x, y), µm, at the pixel size of now; (H, W)."""
        rows, columns = self.shape
        pixel_nm = self.conditions.pixel_size_nm
        half_um = 0.5e-3 * pixel_nm
        specimen = FibsemSpecimen(
            self.family,
            seed=self.seed,
            shape=(1, rows, columns),
            voxel_nm=pixel_nm,
            origin_um=(-half_um, y - half_um * rows, x - half_um * columns),
        )
        return np.asarray(specimen.labels[0])

    def _prepare_stage(self) -> None:
        self.stage.settle_time.put(SETTLE_S)
        for motor in (self.stage.x, self.stage.y):
            animate(
                motor,
                self.clock,
                limits=LIMITS_UM,
                start=0.0,
                unit="um",
                speed=SPEED,
                settle_s=SETTLE_S,
            )

    def _prepare_sem(self) -> None:
        sem, start = self.sem, self._start
        sem.n_rows.sim_put(self.shape[0])
        sem.n_columns.sim_put(self.shape[1])
        sem.image.sim_put(np.zeros(self.shape, dtype=np.uint8))
        sem.busy.sim_put(0)
        sem.pixel_size.sim_put(start.pixel_size_nm)
        sem.accelerating_voltage.sim_put(start.accelerating_voltage_kV)
        sem.dwell_time.sim_put(start.dwell_us)
        sem.working_distance.sim_put(WORKING_DISTANCE_MM)
        sem.etching_time.put(start.etching_s)
        sem.staining.put(start.staining)
        sem.acquire.sim_set_putter(self._acquire)

    def _acquire(self, value: int, **_: object) -> None:
        if not value:
            return
        self.clock.join()
        x, y = (float(axis.user_readback.get()) for axis in (self.stage.x, self.stage.y))
        image = micrograph(self.truth(x, y), self.conditions, seed=self._noise_of_this_shot())
        self.sem.busy.sim_put(1)
        self.clock.occupy(self.sem.frame_time_s + READOUT_S)
        self.sem.image.sim_put(image, timestamp=self.clock.join())
        self.sem.busy.sim_put(0)

    def _noise_of_this_shot(self) -> list[int]:
        """Return a shot's seed: a field repeated after a pause keeps its own.

        Noise belongs to a shot, so an interrupted run measures what an uninterrupted one does.
        """
        point = (self.sem.file_path, self.sem.n_points)
        if point[0] is None or point != self._point:
            self._point = point
            self._shot += 1
        return [self.seed, FAMILIES.index(self.family), 1, self._shot]
