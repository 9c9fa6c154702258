"""A beamline session: RunEngine, store, devices and plans under their usual names.

`open_session` is what ``bl-steer session`` and the startup module `bl_steer.startup` call; scripts
call it too::

    with open_session("multi-domain", seed=1) as session:
        session.RE(session.find_hotspot(budget=48))
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bl_steer.processing.background import BackgroundAnalyses, check_requests
from bl_steer.store import Store

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bluesky import RunEngine

    from bl_steer.diffraction import FrameAxes
    from simulators.film.beamline import SimulatedBeamline
    from simulators.film.sample import Sample

__all__ = [
    "CollisionError",
    "Session",
    "SimulatedSession",
    "check_import_roots",
    "end_run_engine",
    "open_epics_session",
    "open_session",
    "simulated_session",
]

IMPORT_ROOTS = ("devices", "plans", "simulators")
ANALYSES_WAIT_S = 60.0
"""How long a session that closes waits for analyses, s."""


class CollisionError(ImportError):
    """A module of the user's has the name of one of our import roots."""


def check_import_roots() -> None:
    """Make sure that ``devices``, ``plans`` and ``simulators`` are ours.

    Raises
    ------
    CollisionError
        Naming the file that stands in their place, usually a ``plans.py`` in the folder that the
        session was started in.
    """
    for root in IMPORT_ROOTS:
        spec = importlib.util.find_spec(root)
        origin = None if spec is None else spec.origin
        if origin is None or not Path(origin).with_name("py.typed").exists():
            raise CollisionError(
                f"the module {root!r} must be bl_steer's, got {origin}; rename that file, or start "
                "the session in another folder"
            )


