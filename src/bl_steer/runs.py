"""Stored runs as arrays, whichever way they are stored: record, Tiled or databroker.

Analyses, figures and replays start here. To store runs use `bl_steer.store` instead.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.frames import Frames, FrameSource
from bl_steer.protocols import Array
from bl_steer.store import Store, StoreError, find_records, is_being_written, read_record

__all__ = ["Run", "RunRow", "list_runs", "normalise", "open_run"]

Table = dict[str, NDArray[Any]]
"""Columns of a stream, each (n_events, …), with ``seq_num``, ``time`` and ``ts_{key}``."""

logger = logging.getLogger(__name__)


def normalise(counts: Array, monitor: Array, *, nominal_monitor: float, exposure_s: float) -> Array:
    """Scale counts to what the nominal beam would have given in the same exposure.

    Parameters
    ----------
    counts : shape (n, …), counts
    monitor : shape (n,), monitor counts during each point; where 0 or less, the result is NaN
    nominal_monitor : monitor counts per second of the nominal beam
    exposure_s : exposure of a point

    >>> normalise(np.array([[8.0]]), np.array([200.0]), nominal_monitor=100.0, exposure_s=1.0)
    array([[4.]])
    """
    monitor = np.where(monitor > 0, monitor, np.nan)
    factor = nominal_monitor * exposure_s / monitor
    scaled: Array = counts * factor.reshape(-1, *(1,) * (counts.ndim - 1))
    return scaled


@dataclass(frozen=True)
class Run:
    """A run as arrays, one row a point.

    Open it with `open_run`, `Run.from_record`, `Run.from_tiled` or `Run.from_header`. Where a
    pause made Bluesky measure a point again under the same number, its last measurement counts.

    Parameters
    ----------
    start : the start document
    stop : the stop document; None where the process ended before it was written
    streams : the tables of the streams, by name
    configuration : of the devices of the primary stream, as ``{"det_exposure_time": …}``
    frames : the frames of the points, read on access; None where the run stored none
    """

    start: dict[str, Any]
    stop: dict[str, Any] | None
    streams: dict[str, Table]
    configuration: dict[str, Any] = field(default_factory=dict)
    frames: Frames | None = None

    @classmethod
    def from_record(cls, path: str | os.PathLike[str]) -> Self:
        """Read a run from its write-ahead record alone, finished or not."""
        return cls.from_documents(read_record(path), where=str(path))

    @classmethod
    def from_header(cls, header: Any) -> Self:
        """Read a run from a ``databroker.v1`` header; see `bl_steer.store.open_broker`."""
        return cls.from_documents(header.documents(fill=False), where="databroker")

    @classmethod
    def from_documents(cls, documents: Iterable[tuple[str, Any]], *, where: str = "") -> Self:
        """Read a run from its documents, in the order in which they were emitted."""
        reader = _DocumentReader()
        for name, doc in documents:
            reader(name, doc)
        if reader.start is None:
            raise StoreError(f"a run must begin with a start document, got none in {where}")
        return cls(reader.start, reader.stop, *reader.arrays())

    @classmethod
    def from_tiled(cls, node: Any) -> Self:
        """Read a run from its node in a Tiled catalogue."""
        metadata = dict(node.metadata)
        streams = {name: _tiled_table(node[name]) for name in node}
        frames = None
        configuration: dict[str, Any] = {}
        if "primary" in streams:
            primary = node["primary"]
            configuration = _flat(primary.metadata.get("configuration", {}))
            frames = _tiled_frames(primary, len(streams["primary"]["seq_num"]))
        return cls(metadata["start"], metadata.get("stop"), streams, configuration, frames)

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
        return _status(self.stop)

    @property
    def steering(self) -> dict[str, Any]:
        """What the steering plan was asked for: target, seed, agent, grid, budget, …"""
        return dict(self.start.get("steering", {}))

    @property
    def primary(self) -> Table:
        """The table of the points; no columns where none was measured."""
        return self.streams.get("primary", {})

    @property
    def x(self) -> Array:
        """Where the first axis was read at each point, shape (n,)."""
        return self._column(self._axis(0))

    @property
    def y(self) -> Array:
        """Where the second axis was read at each point, shape (n,)."""
        return self._column(self._axis(1))

    @property
    def n_points(self) -> int:
        """Number of points, valid or not."""
        return len(self.primary.get("seq_num", ()))

    @property
    def valid(self) -> NDArray[np.bool_]:
        """False where a point's frame was dead, shape (n,)."""
        return np.asarray(self._column("det_valid", default=1.0) > 0)

    @property
    def total(self) -> Array:
        """Counts of each point, shape (n,)."""
        return self._column("det_total")

    @property
    def monitor(self) -> Array:
        """Monitor counts of each point, shape (n,)."""
        return self._column("monitor_counts")

    @property
    def exposure_s(self) -> float:
        """Exposure of a point, NaN where the run does not say."""
        return float(self.configuration.get("det_exposure_time", np.nan))

    @property
    def qx(self) -> Array:
        """In-plane momentum transfer of a frame's columns, 1/Å, shape (W,); empty if unknown."""
        return np.asarray(self.configuration.get("det_qx", ()), dtype=float)

    @property
    def qz(self) -> Array:
        """Out-of-plane momentum transfer of a frame's rows, 1/Å, shape (H,); empty if unknown."""
        return np.asarray(self.configuration.get("det_qz", ()), dtype=float)

    @property
    def sim_time(self) -> Array:
        """Simulated time of each point, s, shape (n,); NaN in a run on hardware."""
        return self._column("sim_clock", default=np.nan)

    @property
    def time(self) -> Array:
        """Wall-clock time of each point, s since 1970, shape (n,)."""
        return self._column("time")

    @property
    def decisions(self) -> Table:
        """Why each point was measured: a column for each field, one row a decision."""
        return self.streams.get("decisions", {})

    @property
    def result(self) -> dict[str, Any] | None:
        """The last row of the stream ``result``: best spot, value, reason to stop; None if none."""
        table = self.streams.get("result", {})
        if not len(table.get("seq_num", ())):
            return None
        return {
            key: column[-1].item() if column[-1].ndim == 0 else column[-1]
            for key, column in ((key, np.asarray(column)) for key, column in table.items())
            if key not in ("seq_num", "time") and not key.startswith("ts_")
        }

    def patterns(self) -> Array:
        """Return the pattern of each point, shape (n, H·W), counts of the nominal beam.

        The frames of a point are summed, and scaled by nominal over measured monitor counts, the
        nominal being ``start["steering"]["nominal_monitor"]`` (counts/s) times the exposure.
        Counts stay as they are in a run without a nominal. Dead frames are in it: see `valid`.
        """
        if self.frames is None:
            raise StoreError(
                f"patterns must come from frames, got a run without any ({self.uid}); use `total`"
            )
        counts = np.asarray(self.frames[:], dtype=float).sum(axis=1)
        counts = counts.reshape(len(counts), -1)
        nominal = self.steering.get("nominal_monitor")
        if nominal is None:
            return np.asarray(counts)
        return normalise(
            counts, self.monitor, nominal_monitor=float(nominal), exposure_s=self.exposure_s
        )

    def _axis(self, index: int) -> str:
        names = self.start.get("motors") or ("stage_x", "stage_y")
        return str(names[index])

    def _column(self, key: str, default: float | None = None) -> Array:
        table = self.primary
        if not table:
            return np.empty(0)
        if key in table:
            return np.asarray(table[key], dtype=float)
        if default is None:
            raise StoreError(
                f"the run must have a column {key!r}, got {sorted(table)} in {self.uid}; "
                "use `primary` for the columns as they are"
            )
        return np.full(self.n_points, default)


