"""The interactive session: names, banner, live map.

``bl-steer session`` embeds IPython here; ``from bl_steer.startup import *`` gives the same names to
an IPython or Jupyter that runs already.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer.session.session import (
    Session,
    SimulatedSession,
    check_import_roots,
    open_epics_session,
    open_session,
)
from bl_steer.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simulators.electron.fibsem import SimulatedFibSem
    from simulators.electron.microscope import SimulatedMicroscope

__all__ = [
    "BANNER",
    "FibSemSession",
    "MicroscopeSession",
    "embed",
    "interactive_epics_session",
    "interactive_microscope_session",
    "interactive_session",
    "open_fibsem",
    "open_microscope",
]

BANNER = """\
bl_steer session: {place}; runs are kept in {data_dir}

    RE(find_hotspot(det, stage, monitor=monitor, budget=48))   steer to the brightest spot
    RE(map_sample(det, stage, monitor=monitor))                measure the whole grid
    db[-1]    list_runs()    open_run(-1).result               look at what was stored

devices: det, stage, monitor, diffractometer     live map: {live}
"""


MICROSCOPE_BANNER = """\
bl_steer session: {place}; runs are kept in {data_dir}

    RE(take_micrographs(sem, stage, fields=[(0, 0), (20, 0)], analyses=["segment"]))
    session.wait_for_analyses()                  the micrographs are segmented beside you
    open_analysis(-1).tables["sample"]           phase fractions with their 95 % intervals
    db[-1]    list_runs()    open_run(-2)        look at what was stored

devices: sem, stage (µm)
"""


class MicroscopeSession(Session):
    """A session on the simulated microscope."""

    microscope: SimulatedMicroscope
    """What stands behind the devices: the specimen's truth, the clock."""


def open_microscope(
    family: str = "grains",
    *,
    seed: int = 0,
    shape: tuple[int, int] = (512, 512),
    data_dir: str | os.PathLike[str] = "./bl_steer_data",
    progress: bool = True,
) -> MicroscopeSession:
    """Open a session on the simulated electron microscope; `shape` is of a micrograph, pixels."""
    check_import_roots()
    from simulators.electron.microscope import SimulatedMicroscope

    microscope = SimulatedMicroscope(family, seed, shape=shape)
    store = Store.open(data_dir)
    microscope.sem.frames_dir = store.frames_dir
    session = MicroscopeSession(
        store, microscope.devices, sample_md={"name": family}, progress=progress
    )
    session.microscope, session.owns_store = microscope, True
    return session


class FibSemSession(Session):
    """A session on the simulated FIB-SEM."""

    fibsem: SimulatedFibSem
    """What stands behind the devices: the specimen's truth, the faults, the clock."""

    def slice_and_view(self, **options: Any) -> Any:
        """Return the plan `plans.slice_and_view` on this session's FIB-SEM."""
        from plans import slice_and_view

        return slice_and_view(self.devices["sem"], self.devices["mill"], **options)

    def report(self, uid: str | int = -1, out: Path | None = None) -> Path:
        """Write the report of a run that was reconstructed; return the HTML file.

        Parameters
        ----------
        uid : of the run or its analysis, as for `open_run`
        out : folder of the report; ``report_UID`` by default
        """
        from bl_steer.session.reports import report_of

        return Path(report_of(self.store, uid, out)["report"])


def open_fibsem(
    family: str = "grains",
    *,
    seed: int = 0,
    shape: tuple[int, int] = (512, 512),
    marks: bool = True,
    faults: str = "usual",
    state_file: Path | None = None,
    data_dir: str | os.PathLike[str] = "./bl_steer_data",
    progress: bool = True,
) -> FibSemSession:
    """Open a session on the simulated FIB-SEM.

    Parameters
    ----------
    family, seed : of the specimen; the seed is the faults' too
    shape : of an image, pixels
    marks : whether the specimen has a cap with tracking marks
    faults : of `simulators.electron.slice_faults.PRESETS`: "none", "usual", "severe"
    state_file : where the instrument keeps its state, so that it outlives this process; taken up
        where the file exists
    data_dir : folder of the store, made if it is missing
    """
    check_import_roots()
    from simulators.electron.fibsem import SimulatedFibSem
    from simulators.electron.slice_faults import SliceFaults
    from simulators.electron.tracking_marks import NotchedCap

    fibsem = SimulatedFibSem(
        family,
        seed,
        shape=shape,
        cap=NotchedCap() if marks else None,
        faults=SliceFaults.preset(faults, seed),
        state_file=state_file,
    )
    store = Store.open(data_dir)
    fibsem.sem.frames_dir = store.frames_dir
    # What the truth can be found with afterwards, and a broken run be carried on.
    sample = {
        "name": family,
        "seed": seed,
        "simulator": "fibsem",
        "shape_px": list(shape),
        "faults": faults,
    }
    session = FibSemSession(store, fibsem.devices, sample_md=sample, progress=progress)
    session.fibsem, session.owns_store = fibsem, True
    return session


def interactive_session(
    sample: str, *, seed: int, data_dir: str | os.PathLike[str]
) -> tuple[SimulatedSession, str]:
    """Open a simulated session with a live map; return it and the banner."""
    session = open_session(sample, seed=seed, data_dir=data_dir)
    return session, _watch(session, f"simulated film {sample!r}, seed {seed}", data_dir)


def interactive_microscope_session(
    family: str = "grains", *, seed: int, data_dir: str | os.PathLike[str]
) -> tuple[MicroscopeSession, str]:
    """Open a session on the simulated microscope; return it and the banner."""
    session = open_microscope(family, seed=seed, data_dir=data_dir)
    place = f"simulated electron microscope, specimen {family!r}, seed {seed}"
    return session, MICROSCOPE_BANNER.format(place=place, data_dir=data_dir)


def interactive_epics_session(
    axes_file: Path | None, *, prefix: str | None, data_dir: str | os.PathLike[str]
) -> tuple[Session, str]:
    """Open a session on EPICS with a live map; return it and the banner."""
    from bl_steer.diffraction import FrameAxes

    axes = None if axes_file is None else FrameAxes.load(axes_file)
    session = open_epics_session(axes, prefix=prefix, data_dir=data_dir)
    prefix = session.devices["stage"].prefix.removesuffix("STG:")
    source = "the simulated film (--axes gives others)" if axes_file is None else axes_file
    return session, _watch(session, f"EPICS, {prefix}…, axes of {source}", data_dir)


def _watch(session: Session, place: str, data_dir: str | os.PathLike[str]) -> str:
    """Give `session` a live map; return its banner."""
    from bl_steer.plotting.live import LiveMap

    path = Path(data_dir) / "live_map.png"
    show = _notebook_display()
    session.watch(LiveMap(show, path=path))
    live = "in the notebook" if show else str(path)
    return BANNER.format(place=place, data_dir=data_dir, live=live)


def embed(session: Session, banner: str) -> None:
    """Start IPython with the session's names; return when the user leaves."""
    from IPython import start_ipython
    from traitlets.config import Config

    config = Config()
    config.TerminalInteractiveShell.banner2 = banner
    with session:
        start_ipython(argv=[], user_ns=session.namespace(), config=config)


def _notebook_display() -> Any:
    """Return a function that shows figures in a running notebook, None elsewhere."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    handle = display(display_id=True)

    def show(figure: Figure) -> None:
        handle.update(figure)

    return show
