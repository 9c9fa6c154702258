"""A session: RunEngine, store, an instrument's devices and the plans under their usual names.

`open_session` is what ``bl-steer session`` and the startup module `bl_steer.startup` call; scripts
call it too::

    with open_session("multi-domain", seed=1) as session:
        session.RE(session.find_hotspot(budget=48))

What a session stands at is an `Instrument` of `bl_steer.session.instruments`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial, wraps
from pathlib import Path
from typing import Any, Self

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
from bluesky.utils import RunEngineInterrupted

import plans
from bl_steer import plotting
from bl_steer.processing import BackgroundAnalyses, open_analysis
from bl_steer.runs import (
    Run,
    durations_of,
    export_run,
    list_runs,
    open_run,
    open_seen,
    open_to_resume,
)
from bl_steer.session.baseline import Baseline
from bl_steer.session.ctrl_c import CtrlC
from bl_steer.session.frames_folder import FramesFolder
from bl_steer.session.instruments import Instrument, film
from bl_steer.session.log import SessionLog
from bl_steer.session.reports import report_of
from bl_steer.session.run_engine import end_run_engine, make_run_engine
from bl_steer.session.stop_reasons import StopReasons
from bl_steer.settings import Settings
from bl_steer.steering import Requests
from bl_steer.store import Store
from plans import stubs
from simulators.film import Sample

__all__ = ["Session", "open_session"]

logger = logging.getLogger(__name__)

ON_GRID = ("find_hotspot", "find_level_set", "fly_map", "map_adaptively", "map_sample")
"""Plans that carry on a run of their own."""
STEERED = ("find_hotspot", "find_level_set", "map_adaptively")
ANALYSES_WAIT_S = 60.0
"""How long a session that closes waits for analyses, s."""


class Session:
    """Everything that a user types with, wired together.

    Parameters
    ----------
    store : where runs go, and the frames of detectors that have no folder yet, of the instrument
        or staged in a run
    instrument : devices and sample, or the devices by name alone
    progress : show a progress bar
    analyses : carry out what runs ask for with ``md={"analyses": ["components"]}``
    close_store : close the store with the session
    log_file : where to log, a line of JSON a message; see `bl_steer.session.log`

    Notes
    -----
    What the instrument knows of the sample goes into every run's start document, merged with the
    ``sample`` that the user gives in a plan's ``md``, in ``RE(plan, sample=…)`` and in ``RE.md``:
    the nearest to the run wins, key by key.
    """

    def __init__(
        self,
        store: Store,
        instrument: Instrument | Mapping[str, Any],
        *,
        progress: bool = True,
        analyses: bool = True,
        close_store: bool = False,
        log_file: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(instrument, Instrument):
            instrument = Instrument("your own devices", instrument)
        self.store = store
        self.instrument = instrument
        self.db = store.catalog
        self.search = Requests()
        self.devices = dict(instrument.devices)
        self._frames_folder = FramesFolder(store.frames_dir)
        self._frames_folder.give(self.devices.values())
        self._close_store = close_store
        self._watching: list[int] = []
        self._analyses = BackgroundAnalyses(store, show=progress)
        self._over: list[str] = []  # runs that are over and not summed up yet
        self._ctrl_c = CtrlC()
        self.RE = make_run_engine(
            store, instrument.sample, self._ctrl_c, analyses=analyses, at_rest=self._at_rest
        )
        if diffractometer := instrument.devices.get("diffractometer"):
            self.RE.preprocessors.append(Baseline([diffractometer]))
        self.RE.preprocessors += [StopReasons(self.RE), self._frames_folder]
        if progress:
            self.watch(plotting.Progress())
            self.watch(self._note_end)
        if analyses:
            self.watch(self._analyses.follow)
        self._log = None if log_file is None else SessionLog(log_file)
        if self._log is not None:
            self.watch(self._log)

    def watch(self, callback: Callable[..., None]) -> None:
        """Subscribe what only watches; it is let go before the session closes."""
        self._watching.append(self.RE.subscribe(callback))

    def run(self, plan: Any) -> tuple[str, Any]:
        """Run a plan of one run to its end; return the run's uid and the plan's result.

        For scripts: Ctrl-C aborts the run, with its result so far, and raises KeyboardInterrupt.
        At a prompt, call ``RE(plan)`` instead: there Ctrl-C pauses, and ``RE.resume()`` goes on.
        """
        try:
            result: Any = self.RE(plan)
        except RunEngineInterrupted:
            self._stop_if_paused()
            raise KeyboardInterrupt from None
        if self._ctrl_c.pressed:  # after the run's last checkpoint
            raise KeyboardInterrupt
        return result.run_start_uids[0], result.plan_result

    def _note_end(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "stop":
            self._over.append(doc["run_start"])

    def _at_rest(self) -> None:
        """Let the catalogue have what was measured; write what the runs spent their time on."""
        self.store.settle()
        while self._over:
            uid = self._over.pop(0)
            try:  # what only watches stops no run
                run = Run.from_record(self.store.record_dir / f"{uid}.jsonl")
                if run.steering:
                    sys.stderr.write(f"{durations_of(run)}\n")
            except Exception:
                logger.exception("the summary of the run's time could not be made")

    def _stop_if_paused(self) -> None:
        if self.RE.state == "paused":
            self.RE.abort("interrupted by the user")

    def find_hotspot(self, **options: Any) -> Any:
        """Return `plans.find_hotspot`; ``resumes`` and ``seen`` may be uids or scan ids, too."""
        return self._on_grid(plans.find_hotspot, options)

    def map_adaptively(self, **options: Any) -> Any:
        """Return the plan `plans.map_adaptively` on this session's devices; `resumes` as there."""
        return self._on_grid(plans.map_adaptively, options)

    def find_level_set(self, **options: Any) -> Any:
        """Return the plan `plans.find_level_set` on this session's devices; `resumes` as there."""
        return self._on_grid(plans.find_level_set, options)

    def map_sample(self, **options: Any) -> Any:
        """Return the plan `plans.map_sample` on this session's devices; `resumes` as there."""
        return self._on_grid(plans.map_sample, options)

    def fly_map(self, **options: Any) -> Any:
        """Return the plan `plans.fly_map` on this session's devices; `resumes` as there."""
        return self._on_grid(plans.fly_map, options)

    def take_micrographs(self, **options: Any) -> Any:
        """Return the plan `plans.take_micrographs` on this session's microscope."""
        sem, stage = self._devices("take_micrographs", "sem", "stage")
        return plans.take_micrographs(sem, stage, **options)

    def slice_and_view(self, **options: Any) -> Any:
        """Return the plan `plans.slice_and_view` on this session's FIB-SEM."""
        sem, mill = self._devices("slice_and_view", "sem", "mill")
        return plans.slice_and_view(sem, mill, **options)

    def _on_grid(self, plan: Callable[..., Any], options: dict[str, Any]) -> Any:
        det, stage, monitor = self._devices(plan.__name__, "det", "stage", "monitor")
        run = self._to_resume(options.pop("resumes", None))
        if run is not None and run.steering.get("monitor") is None:
            monitor = None
        options = self._of_session(plan.__name__, options)
        return plan(det, stage, **{"monitor": monitor, "resumes": run, **options})

    def _to_resume(self, resumes: Run | str | int | None) -> Run | None:
        """Return the run of the store that a uid, the beginning of one or a scan id names."""
        if resumes is None or isinstance(resumes, Run):
            return resumes
        return open_to_resume(self.store, str(resumes))

    def _of_session(self, plan: str, options: dict[str, Any]) -> dict[str, Any]:
        """Return options with the store's runs for their names, and what a session has at hand."""
        if "seen" in options:
            options["seen"] = open_seen(self.store, options["seen"])
        return {"requests": self.search, **options} if plan in STEERED else options

    def _resuming(self, plan: Callable[..., Any]) -> Callable[..., Any]:
        """Return a plan that finds runs in this session's store."""

        @wraps(plan)
        def resuming(*devices: Any, resumes: Any = None, **options: Any) -> Any:
            # A generator function, by which the queue server knows a plan.
            run = self._to_resume(resumes)
            options = self._of_session(plan.__name__, options)
            return (yield from plan(*devices, resumes=run, **options))

        return resuming

    def _devices(self, plan: str, *names: str) -> list[Any]:
        return [self.instrument.device(name, plan) for name in names]

    def report(self, uid: str | int = -1, out: Path | None = None) -> Path:
        """Write the report of a run of slices that was reconstructed; return the HTML file.

        Parameters
        ----------
        uid, out : of the run or its analysis; folder of the report, ``report_UID`` by default
        """
        return Path(report_of(self.store, uid, out)["report"])

    def export(
        self,
        uid: str | int = -1,
        out: str | os.PathLike[str] | None = None,
        *,
        frames: str = "copy",
        force: bool = False,
    ) -> list[Path]:
        """Write a stored run into a NeXus file or CSV tables; see `bl_steer.runs.export_run`."""
        return export_run(open_run(self.store, uid), out, frames=frames, force=force)

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
        return {
            **self.devices,
            **{name: self._resuming(getattr(plans, name)) for name in ON_GRID},
            "RE": self.RE,
            "bp": bp,
            "bps": bps,
            "db": self.db,
            "export": self.export,
            "list_runs": partial(list_runs, self.store),
            "np": np,
            "open_analysis": partial(open_analysis, self.store),
            "open_run": partial(open_run, self.store),
            "rocking_scan": stubs.rocking_scan,
            "rocking_sweep": stubs.rocking_sweep,
            "search": self.search,
            "session": self,
            "slice_and_view": plans.slice_and_view,
            "store": self.store,
            "take_micrographs": plans.take_micrographs,
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
        self._frames_folder.take_back()  # another session may open the instrument
        if self._close_store:
            self.store.close()
        end_run_engine(self.RE)
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.close(wait_s=ANALYSES_WAIT_S if error is None else 0.0)


def open_session(
    instrument: Instrument | str | Sample = "multi-domain",
    *,
    seed: int | None = None,
    exposure_s: float | None = None,
    data_dir: str | os.PathLike[str] = "./bl_steer_data",
    readable: Iterable[str | os.PathLike[str]] | None = None,
    progress: bool = True,
    log_file: str | os.PathLike[str] | None = None,
) -> Session:
    """Open a session on an instrument, with a store of its own.

    Parameters
    ----------
    instrument : of `film`, `epics`, `microscope`, `fibsem`, or your own `Instrument`; the name of
        a film's preset, or a sample, stand for the simulated beamline with it
    seed, exposure_s : as for `film`, of a preset or sample; 0 and 10 s by default
    data_dir : folder of the store, made if it is missing
    readable : folders where detectors write files of their own, as for `Store.open`
    progress : show a progress bar
    log_file : where to log, a line of JSON a message; by default ``BL_STEER_LOG``, or nowhere
    """
    settings = {"seed": seed, "exposure_s": exposure_s}
    options: dict[str, Any] = {name: v for name, v in settings.items() if v is not None}
    if not isinstance(instrument, Instrument):
        instrument = film(instrument, **options)
    elif options:
        names = " and ".join(options)
        raise ValueError(
            f"{names} must be left out where the instrument is there already, got {options} with "
            f"{instrument.title}; give {names} where it is made"
        )
    store = Store.open(data_dir, readable=readable)
    return Session(
        store,
        instrument,
        progress=progress,
        close_store=True,
        log_file=Settings().log if log_file is None else log_file,
    )