class _DocumentReader:
    """Gather the documents of one run."""

    def __init__(self) -> None:
        self.start: dict[str, Any] | None = None
        self.stop: dict[str, Any] | None = None
        self._stream_of: dict[str, str] = {}
        self._configuration: dict[str, Any] = {}
        self._rows: dict[str, dict[int, dict[str, Any]]] = {}
        self._resources: dict[str, Mapping[str, Any]] = {}
        self._data_keys: dict[str, dict[str, Any]] = {}
        self._frames: dict[int, tuple[str, int]] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "start":
            self.start = dict(doc)
        elif name == "stop":
            self.stop = dict(doc)
        elif name == "descriptor":
            self._descriptor(doc)
        elif name == "event":
            self._event(doc)
        elif name == "event_page":
            self._event_page(doc)
        elif name == "stream_resource":
            self._resources[doc["uid"]] = doc
        elif name == "stream_datum" and self._stream_of[doc["descriptor"]] == "primary":
            self._stream_datum(doc)

    def arrays(self) -> tuple[dict[str, Table], dict[str, Any], Frames | None]:
        """Return the streams' tables, the configuration and the frames."""
        streams = {
            name: _table([rows[seq_num] for seq_num in sorted(rows)])
            for name, rows in self._rows.items()
        }
        return streams, self._configuration, self._make_frames(streams.get("primary", {}))

    def _descriptor(self, doc: Mapping[str, Any]) -> None:
        self._stream_of[doc["uid"]] = doc["name"]
        self._rows.setdefault(doc["name"], {})
        if doc["name"] == "primary":
            self._configuration |= _flat(doc.get("configuration", {}))
            self._data_keys = dict(doc["data_keys"])

    def _event(self, doc: Mapping[str, Any]) -> None:
        stamps = {f"ts_{key}": value for key, value in doc["timestamps"].items()}
        row = {"seq_num": doc["seq_num"], "time": doc["time"], **doc["data"], **stamps}
        self._rows[self._stream_of[doc["descriptor"]]][doc["seq_num"]] = row

    def _event_page(self, doc: Mapping[str, Any]) -> None:
        from event_model import unpack_event_page

        for event in unpack_event_page(doc):  # type: ignore[arg-type]
            self._event(event)

    def _stream_datum(self, doc: Mapping[str, Any]) -> None:
        seq_nums, indices = doc["seq_nums"], doc["indices"]
        for seq_num, index in zip(
            range(seq_nums["start"], seq_nums["stop"]),
            range(indices["start"], indices["stop"]),
            strict=True,
        ):
            self._frames[seq_num] = (doc["stream_resource"], index)

    def _make_frames(self, primary: Table) -> Frames | None:
        if not self._frames or not len(primary.get("seq_num", ())):
            return None
        rows = [self._frames[int(seq_num)] for seq_num in primary["seq_num"]]
        key = self._data_keys[self._resources[rows[0][0]]["data_key"]]
        sources = {
            uid: FrameSource.from_uri(
                self._resources[uid]["uri"], self._resources[uid]["parameters"]
            )
            for uid, _ in rows
        }
        return Frames(
            [(sources[uid], index) for uid, index in rows],
            shape=tuple(key["shape"]),
            dtype=np.dtype(key.get("dtype_numpy", "<f8")),
        )


