"""A FIB-SEM in this process: the real device classes over a simulated electrode.

As in `simulators.electron.microscope`, the signals are fake, the classes real, and nothing sleeps.
The truth of every slice is exact: the specimen is known at every place and not only on voxels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ophyd import Device
from ophyd.sim import make_fake_device

from bl_steer.slicing.marks import TrackingMarks
from devices.fibsem import FibSemColumn, IonMill
from simulators.clock import VirtualClock
from simulators.electron.fibsem_sample import FAMILIES, sections_at
from simulators.electron.fibsem_state import FibSemState
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import micrograph
from simulators.electron.slice_faults import SliceFaults
from simulators.electron.tracking_marks import NotchedCap

__all__ = ["SimulatedFibSem", "View"]

PITCH_NM = 100.0
"""What the strengths of the faults refer to, until the mill is asked for a step of its own."""
CUT_S = 30.0
READOUT_S = 0.5
WORKING_DISTANCE_MM = 5.0
BEAM_SHIFT_RANGE_NM = 5000.0
RECEDING = 0.8
"""By how much the working distance grows for each nm of depth: sine of the columns' angle, 52°."""
GUARD_NM = 60.0


class View(NamedTuple):
    """The truth of one image."""

    z_nm: float
    """Depth of the face."""
    displacement_nm: tuple[float, float]
    """How far the specimen lies from its first place in the image (y, x)."""
    defocus_um: float
    cut: int
    """Runs of the ion beam before it."""


