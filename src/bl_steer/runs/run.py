"""A stored run as arrays, one row a point."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes, Reduction
from bl_steer.protocols import Array
from bl_steer.runs.chains import complete_points, earlier_uid, join, rows_of_points
from bl_steer.runs.frames import Frames
from bl_steer.runs.judging import counts_of, evened, judge_points, judge_sums, patterns_of, usable
from bl_steer.runs.points import PointResult, Points
from bl_steer.runs.readout import Readout, sum_key
from bl_steer.runs.reductions import own_reduction, recorded_axes
from bl_steer.runs.tables import (
    PRIMARY,
    Parts,
    Table,
    as_numbers,
    parts_from_documents,
    parts_from_tiled,
    result_rows,
    status_of,
    with_outcomes,
)
from bl_steer.store import StoreError, read_record

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """A run as arrays, one row a point.

    Open it with `open_run`, `Run.from_record`, `Run.from_tiled` or `Run.from_header`. Where a
    pause made Bluesky measure a point again under the same number, its last measurement counts.
    A run that carries on another holds the points and decisions of both, where it is opened by
    `open_run` or `Run.from_record`; start and stop are its own.

    Parameters
    ----------
    start : the start document
    stop : the stop document; None where the process ended before it was written
    streams : the table of each stream: columns (n_events, …), with ``seq_num``, ``time``, ``ts_…``
    configuration : of the devices of the primary stream, as ``{"det_exposure_time": …}``
    frames : of the points, (n, n_frames, H, W), read on access; None where the run stored none
    data_keys : of each stream, as its descriptor describes them: units, shape, device
    setting : number of the scan whose maps it shows, where a point has several; see `scans_of`
    record : its write-ahead record, beside which those of its store lie; None where it has none
    """

    start: dict[str, Any]
    stop: dict[str, Any] | None
    streams: dict[str, Table]
    configuration: dict[str, Any] = field(default_factory=dict)
    frames: Frames | None = None
    data_keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    record: Path | None = None
    setting: int = 0
    _results: list[PointResult] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def from_record(cls, path: str | os.PathLike[str]) -> Self:
        """Read a run from its write-ahead record alone, finished or not, also while it grows.

        Raises
        ------
        StoreError
            When there is no such record, or none beside it of the run that this one carries on.
        """
        run = replace(cls.from_documents(read_record(path), where=str(path)), record=Path(path))
        before = earlier_uid(run.start)
        if before is None:
            return run
        return run.carrying_on(cls.from_record(Path(path).with_name(f"{before}.jsonl")))

    def carrying_on(self, earlier: Run) -> Self:
        """Return this run joined with the one that it carries on."""
        first, second = (
            Parts(run.start, run.stop, run.streams, run.configuration, run.frames, run.data_keys)
            for run in (earlier, self)
        )
        return type(self)(*join(first, second), record=self.record)

    @classmethod
    def from_header(cls, header: Any) -> Self:
        """Read a run from a ``databroker.v1`` header; see `bl_steer.store.open_broker`."""
        return cls.from_documents(header.documents(), where="databroker")

    @classmethod
    def from_documents(
        cls, documents: Iterable[tuple[str, Any]], *, where: str = "the documents"
    ) -> Self:
        """Read a run from its documents, in the order in which they were emitted."""
        return cls(*parts_from_documents(documents, where=where))

    @classmethod
    def from_tiled(cls, node: Any) -> Self:
        """Read a run from its node in a Tiled catalogue."""
        return cls(*parts_from_tiled(node))

    @property
    def uid(self) -> str:
        """Uid of the run."""
        return str(self.start["uid"])

    @property
    def scan_id(self) -> int | None:
        """Scan id of the run, where it has one."""
        return self.start.get("scan_id")

    @property
    def finished(self) -> bool:
        """Whether the run came to an end, good or bad."""
        return self.stop is not None

    @property
    def status(self) -> str:
        """``success``, ``abort`` or ``fail``; ``unfinished`` where there is no stop document."""
        return status_of(self.stop)

    @property
    def reason(self) -> str:
        """Why it ended before its time, of an abort or a failure; empty where none is told."""
        return str((self.stop or {}).get("reason") or "")

    @property
    def steering(self) -> dict[str, Any]:
        """What the plan was asked for: target, seed, agent, grid, budget, … ."""
        return dict(self.start.get("steering", {}))

    @property
    def primary(self) -> Table:
        """The table of the points; no columns where none was measured."""
        return self.streams.get(PRIMARY, {})

    @property
    def events_of(self) -> list[NDArray[np.int_]]:
        """Rows of `primary` that belong to each point: one, or several of a rocking scan."""
        return rows_of_points(self.primary)

    @property
    def n_points(self) -> int:
        """Number of points, valid or not."""
        return len(self.events_of)

    @property
    def n_complete(self) -> int:
        """Number of points measured to their end, up to the first gap in the record."""
        return complete_points(self.start, self.streams)

    @property
    def positions(self) -> Array:
        """Where the axes were read at each point, shape (n, n_axes)."""
        columns = [self._column(key) for key in self.axis_keys]
        return np.column_stack(columns) if self.primary else np.empty((0, len(columns)))

    @property
    def x(self) -> Array:
        """Where the first axis was read at each point, shape (n,)."""
        return self._column(self.axis_keys[0])

    @property
    def y(self) -> Array:
        """Where the second axis was read at each point, shape (n,); NaN with one axis."""
        axes = self.axis_keys
        return self._column(axes[1]) if len(axes) > 1 else np.full(self.n_points, np.nan)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Whether each point gave a pattern that could be used, shape (n,)."""
        if not self.steering:
            return self._column(f"{self._detector}_valid", default=1.0) > 0
        return usable(self._judged())

    @property
    def noise_ratios(self) -> Array:
        """Variance of each point's noise, in units of that at the run's usual beam, shape (n,)."""
        return np.array([result.noise_ratio for result in self._judged()], dtype=float)

    @property
    def total(self) -> Array:
        """Counts of each point, shape (n,), or the field, in as many events as the first has."""
        key = self._readout.field or self._sum_key
        is_read = key in self.primary or self.frames is None  # if neither, the error that names it
        sums = self._column(key, each=np.sum) if is_read else counts_of(self.frames, self.events_of)
        return evened(sums, self.steering, self.events_of)

    @property
    def monitor(self) -> Array:
        """Monitor counts of each point, shape (n,); NaN in a run without a monitor."""
        key = self._readout.monitor or "monitor_counts"
        return self._column(key, default=np.nan, each=np.sum)

    @property
    def exposure_s(self) -> float:
        """Exposure of a frame, s; NaN where the run does not say."""
        return float(self.configuration.get(f"{self._detector}_exposure_time", np.nan))

    @property
    def qx(self) -> Array:
        """In-plane momentum transfer of a pattern's columns, 1/Å, shape (W,); empty if unknown."""
        return self._q_axes.qx

    @property
    def qz(self) -> Array:
        """Out-of-plane momentum transfer of a pattern's rows, 1/Å, shape (H,); empty if unknown."""
        return self._q_axes.qz

    @property
    def time(self) -> Array:
        """Wall-clock time of each point, s since 1970, shape (n,)."""
        return self._column("time")

    @property
    def sim_time(self) -> Array:
        """Simulated time of each point, s since 1970, shape (n,); NaN in a run on hardware."""
        key = next((key for key in self.primary if key.endswith("sim_clock")), "sim_clock")
        return self._column(key, default=np.nan)

    @property
    def decisions(self) -> Table:
        """Why each point was measured: a column (n_decisions,) for each field."""
        return with_outcomes(self.streams.get("decisions", {}))

    @property
    def result(self) -> dict[str, Any] | None:
        """What the run found: best spot, value, reason to stop, …; None where it says nothing."""
        return next(iter(self.spots), None)

    @property
    def spots(self) -> list[dict[str, Any]]:
        """What the run found for each of its targets; of one target that is `result` alone."""
        return result_rows(self.streams.get("result", {}))

    @property
    def axes(self) -> FrameAxes:
        """Coordinates of a pattern's pixels; channels where the run does not say."""
        if self._readout.field is not None:
            return FrameAxes.channels((1, 1))
        if len(self.qx) and len(self.qz):
            return self._q_axes
        height, width = self._frames().shape[-2:]
        return FrameAxes.channels((height, width))

    def results(
        self, reduction: Reduction | None = None, *, judge: Points | None = None
    ) -> list[PointResult]:
        """Return what each point gave, as the plan had it; see `bl_steer.runs.points`.

        Parameters
        ----------
        reduction : by default the run's own grid in q, or else the sum of a point's frames
        judge : judges the points that were measured to their end; by default all, as the plan did

        Raises
        ------
        StoreError
            When the run stored no frames, or they are not where its documents say.
        """
        is_own = reduction is None and judge is None
        if is_own and self._results:
            return list(self._results)
        events_of = self.events_of if judge is None else self.events_of[: self.n_complete]
        frames = None if self._readout.field is not None or not events_of else self._frames()
        if is_own and frames is not None:
            reduction = own_reduction(self.start, self.setting)
        points = judge or Points.from_start(self.start, reduction, setting=self.setting)
        results = judge_points(points, self._readout, self.primary, events_of, frames)
        self._results.extend(results if is_own else ())
        return results

    def patterns(self) -> Array:
        """Return the pattern of each point, shape (n, n_pixels), counts at the nominal beam.

        A point without a pattern (dead frames, no beam, as a later point may show) is a row of NaN,
        as are cells that were not measured. A number that was steered on is a pattern of one pixel.

        Raises
        ------
        StoreError
            When the run stored no frames, or they are not where its documents say.
        """
        return patterns_of(self.results())

    def _judged(self) -> list[PointResult]:
        """Return `results`; of frames that are gone, those of their sums."""
        try:
            return self.results()
        except StoreError:
            sums = (self.primary, self.events_of, self._sum_key)
            if self._sum_key not in self.primary:
                raise
            return judge_sums(self.start, self._readout, *sums)

    def _frames(self) -> Any:
        if self.frames is None:
            raise StoreError(
                f"patterns must come from frames, got a run without any ({self.uid}); use `total`"
            )
        return self.frames

    @property
    def _readout(self) -> Readout:
        return Readout.from_start(self.start)

    @property
    def _sum_key(self) -> str:
        return sum_key(self._detector, self.data_keys.get(PRIMARY, {}))

    @property
    def axis_keys(self) -> list[str]:
        """Data keys of the axes' readbacks."""
        dimensions = self.start.get("hints", {}).get("dimensions", ())
        keys = [str(fields[0]) for fields, stream in dimensions if stream == PRIMARY]
        if keys and all(key in self.primary for key in keys):
            return keys
        return [str(name) for name in self.start.get("motors") or ("stage_x", "stage_y")]

    @property
    def _detector(self) -> str:
        return str((self.start.get("detectors") or ["det"])[0])

    @property
    def _q_axes(self) -> FrameAxes:
        return recorded_axes(self.start, self.setting, self.configuration, self._detector)

    def _column(
        self, key: str, default: float | None = None, each: Callable[[Array], Any] = itemgetter(0)
    ) -> Array:
        """Return a column of the points; `each` makes one value of those of a point's events."""
        if not self.primary:
            return np.empty(0)
        if key in self.primary:
            column = as_numbers(self.primary[key])
            return np.array([each(column[rows]) for rows in self.events_of], dtype=float)
        if default is None:
            raise StoreError(
                f"the points must have a column {key!r}, got {sorted(self.primary)} in run "
                f"{self.uid}; use `primary` for the columns as they are"
            )
        return np.full(self.n_points, default)
