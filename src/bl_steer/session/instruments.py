"""What a session stands at: devices by name, what is known of the sample, and the simulator.

`film`, `microscope` and `fibsem` are simulated in this process, `epics` is on process variables.
An instrument of your own is an `Instrument` with your devices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bl_steer.diffraction import FrameAxes
from bl_steer.settings import Settings
from devices import beamline
from devices.connection import quieten_lost_statuses
from simulators import electron
from simulators import film as films
from simulators.clock import VirtualClock

__all__ = ["SIMULATED", "Instrument", "epics", "fibsem", "film", "microscope", "simulated"]

BEAMLINE_STEPS = """\
    RE(find_hotspot(det, stage, monitor=monitor, budget=48))   steer to the brightest spot
    RE(map_sample(det, stage, monitor=monitor))                measure the whole grid
    db[-1]    list_runs()    open_run(-1).result               look at what was stored"""

MICROSCOPE_STEPS = """\
    RE(take_micrographs(sem, stage, fields=[(0, 0), (20, 0)], analyses=["segment"]))
    session.wait_for_analyses()                  the micrographs are segmented beside you
    open_analysis(-1).tables["sample"]           phase fractions with their 95 % intervals
    db[-1]    list_runs()    open_run(-2)        look at what was stored"""

FIBSEM_STEPS = """\
    marks = session.instrument.simulator.marks   where the tracking marks are
    RE(slice_and_view(sem, mill, n_slices=20, marks=marks, analyses=["reconstruct"]))
    session.wait_for_analyses()                  the slices are reconstructed beside you
    session.report()                             what the volume holds, as one HTML file
    db[-1]    list_runs()    open_run(-2)        look at what was stored"""


@dataclass(frozen=True)
class Instrument:
    """Devices and their sample, by the names that a session gives them.

    Parameters
    ----------
    title : what it is, for the banner: "simulated film 'smooth', seed 1"
    devices : by name; the plans of a session take ``det``, ``stage`` and ``monitor``, or ``sem``
        and ``stage``, or ``sem`` and ``mill``; a ``diffractometer`` is read once before each run
    sample : what is known of the sample; goes into every run's start document as ``sample``, under
        what the user says there
    simulator : what stands behind simulated devices: the clock, the sample and its truth
        (`true_map` of a film's ``sample``, ``truth`` of a microscope); None at a real instrument
    first_steps : lines to type first, for the banner
    """

    title: str
    devices: Mapping[str, Any]
    sample: Mapping[str, Any] = field(default_factory=dict)
    simulator: Any = None
    first_steps: str = ""

    @property
    def clock(self) -> VirtualClock | None:
        """Simulated time; None at a real instrument, where time is the computer's."""
        return None if self.simulator is None else self.simulator.clock

    def device(self, name: str, plan: str) -> Any:
        """Return a device that a plan needs.

        Raises
        ------
        ValueError
            When the instrument has none of this name.
        """
        if name not in self.devices:
            raise ValueError(
                f"{plan} needs a device {name!r}, got {', '.join(self.devices)} of {self.title}; "
                "open the session on an instrument that has one"
            )
        return self.devices[name]


def film(
    sample: str | films.Sample = "multi-domain", *, seed: int = 0, exposure_s: float = 10.0
) -> Instrument:
    """Return the simulated beamline with a film, or any other sample, under the beam.

    Parameters
    ----------
    sample : a preset of `simulators.film.sige_film`, or a sample
    seed : of the film; every seed is another film
    exposure_s : exposure time of a frame at the start, s
    """
    title = f"simulated film {sample!r}, seed {seed}"
    if isinstance(sample, str):
        sample = films.SigeFilm(sample, seed=seed)
    else:
        title = f"simulated beamline, sample {sample.name!r}"
    simulator = films.SimulatedBeamline(sample, exposure_s=exposure_s)
    return Instrument(
        title,
        simulator.devices,
        {"name": sample.name, "unit": sample.unit},
        simulator,
        BEAMLINE_STEPS,
    )


def epics(
    axes: FrameAxes | Path | None = None,
    *,
    prefix: str | None = None,
    settle_s: float = 0.5,
    timeout_s: float = 10.0,
) -> Instrument:
    """Return the beamline of `devices.beamline`, once all its process variables answer.

    Parameters
    ----------
    axes : of the detector's pixels, or their file; those of the simulated film by default
    prefix : of the process variables; the beamline's own by default
    settle_s : time that the stage waits after it has arrived, s
    timeout_s : time for all process variables to answer, s

    Raises
    ------
    ConnectionError
        Naming the records that did not answer.
    """
    source = "the simulated film (--axes gives others)"
    if axes is None:
        axes = films.SigeFilm().axes
    elif isinstance(axes, FrameAxes):
        source = "your own"
    else:
        source, axes = str(axes), FrameAxes.load(axes)
    prefix = beamline.PREFIX if prefix is None else prefix
    with suppress(ImportError):  # caproto: needed here alone, and by no real IOC
        from devices.repeater import start_repeater

        start_repeater()
    quieten_lost_statuses()
    devices = (
        beamline.area_detector(axes, prefix=prefix),
        beamline.sample_stage(prefix, settle_s=settle_s),
        beamline.beam_monitor(prefix),
        beamline.diffractometer(prefix),
    )
    beamline.connect(devices, timeout_s=timeout_s)
    return Instrument(
        f"EPICS, {prefix}…, axes of {source}",
        {device.name: device for device in devices},
        first_steps=BEAMLINE_STEPS,
    )


def microscope(
    family: str = "grains", *, seed: int = 0, shape: tuple[int, int] = (512, 512)
) -> Instrument:
    """Return the simulated electron microscope; `shape` is of a micrograph, pixels."""
    simulator = electron.SimulatedMicroscope(family, seed, shape=shape)
    return Instrument(
        f"simulated electron microscope, specimen {family!r}, seed {seed}",
        simulator.devices,
        {"name": family},
        simulator,
        MICROSCOPE_STEPS,
    )


def fibsem(
    family: str = "grains",
    *,
    seed: int = 0,
    shape: tuple[int, int] = (512, 512),
    marks: bool = True,
    faults: str = "usual",
    state_file: Path | None = None,
) -> Instrument:
    """Return the simulated FIB-SEM.

    Parameters
    ----------
    family, seed : of the specimen; the seed is the faults' too
    shape : of an image, pixels
    marks : whether the specimen has a cap with tracking marks
    faults : of `simulators.electron.slice_faults.PRESETS`: "none", "usual", "severe"
    state_file : where the instrument keeps its state, so that it outlives this process; taken up
        where the file exists
    """
    simulator = electron.SimulatedFibSem(
        family,
        seed,
        shape=shape,
        cap=electron.NotchedCap() if marks else None,
        faults=electron.SliceFaults.preset(faults, seed),
        state_file=state_file,
    )
    # What the truth can be found with afterwards, and a broken run be carried on.
    sample = {
        "name": family,
        "family": family,
        "seed": seed,
        "simulator": "fibsem",
        "shape_px": list(shape),
        "faults": faults,
    }
    return Instrument(
        f"simulated FIB-SEM, specimen {family!r}, seed {seed}, faults {faults}",
        simulator.devices,
        sample,
        simulator,
        FIBSEM_STEPS,
    )


SIMULATED: Mapping[str, Callable[..., Instrument]] = {
    "beamline": film,
    "microscope": microscope,
    "fibsem": fibsem,
}
"""Simulated instruments by the names of ``BL_STEER_INSTRUMENT``; each takes a sample and a seed."""


def simulated(name: str, sample: str | None = None, *, seed: int | None = None) -> Instrument:
    """Return a simulated instrument by its name; settings say what is left out.

    Parameters
    ----------
    name : a key of `SIMULATED`
    sample : preset of the film, or family of the specimen
    seed : of the film or specimen
    """
    settings = Settings()
    if sample is None and name == "beamline":  # BL_STEER_SAMPLE names a film, never a specimen
        sample = settings.sample
    samples = () if sample is None else (sample,)
    return SIMULATED[name](*samples, seed=settings.seed if seed is None else seed)
