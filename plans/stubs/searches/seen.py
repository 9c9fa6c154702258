"""The earlier runs that a search is told of: checked, brought to its exposure, and recorded."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator

from bl_steer.protocols import Array
from bl_steer.runs import PointResult, Run
from bl_steer.runs.chains import earlier_uid
from bl_steer.runs.signal import units_of
from bl_steer.steering import (
    Exposed,
    check_samples,
    doses_of_runs,
    exposure_of_run,
    points_of_runs,
    runs_seen_by,
    sample_name,
)
from bl_steer.store import is_being_written
from plans.stubs.axes import MICRONS
from plans.stubs.messages import describe, think
from plans.stubs.points import PointReader
from plans.stubs.timeouts import exposure_s_of

__all__ = ["SeenRuns"]

logger = logging.getLogger(__name__)


SeenPoints = tuple[Array, list[PointResult], tuple[Array, Array] | None]


class SeenRuns:
    """Runs whose points a search knows before its first decision.

    Parameters
    ----------
    seen : a run or several, as the plan is given them
    resumes : the run to carry on: it says which runs it was told of

    Raises
    ------
    ValueError
        For what is no run, or one that is being measured.
    """

    def __init__(self, seen: Run | Sequence[Run] | None, resumes: Run | None) -> None:
        if seen is None and isinstance(resumes, Run):
            self.runs = runs_seen_by(resumes)
        else:
            self.runs = [seen] if isinstance(seen, Run | str) else list(seen or ())
        self._resumes = resumes
        self._started: list[Mapping[str, Any]] = []
        for run in self.runs:
            if not isinstance(run, Run):
                raise ValueError(
                    f"seen must be runs, got {run!r}; open it with open_run(store, {run!r}), or "
                    "call the plan in a session, which knows its store"
                )
            if run.record is not None and is_being_written(run.record):
                raise ValueError(
                    f"a run seen must have ended, got {run.uid[:8]}, which is being measured; "
                    "wait for its end"
                )
        given = [run.uid for run in self.runs]
        carried = {earlier_uid(run.start) for run in self.runs}
        for uid in given:
            if given.count(uid) > 1 or uid in carried:
                raise ValueError(
                    f"a run seen must be given once, got {uid[:8]} "
                    f"{'twice' if uid not in carried else 'and the run that carries it on'}: its "
                    "points would count twice; leave it out"
                )

    @property
    def uids(self) -> list[str] | None:
        """Of the runs, as the start document has them; None without any."""
        return [run.uid for run in self.runs] or None

    def check(self, reader: PointReader) -> MsgGenerator[None]:
        """Refuse runs whose axes are in other units than those that will be moved.

        Raises
        ------
        ValueError
            Naming the axis and both units.
        """
        for axis, key in zip(reader.axes, reader.readbacks if self.runs else (), strict=False):
            here = str((yield from describe(axis)).get(key, {}).get("units") or "")
            for run in self.runs:
                there = units_of(run, key) if key in run.primary else ""
                if here and there and _unit(here) != _unit(there):
                    raise ValueError(
                        f"a run seen must have its axes in the same units, got {key} in {there} in "
                        f"{run.uid[:8]} and in {here} now; leave it out"
                    )

    def told(
        self, executor: Executor, reader: PointReader, start: Callable[[], dict[str, Any]]
    ) -> MsgGenerator[tuple[dict[str, Any], SeenPoints]]:
        """Read the runs, off the RunEngine's loop.

        Parameters
        ----------
        start : gives the start document

        Returns
        -------
        document : start document that also says which runs, and by what their patterns are scaled
        points : positions, shape (n, n_axes), and n results of their points, at the exposure of
            this run, and how long they exposed, see `bl_steer.steering.doses_of_runs`
        """
        document = start()
        if not self.runs:
            return document, (np.empty((0, 1)), [], None)
        earlier = yield from think(
            executor, lambda: points_of_runs(self.runs, document, reader.reduction)
        )
        if reader.reduction is None and reader.field is None:
            reader.reduction = earlier.reduction
        scales = self._scales(reader, document, earlier.nominal_counts)
        document = start()
        document["steering"] |= {"seen": self.uids, "seen_scales": scales}
        if self._resumes is None:  # else it was looked at when that run began
            document["steering"]["seen_samples"] = [sample_name(run.start) for run in self.runs]
            yield from bps.subscribe("start", lambda _, doc: self._started.append(doc))
        results = earlier.scaled(scales)
        logger.info("%d points of %d earlier runs are known", len(results), len(self.runs))
        return document, (earlier.positions, results, doses_of_runs(self.runs, document))

    def of_one_sample(
        self, run: Callable[[], MsgGenerator[None]]
    ) -> Callable[[], MsgGenerator[None]]:
        """Refuse runs of another sample before anything moves: the start document names it.

        A plan is not told what ``RE.md`` says. A session refuses before it begins the run.
        """

        def checked() -> MsgGenerator[None]:
            for start in self._started[-1:]:
                for uid in check_samples(start):
                    logger.warning(
                        "whether run %s saw the sample of this one is not known, as not both name "
                        "it; give RE.md or md a sample, as in md={'sample': {'name': 'SiGe-07'}}",
                        uid[:8],
                    )
            yield from run()

        return checked

    def _scales(
        self, reader: PointReader, start: Mapping[str, Any], beams: Sequence[float | None]
    ) -> list[float]:
        """Return what the patterns of each run are multiplied by; the beam of the first counts."""
        if self._resumes is not None:
            return list(self._resumes.steering["seen_scales"])
        own, scales = _exposed(reader, start), []
        per_frame = start["steering"].get("reduction_settings") is not None
        nominal = start["steering"]["nominal_counts"]
        for run, beam in zip(self.runs, beams, strict=True):
            was = exposure_of_run(run, start)
            scale = _ratio(own.frame_s, was.frame_s) if per_frame else _ratio(own[0], was[0])
            if beam is not None and reader.monitor is not None:
                here = beam * _ratio(own.event_s, was.event_s)
                nominal = nominal or here
                reader.nominal_seen = nominal
                scale *= nominal / here
            scales.append(scale)
        return scales


def _exposed(reader: PointReader, start: Mapping[str, Any]) -> Exposed:
    """Return how long a point of the run will be exposed; a sweep has set its frames already."""
    event_s = exposure_s_of(reader.detector)
    frame_s = start["steering"].get("exposure_s") or event_s
    first = getattr(reader.per_point, "scans", (reader.per_point,))[0]
    in_steps = getattr(first, "several_events", False)
    return Exposed((first.n if in_steps else 1) * event_s, event_s, frame_s)


def _ratio(now: float, then: float) -> float:
    ratio = now / then if then else math.nan
    return ratio if math.isfinite(ratio) and ratio > 0 else 1.0


def _unit(written: str) -> str:
    return "um" if written.casefold() in MICRONS else written.casefold()