def _table(rows: list[dict[str, Any]]) -> Table:
    if not rows:
        return {}
    return {key: np.asarray([row[key] for row in rows]) for key in rows[0]}


def _flat(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for one in configuration.values() for key, value in one["data"].items()}


def _tiled_table(stream: Any) -> Table:
    """Return a stream's columns with the last row of each seq_num, in their order."""
    frame = _internal(stream)
    if frame is None:
        return {}
    frame = frame.drop_duplicates("seq_num", keep="last").sort_values("seq_num")
    return {str(key): np.asarray(column.tolist()) for key, column in frame.items()}


def _internal(stream: Any) -> Any:
    base = stream.base
    if "internal" not in base:
        return None
    return base["internal"].read()


def _tiled_frames(stream: Any, n_points: int) -> Frames | None:
    keys = [
        key
        for key, value in stream.metadata.get("data_keys", {}).items()
        if value.get("external") == "STREAM:" and key in stream.base
    ]
    if not keys or not n_points:
        return None
    client = stream.base[keys[0]]
    if client.shape[0] != n_points:
        raise StoreError(
            f"the catalogue must hold one frame stack a point, got {client.shape[0]} for "
            f"{n_points} points; open the run from its record, which says which belongs to which"
        )
    source = FrameSource.from_tiled(client)
    return Frames(
        [(source, index) for index in range(n_points)], shape=client.shape[1:], dtype=client.dtype
    )