class Session:
    """Everything that a user types with, wired together.

    Parameters
    ----------
    store : where runs go
    devices : by name; ``det``, ``stage`` and ``monitor`` are what the plans below take
    sample_md : what is known of the sample; goes into every run's start document
    progress : show a progress bar
    analyses : carry out what runs ask for with ``md={"analyses": ["components"]}``
    """

    def __init__(
        self,
        store: Store,
        devices: Mapping[str, Any],
        *,
        sample_md: Mapping[str, Any] | None = None,
        progress: bool = True,
        analyses: bool = True,
    ) -> None:
        self.store = store
        self.db = store.catalog
        self.devices = dict(devices)
        self.owns_store = False
        self._watching: list[int] = []
        self._analyses = BackgroundAnalyses(store, show=progress)
        self.RE = _run_engine(store, sample_md or {}, self.devices.get("diffractometer"))
        if progress:
            from bl_steer.plotting.live import Progress

            self.watch(Progress())
        if analyses:
            self.RE.md_validator = check_requests
            self.watch(self._analyses.follow)

    def watch(self, callback: Callable[..., None]) -> None:
        """Subscribe what only watches; it is let go before the session closes."""
        self._watching.append(self.RE.subscribe(callback))

    def run(self, plan: Any) -> tuple[str, Any]:
        """Run a plan of one run to its end; return the run's uid and the plan's result.

        For scripts: Ctrl-C aborts the run, with its result so far, and raises KeyboardInterrupt.
        At a prompt, call ``RE(plan)`` instead: there Ctrl-C pauses, and ``RE.resume()`` goes on.
        """
        from bluesky.utils import RunEngineInterrupted

        try:
            result: Any = self.RE(plan)
        except RunEngineInterrupted:
            self._stop_if_paused()
            raise KeyboardInterrupt from None
        return result.run_start_uids[0], result.plan_result

    def _stop_if_paused(self) -> None:
        if self.RE.state == "paused":
            self.RE.abort("interrupted by the user")

    def find_hotspot(self, **options: Any) -> Any:
        """Return the plan `plans.find_hotspot` on this session's devices."""
        from plans import find_hotspot

        return find_hotspot(self.devices["det"], self.devices["stage"], **self._with(options))

    def map_sample(self, **options: Any) -> Any:
        """Return the plan `plans.map_sample` on this session's devices."""
        from plans import map_sample

        return map_sample(self.devices["det"], self.devices["stage"], **self._with(options))

    def take_micrographs(self, **options: Any) -> Any:
        """Return the plan `plans.take_micrographs` on this session's microscope."""
        from plans import take_micrographs

        return take_micrographs(self.devices["sem"], self.devices["stage"], **options)

    def _with(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"monitor": self.devices["monitor"], **options}

    def analyse(self, uid: str | int, name: str, **params: Any) -> Future[str]:
        """Have a stored run analysed in the background; the future gives the new run's uid.

        `bl_steer.analysis.open_analysis` reads that run.

        Raises
        ------
        ValueError
            When the analysis or a parameter is not known.
        """
        return self._analyses.analyse(uid, name, **params)

    def wait_for_analyses(self, timeout: float | None = None) -> bool:
        """Wait, `timeout` s at most, until the analyses asked for are done; say if they are."""
        return self._analyses.wait(timeout)

    def namespace(self) -> dict[str, Any]:
        """Return the names of an interactive session."""
        import bluesky.plan_stubs as bps
        import bluesky.plans as bp
        import numpy as np

        from bl_steer.analysis import open_analysis
        from bl_steer.runs import list_runs, open_run
        from plans import find_hotspot, map_sample, slice_and_view, take_micrographs

        return {
            **self.devices,
            "RE": self.RE,
            "bp": bp,
            "bps": bps,
            "db": self.db,
            "find_hotspot": find_hotspot,
            "list_runs": partial(list_runs, self.store),
            "map_sample": map_sample,
            "np": np,
            "open_analysis": partial(open_analysis, self.store),
            "open_run": partial(open_run, self.store),
            "session": self,
            "slice_and_view": slice_and_view,
            "store": self.store,
            "take_micrographs": take_micrographs,
        }

    def close(self, *, wait_s: float = ANALYSES_WAIT_S) -> None:
        """Stop a paused run, finish what is still being stored, and end the RunEngine's thread.

        Analyses under way are waited for, `wait_s` s at most; ``bl-steer analyse --pending``
        carries out the rest.
        """
        while self._watching:  # the screen may be gone already
            self.RE.unsubscribe(self._watching.pop())
        self._stop_if_paused()
        self._analyses.close(wait_s)
        if self.owns_store:
            self.store.close()
        end_run_engine(self.RE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(wait_s=ANALYSES_WAIT_S if error is None else 0.0)


class SimulatedSession(Session):
    """A session on the simulated beamline."""

    beamline: SimulatedBeamline
    """What stands behind the devices: the sample, the clock."""


def open_session(
    sample: str | Sample = "multi-domain",
    *,
    seed: int = 0,
    data_dir: str | os.PathLike[str] = "./bl_steer_data",
    exposure_s: float = 10.0,
    progress: bool = True,
) -> SimulatedSession:
    """Open a session on the simulated beamline, with a store of its own.

    Parameters
    ----------
    sample : a preset of `simulators.film.sige_film`, or a sample
    seed : of the film; every seed is another film
    data_dir : folder of the store, made if it is missing
    exposure_s : exposure time of a frame, s
    """
    check_import_roots()
    from simulators.film.sige_film import SigeFilm

    if isinstance(sample, str):
        sample = SigeFilm(sample, seed=seed)
    session = simulated_session(
        sample, Store.open(data_dir), exposure_s=exposure_s, progress=progress
    )
    session.owns_store = True
    return session


def open_epics_session(
    axes: FrameAxes | None = None,
    *,
    prefix: str | None = None,
    data_dir: str | os.PathLike[str] = "./bl_steer_data",
    settle_s: float = 0.5,
    timeout_s: float = 5.0,
    progress: bool = True,
) -> Session:
    """Open a session on the process variables of `devices.beamline`, with a store of its own.

    Parameters
    ----------
    axes : of the detector's pixels; those of the simulated film by default
    prefix : of the process variables; the beamline's own by default
    data_dir : folder of the store, made if it is missing
    settle_s : time that the stage waits after it has arrived, s
    timeout_s : time for all process variables to answer, s

    Raises
    ------
    ConnectionError
        Naming the records that did not answer.
    """
    check_import_roots()
    from devices import beamline

    if axes is None:
        from simulators.film.sige_film import SigeFilm

        axes = SigeFilm().axes
    prefix = beamline.PREFIX if prefix is None else prefix
    detector = beamline.area_detector(axes, prefix=prefix)
    devices = (
        detector,
        beamline.sample_stage(prefix, settle_s=settle_s),
        beamline.beam_monitor(prefix),
        beamline.diffractometer(prefix),
    )
    beamline.connect(devices, timeout_s=timeout_s)
    store = Store.open(data_dir)
    detector.frames_dir = store.frames_dir
    session = Session(store, {device.name: device for device in devices}, progress=progress)
    session.owns_store = True
    return session


def simulated_session(
    sample: Sample, store: Store, *, exposure_s: float = 10.0, progress: bool = False
) -> SimulatedSession:
    """Open a session on the simulated beamline, with a store that somebody else closes."""
    from simulators.film.beamline import SimulatedBeamline

    beamline = SimulatedBeamline(sample, frames_dir=store.frames_dir, exposure_s=exposure_s)
    session = SimulatedSession(
        store,
        beamline.devices,
        sample_md={"name": sample.name, "unit": sample.unit},
        progress=progress,
    )
    session.beamline = beamline
    return session


def end_run_engine(run_engine: RunEngine) -> None:
    """End a RunEngine's thread and close its loop, which Bluesky leaves to the interpreter."""
    loop = run_engine.loop
    if loop.is_closed():
        return
    loop.call_soon_threadsafe(loop.stop)
    run_engine._th.join(timeout=5.0)
    loop.close()


def _run_engine(store: Store, sample_md: Mapping[str, Any], diffractometer: Any) -> RunEngine:
    import bluesky.preprocessors as bpp
    from bluesky import RunEngine

    metadata: Any = store.metadata  # a mapping that lasts; Bluesky asks for a dict, and needs none
    run_engine = RunEngine(
        metadata, call_returns_result=True, scan_id_source=store.metadata.next_scan_id
    )
    store.subscribe_to(run_engine)
    if sample_md:
        run_engine.preprocessors.append(
            partial(bpp.inject_md_wrapper, md={"sample": dict(sample_md)})
        )
    if diffractometer is not None:
        run_engine.preprocessors.append(bpp.SupplementalData(baseline=[diffractometer]))
    # One line for a failed run is enough: the exception itself reaches whoever called RE.
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)
    return run_engine