class SimulatedFibSem:
    """Mill and microscope around one specimen.

    Parameters
    ----------
    family : of `simulators.electron.fibsem_sample.FAMILIES`
    seed : which specimen, and which noise
    shape : rows and columns of an image, the cap's rows included
    conditions : of the microscope at the start; its defocus is that of the first slice
    faults : of the cuts
    cap : with tracking marks; None for a specimen without
    clock : simulated time; a new one by default
    frames_dir : folder for the files of the images; may be set on ``sem`` later
    state_file : where the instrument keeps its state, as a real one outlives the process that
        drives it; taken up where the file exists

    Raises
    ------
    ValueError
        When the specimen cannot be, or the state is that of another instrument.

    Examples
    --------
    >>> fibsem = SimulatedFibSem("network", seed=1, shape=(96, 128), faults=SliceFaults.none())
    >>> fibsem.mill.set(100.0).wait(5.0)
    >>> fibsem.z_nm, fibsem.truth(z_nm=[0.0, 100.0]).shape
    (100.0, (2, 96, 128))
    """

    def __init__(
        self,
        family: str = "grains",
        seed: int = 0,
        *,
        shape: tuple[int, int] = (512, 512),
        conditions: ImagingConditions | None = None,
        faults: SliceFaults | None = None,
        cap: NotchedCap | None = None,
        clock: VirtualClock | None = None,
        frames_dir: Path | str | None = None,
        state_file: Path | None = None,
    ) -> None:
        self.family = family
        self.seed = seed
        self.shape = shape
        self.faults = SliceFaults(seed=seed) if faults is None else faults
        self.cap = cap
        self.clock = VirtualClock() if clock is None else clock
        self.z_nm = 0.0
        """True depth of the face."""
        self._start = ImagingConditions() if conditions is None else conditions
        self._drift = np.zeros(2)
        self._wander = 0.0
        self._face = 0
        self._exposures = 0
        self._views: dict[Path | None, dict[int, View]] = {}
        self.sem: Any = make_fake_device(FibSemColumn)(
            "SIM:SEM:", name="sem", frames_dir=frames_dir
        )
        self.mill: Any = make_fake_device(IonMill)("SIM:FIB:", name="mill")
        self._prepare_sem()
        self._prepare_mill()
        self.truth()  # refuses a specimen that cannot be
        self._state_file = state_file
        if state_file is not None and state_file.exists():
            self._take_up(FibSemState.read(state_file))

    @property
    def devices(self) -> dict[str, Device]:
        """The devices by name."""
        return {d.name: d for d in (self.sem, self.mill)}

    @property
    def marks(self) -> TrackingMarks | None:
        """Where the tracking marks are in the image, as a user would draw boxes around them."""
        if self.cap is None:
            return None
        pixel, half = float(self.sem.pixel_size.get()), self.shape[1] // 2
        guard, thickness = round(GUARD_NM / pixel), round(self.cap.thickness_nm / pixel)
        return TrackingMarks(
            rows=(0, thickness - guard),
            straight=(guard, half - guard),
            slanted=(half + guard, self.shape[1] - guard),
            slope=self.cap.slope,
            specimen_from=thickness + 2 * guard,
        )

    def views(self, path: Path | None = None) -> list[View]:
        """Return the truth of the images in a file, in their order; of the latest file by default.

        Once the file is closed, that is of the images that the documents know of and at most one
        more, which was taken and never recorded.
        """
        path = next(reversed(self._views)) if path is None else path
        return [view for _, view in sorted(self._views[path].items())]

    def truth(
        self, z_nm: Any = None, *, displacement_nm: tuple[float, float] = (0.0, 0.0)
    ) -> NDArray[np.uint8]:
        """Return the phases of the specimen at some depths, nm, in the field of the first image.

        Parameters
        ----------
        z_nm : depths, shape (n,); the face as it is now by default. Those of voxels of 10 nm are
            ``5 + 10 * np.arange(n)``
        displacement_nm : of the specimen in the image (y, x)

        Returns
        -------
        labels : shape (n, H, W), without the cap
        """
        positions = [self.z_nm] if z_nm is None else z_nm
        return sections_at(
            np.asarray(positions, dtype=float),
            family=self.family,
            seed=self.seed,
            shape=self.shape,
            pixel_nm=float(self.sem.pixel_size.get()),
            displacement_nm=displacement_nm,
        )

    def _take_up(self, state: FibSemState) -> None:
        """Be where the state says."""
        if (state.family, state.seed, state.shape) != (self.family, self.seed, self.shape):
            raise ValueError(
                "a state must be of the same instrument, got that of specimen "
                f"{state.family!r}, seed {state.seed}, {state.shape} px; ask for these, or give "
                "another state_file"
            )
        self.z_nm, self._wander = state.z_nm, state.wander_um
        self._face, self._exposures = state.face, state.exposures
        self._drift = np.array(state.drift_nm)
        for signal, value in (
            (self.mill.target, state.mill_depth_nm),
            (self.mill.depth, state.mill_depth_nm),
            (self.mill.n_cuts, state.n_cuts),
            (self.sem.working_distance, state.working_distance_mm),
            (self.sem.beam_shift_y, state.beam_shift_nm[0]),
            (self.sem.beam_shift_x, state.beam_shift_nm[1]),
        ):
            signal.sim_put(value)

    def _keep_state(self, *, mill_depth_nm: float, n_cuts: int) -> None:
        """Write what a real instrument would remember; whoever waits for it does not go on yet."""
        if self._state_file is None:
            return
        sem, (dy, dx) = self.sem, self._drift.tolist()
        FibSemState(
            family=self.family,
            seed=self.seed,
            shape=self.shape,
            z_nm=self.z_nm,
            wander_um=self._wander,
            face=self._face,
            exposures=self._exposures,
            drift_nm=(dy, dx),
            mill_depth_nm=mill_depth_nm,
            n_cuts=n_cuts,
            working_distance_mm=float(sem.working_distance.get()),
            beam_shift_nm=(float(sem.beam_shift_y.get()), float(sem.beam_shift_x.get())),
        ).write(self._state_file)

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
        sem.beam_shift_range.sim_put(BEAM_SHIFT_RANGE_NM)
        for signal in (sem.beam_shift_x, sem.beam_shift_y):
            signal.sim_put(0.0)
        sem.etching_time.put(start.etching_s)
        sem.staining.put(start.staining)
        sem.acquire.sim_set_putter(self._acquire)

    def _prepare_mill(self) -> None:
        mill = self.mill
        for signal, value in ((mill.target, 0.0), (mill.depth, 0.0), (mill.n_cuts, 0)):
            signal.sim_put(value)
        mill.busy.sim_put(0)
        mill.current.sim_put(700.0)
        mill.cut_time.sim_put(CUT_S)
        mill.start.sim_set_putter(self._mill)

    def _mill(self, value: int, **_: object) -> None:
        """Run the ion beam once over the pattern at the target."""
        if not value:
            return
        mill = self.mill
        mill.busy.sim_put(1)
        target, number = float(mill.target.get()), int(mill.n_cuts.get()) + 1
        step = target - float(mill.depth.get())
        cut = self.faults.cut(number, step)
        if cut.removes:
            # From where the face is, and never back: that is what makes a repeated cut a loss.
            self.z_nm += step + cut.offset_nm + (step if cut.twice else 0.0)
            self._face = number
        self._exposures = 0
        self._drift += cut.drift_nm
        self._wander += cut.defocus_um
        self.clock.occupy(float(mill.cut_time.get()))
        now = self.clock.join()
        self._keep_state(mill_depth_nm=target, n_cuts=number)
        mill.n_cuts.sim_put(number, timestamp=now)
        mill.depth.sim_put(target, timestamp=now)
        mill.busy.sim_put(0)

    def _look(self) -> View:
        """Return what an image shows that is taken now."""
        sem = self.sem
        shift = np.array([sem.beam_shift_y.get(), sem.beam_shift_x.get()], dtype=float)
        dy, dx = (self._drift - shift).tolist()
        focus_mm = WORKING_DISTANCE_MM + 1e-6 * RECEDING * self.z_nm + 1e-3 * self._wander
        defocus = 1e3 * (float(sem.working_distance.get()) - focus_mm) + self._start.defocus_um
        return View(self.z_nm, (dy, dx), defocus, int(self.mill.n_cuts.get()))

    def _acquire(self, value: int, **_: object) -> None:
        if not value:
            return
        self.clock.join()
        sem, view = self.sem, self._look()
        self._views.setdefault(sem.file_path, {})[sem.n_points] = view
        sem.busy.sim_put(1)
        image = self._image(view)
        self._exposures += 1
        depth, n_cuts = float(self.mill.depth.get()), int(self.mill.n_cuts.get())
        self._keep_state(mill_depth_nm=depth, n_cuts=n_cuts)
        self.clock.occupy(sem.frame_time_s + READOUT_S)
        sem.image.sim_put(image, timestamp=self.clock.join())
        sem.busy.sim_put(0)

    def _image(self, view: View) -> NDArray[np.uint8]:
        number = view.cut
        if number and self._exposures < self.faults.cut(number, PITCH_NM).blank_images:
            return np.zeros(self.shape, dtype=np.uint8)
        labels = self.truth([view.z_nm], displacement_nm=view.displacement_nm)[0]
        if self.cap is not None:
            dy, dx = view.displacement_nm
            pixel = float(self.sem.pixel_size.get())
            y, x = (pixel * (np.arange(n, dtype=np.float64) + 0.5) for n in self.shape)
            middle = 0.5 * pixel * self.shape[1]
            labels = self.cap.paint(labels, y=y - dy, x=x - dx, z=view.z_nm, middle=middle)
        family = FAMILIES.index(self.family)
        # Noise belongs to a state of the instrument, so an interrupted run measures what an
        # uninterrupted one does.
        state = [abs(round(v)) for v in (1e3 * view.defocus_um, *view.displacement_nm)]
        return micrograph(
            labels,
            self._conditions(view.defocus_um),
            seed=[self.seed, family, 2, number, *state],
            face_seed=[self.seed, family, 3, self._face],
        )

    def _conditions(self, defocus_um: float) -> ImagingConditions:
        faults = ("noise", "curtaining", "charging", "shading", "drift", "gain_spread")
        return ImagingConditions(
            pixel_size_nm=float(self.sem.pixel_size.get()),
            accelerating_voltage_kV=float(self.sem.accelerating_voltage.get()),
            etching_s=float(self.sem.etching_time.get()),
            staining=self.sem.staining.get(),
            dwell_us=float(self.sem.dwell_time.get()),
            defocus_um=float(np.clip(defocus_um, -500.0, 500.0)),
            **{fault: getattr(self._start, fault) for fault in faults},
        )