@dataclass(frozen=True)
class RunRow:
    """A line of the list of runs."""

    uid: str
    scan_id: int | None
    time: datetime
    """When it began, local time."""
    plan: str
    n_points: int
    status: str
    """``success``, ``abort``, ``fail`` or ``unfinished``."""
    in_progress: bool = False
    """Whether a living process is writing it: unfinished so far, not broken."""


def list_runs(store: Store) -> list[RunRow]:
    """Return the runs of a store, the oldest first: of the catalogue, and of records not in it."""
    rows = {}
    for uid, node in store.catalog.items():
        metadata = node.metadata
        if metadata.get("stop") is not None:
            rows[uid] = _row(metadata["start"], metadata["stop"])
    for uid, path in find_records(store.record_dir).items():
        if uid not in rows and (row := _row_of_record(path)) is not None:
            rows[uid] = row
    for uid, node in store.catalog.items():
        if uid not in rows:
            rows[uid] = _row(node.metadata["start"], None)
    return sorted(rows.values(), key=lambda row: row.time)


def open_run(store: Store, key: str | int = -1) -> Run:
    """Open a stored run: from the catalogue where it is complete there, else from its record.

    Parameters
    ----------
    key : uid, or its beginning; scan id (the latest run that has it); -1 for the latest run, …

    Raises
    ------
    KeyError
        When there is no such run, or several begin with the letters given.
    """
    uid = _find(list_runs(store), key, store.path)
    node = store.catalog.get(uid)
    record = find_records(store.record_dir).get(uid)
    if node is not None and (record is None or node.metadata.get("stop") is not None):
        return Run.from_tiled(node)
    return Run.from_record(Path(str(record)))


def _find(rows: list[RunRow], key: str | int, where: Path) -> str:
    if isinstance(key, str):
        found = [row.uid for row in rows if row.uid.startswith(key)]
        if len(found) > 1 and key not in found:
            raise KeyError(
                f"a run's uid must be unambiguous, got {key!r} for {len(found)} runs in {where}; "
                "give more of its letters"
            )
    elif key < 0:
        found = [rows[key].uid] if -key <= len(rows) else []
    else:
        found = [row.uid for row in rows if row.scan_id == key][-1:]
    if not found:
        raise KeyError(
            f"a run must be in the store, got {key!r} for {len(rows)} runs in {where}; "
            "list the runs to see which there are"
        )
    return key if isinstance(key, str) and key in found else found[0]


def _row_of_record(path: Path) -> RunRow | None:
    start: dict[str, Any] | None = None
    stop: dict[str, Any] | None = None
    primary: set[str] = set()
    points: set[int] = set()
    for name, doc in read_record(path):
        if name == "start":
            start = doc
        elif name == "stop":
            stop = doc
        elif name == "descriptor" and doc["name"] == "primary":
            primary.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in primary:
            points.add(doc["seq_num"])
    if start is None:
        return None
    return _row(start, stop, n_points=len(points), in_progress=is_being_written(path))


def _row(
    start: Mapping[str, Any],
    stop: Mapping[str, Any] | None,
    *,
    n_points: int | None = None,
    in_progress: bool = False,
) -> RunRow:
    if n_points is None:
        n_points = int(((stop or {}).get("num_events") or {}).get("primary", 0))
    return RunRow(
        uid=str(start["uid"]),
        scan_id=start.get("scan_id"),
        time=datetime.fromtimestamp(start["time"]),
        plan=str(start.get("plan_name", "")),
        n_points=n_points,
        status=_status(stop),
        in_progress=in_progress,
    )


def _status(stop: Mapping[str, Any] | None) -> str:
    return "unfinished" if stop is None else str(stop["exit_status"])
