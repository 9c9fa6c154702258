"""A stored run as arrays, one row a point."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction.patterns import normalise
from bl_steer.protocols import Array
from bl_steer.runs.frames import Frames
from bl_steer.runs.tables import PRIMARY, Table, parts_from_documents, parts_from_tiled
from bl_steer.store import StoreError, read_record

__all__ = ["Run", "read_outcomes", "status_of"]

BLOCK = 64
"""Points whose frames are in memory at a time while patterns are made."""


@dataclass(frozen=True)
class Run:
    """A run as arrays, one row a point.

    Open it with `open_run`, `Run.from_record`, `Run.from_tiled` or `Run.from_header`. Where a
    pause made Bluesky measure a point again under the same number, its last measurement counts.

    Parameters
    ----------
    start : the start document
    stop : the stop document; None where the process ended before it was written
    streams : the table of each stream: columns (n_events, …), with ``seq_num``, ``time``, ``ts_…``
    configuration : of the devices of the primary stream, as ``{"det_exposure_time": …}``
    frames : of the points, (n, n_frames, H, W), read on access; None where the run stored none
    record : its write-ahead record, beside which those of its store lie; None where it has none
    """

    start: dict[str, Any]
    stop: dict[str, Any] | None
    streams: dict[str, Table]
    configuration: dict[str, Any] = field(default_factory=dict)
    frames: Frames | None = None
    record: Path | None = None

    @classmethod
    def from_record(cls, path: str | os.PathLike[str]) -> Self:
        """Read a run from its write-ahead record alone, finished or not, also while it grows."""
        run = cls.from_documents(read_record(path), where=os.fspath(path))
        return replace(run, record=Path(path))

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
    def steering(self) -> dict[str, Any]:
        """What the plan was asked for: target, seed, agent, grid, budget, … ."""
        return dict(self.start.get("steering", {}))

    @property
    def primary(self) -> Table:
        """The table of the points; no columns where none was measured."""
        return self.streams.get(PRIMARY, {})

    @property
    def n_points(self) -> int:
        """Number of points, valid or not."""
        return len(self.primary.get("seq_num", ()))

    @property
    def x(self) -> Array:
        """Where the first axis was read at each point, shape (n,)."""
        return self._column(self._axes[0])

    @property
    def y(self) -> Array:
        """Where the second axis was read at each point, shape (n,)."""
        return self._column(self._axes[1])

    @property
    def valid(self) -> NDArray[np.bool_]:
        """False where a point's frames were dead, shape (n,)."""
        return np.asarray(self._column(f"{self._detector}_valid", default=1.0) > 0)

    @property
    def total(self) -> Array:
        """Counts of each point, shape (n,)."""
        return self._column(f"{self._detector}_total")

    @property
    def monitor(self) -> Array:
        """Monitor counts of each point, shape (n,); NaN in a run without a monitor."""
        name = self.steering.get("monitor", "monitor")
        return self._column(f"{name}_counts", default=np.nan)

    @property
    def exposure_s(self) -> float:
        """Exposure of a frame, s; NaN where the run does not say."""
        return float(self.configuration.get(f"{self._detector}_exposure_time", np.nan))

    @property
    def qx(self) -> Array:
        """In-plane momentum transfer of a frame's columns, 1/Å, shape (W,); empty if unknown."""
        return self._coordinates("qx")

    @property
    def qz(self) -> Array:
        """Out-of-plane momentum transfer of a frame's rows, 1/Å, shape (H,); empty if unknown."""
        return self._coordinates("qz")

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
        return _with_outcomes(_without_stamps(self.streams.get("decisions", {})))

    @property
    def result(self) -> dict[str, Any] | None:
        """What the run found: best spot, value, reason to stop, …; None where it says nothing."""
        table = _with_outcomes(_without_stamps(self.streams.get("result", {})))
        if not table:
            return None
        return {k: c[-1] if c.ndim > 1 else c[-1].tolist() for k, c in table.items()}

    def patterns(self) -> Array:
        """Return the pattern of each point, shape (n, H·W), counts at the nominal beam.

        Made by `bl_steer.diffraction.patterns.normalise` from the frames, the monitor counts and
        the start document's ``steering.nominal_counts`` (by default, those of the first valid
        point), as the plan did it. A point without a pattern (dead frames, no beam) is a row of
        NaN.

        Raises
        ------
        StoreError
            When the run stored no frames, or they are not where its documents say.
        """
        if self.frames is None:
            raise StoreError(
                f"patterns must come from frames, got a run without any ({self.uid}); use `total`"
            )
        monitor = self.monitor
        usable = self.valid & ~(monitor <= 0)
        nominal = self.steering.get("nominal_counts")
        if nominal is None and usable.any() and not np.isnan(monitor).all():
            nominal = float(monitor[usable][0])
        patterns = np.full((self.n_points, int(np.prod(self.frames.shape[2:]))), np.nan)
        points = np.flatnonzero(usable)
        for block in np.array_split(points, range(BLOCK, len(points), BLOCK)):
            for point, frames in zip(block, self.frames[block], strict=True):
                counts = None if np.isnan(monitor[point]) else float(monitor[point])
                patterns[point] = normalise(frames, counts, nominal)
        return patterns

    @property
    def _axes(self) -> tuple[str, str]:
        first, second = self.start.get("motors") or ("stage_x", "stage_y")
        return str(first), str(second)

    @property
    def _detector(self) -> str:
        return str((self.start.get("detectors") or ["det"])[0])

    def _coordinates(self, axis: str) -> Array:
        return np.asarray(self.configuration.get(f"{self._detector}_{axis}", ()), dtype=float)

    def _column(self, key: str, default: float | None = None) -> Array:
        if not self.primary:
            return np.empty(0)
        if key in self.primary:
            return np.asarray(self.primary[key], dtype=float)
        if default is None:
            raise StoreError(
                f"the points must have a column {key!r}, got {sorted(self.primary)} in run "
                f"{self.uid}; use `primary` for the columns as they are"
            )
        return np.full(self.n_points, default)


def status_of(stop: Mapping[str, Any] | None) -> str:
    """Return how a run ended, by its stop document."""
    return "unfinished" if stop is None else str(stop["exit_status"])


def read_outcomes(text: str) -> Array:
    """Return the outcomes that a decision or a result carries as JSON text, NaN for null.

    >>> read_outcomes("[1.5, null]")
    array([1.5, nan])
    """
    return np.array([np.nan if number is None else number for number in json.loads(text)])


def _with_outcomes(table: Table) -> Table:
    if "outcomes" not in table:
        return table
    return {**table, "outcomes": np.stack([read_outcomes(text) for text in table["outcomes"]])}


def _without_stamps(table: Table) -> Table:
    return {key: column for key, column in table.items() if not key.startswith("ts_")}
