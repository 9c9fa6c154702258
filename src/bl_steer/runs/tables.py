"""The tables of a run's streams, gathered from its documents or read from Tiled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from event_model import unpack_event_page
from numpy.typing import NDArray

from bl_steer.protocols import Array
from bl_steer.runs.frames import Frames, FrameSource
from bl_steer.runs.readout import as_number
from bl_steer.runs.references import Reference, References, image_key, steered_detector
from bl_steer.store import StoreError

__all__ = [
    "Parts",
    "Table",
    "as_numbers",
    "inline_frames",
    "parts_from_documents",
    "parts_from_tiled",
    "read_outcomes",
    "result_rows",
    "status_of",
    "with_outcomes",
]

Table = dict[str, NDArray[Any]]
"""Columns of a stream, each (n_events, …), with ``seq_num``, ``time`` and ``ts_{key}``."""

PRIMARY = "primary"


class Parts(NamedTuple):
    """What a run is made of; the fields are those of `bl_steer.runs.Run`."""

    start: dict[str, Any]
    stop: dict[str, Any] | None
    streams: dict[str, Table]
    configuration: dict[str, Any]
    frames: Frames | None
    data_keys: dict[str, dict[str, Any]]
    """Of each stream, as its latest descriptor describes them: units, shape, device."""


def parts_from_documents(documents: Iterable[tuple[str, Any]], *, where: str) -> Parts:
    """Gather a run from its documents; `where` they come from is named in an error."""
    gatherer = _Gatherer()
    for name, doc in documents:
        gatherer(name, doc)
    if gatherer.start is None:
        raise StoreError(
            f"a run must begin with a start document, got none in {where}; list the runs to see "
            "which there are"
        )
    streams = {name: _table(list(rows.values())) for name, rows in gatherer.rows.items()}
    frames = gatherer.frames() or inline_frames(gatherer.start, streams.get(PRIMARY, {}))
    field = _external_field(gatherer.start, gatherer.data_keys)
    if field:
        streams[PRIMARY] |= _numbers(field, gatherer.frames(field))
    streams = _without_taken_back(streams)
    return Parts(
        gatherer.start, gatherer.stop, streams, gatherer.configuration, frames, gatherer.described
    )


def parts_from_tiled(node: Any) -> Parts:
    """Read a run from its node in a catalogue."""
    metadata = dict(node.metadata)
    streams: dict[str, Table] = {}
    configuration: dict[str, Any] = {}
    frames = None
    all_keys: dict[str, dict[str, Any]] = {}
    for name in node:
        stream = node[name]
        all_keys[name] = dict(stream.metadata.get("data_keys", {}))
        streams[name], images = _read_stream(stream)
        if name == PRIMARY:
            described = stream.metadata
            configuration = _flat(described.get("configuration", {}))
            data_keys = {key: described["data_keys"][key] for key in images}
            key = image_key(data_keys, steered_detector(metadata["start"]))
            n_points = len(streams[name].get("seq_num", ()))
            if key:
                frames = _tiled_frames(images[key], n_points)
            field = _external_field(metadata["start"], data_keys)
            if field:
                streams[name] |= _numbers(field, _tiled_frames(images[field], n_points))
    start, stop = metadata["start"], metadata.get("stop")
    frames = frames or inline_frames(start, streams.get(PRIMARY, {}))
    streams = _without_taken_back(streams)
    return Parts(start, stop, streams, configuration, frames, all_keys)


def read_outcomes(text: str) -> Array:
    """Return the outcomes that a decision or a result carries as JSON text, NaN for null.

    >>> read_outcomes("[1.5, null]")
    array([1.5, nan])
    """
    return np.array(json.loads(text), dtype=float)


def with_outcomes(table: Table) -> Table:
    """Return a table without time stamps, its outcomes, JSON text, as an array (n, budget).

    They are padded with NaN, and (n, n_targets, budget) in decisions for several targets.
    """
    table = {key: column for key, column in table.items() if not key.startswith("ts_")}
    if "outcomes" not in table:
        return table
    rows = [read_outcomes(text) for text in table["outcomes"]]
    budget = max(row.shape[-1] for row in rows)  # a run may get a larger one
    outcomes = np.full((len(rows), *rows[0].shape[:-1], budget), np.nan)
    for row, known in zip(outcomes, rows, strict=True):
        row[..., : known.shape[-1]] = known
    return {**table, "outcomes": outcomes}


def result_rows(table: Table) -> list[dict[str, Any]]:
    """Return the rows of the stream ``result``: one for each of several targets, or the one."""
    table = with_outcomes(table)
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    kept = rows if "target" in table else rows[-1:]
    return [{k: v if np.ndim(v) else v.tolist() for k, v in row.items()} for row in kept]


def inline_frames(start: Mapping[str, Any], table: Table) -> Frames | None:
    """Return the frames that the events of a steered run hold themselves; None without any.

    A vector is a frame of one row. Frames of another shape than the first ones are NaN.
    """
    source = start.get("steering", {}).get("source", {})
    arrays = [
        key
        for key, column in table.items()
        if column.dtype.kind in "biufO" and np.ndim(column[0]) and not key.startswith("ts_")
    ]
    # Earlier versions do not say which of a detector's arrays are meant.
    detector = str((start.get("detectors") or ["det"])[0])
    arrays.sort(
        key=lambda key: (key != source.get("key"), not f"{key}_".startswith(f"{detector}_"))
    )
    if "steering" not in start or not arrays:
        return None
    column = table[arrays[0]]
    if column.dtype.kind == "O":
        shape = np.shape(column[0])
        other = np.full(shape, np.nan)
        column = np.stack([as_numbers(a) if np.shape(a) == shape else other for a in column])
    elif "dtype" in source:
        column = column.astype(source["dtype"])
    name = f"{start.get('uid', '')}/{arrays[0]}"
    events = FrameSource(None, name, shape=column.shape[1:], array=column)
    rows = [(events, row) for row in range(len(column))]
    return Frames(rows, shape=events.frames_shape, dtype=events.dtype_of(column.dtype))


def _without_taken_back(streams: dict[str, Table]) -> dict[str, Table]:
    """Return streams without the decisions that the user took back before they were measured."""
    requests, decisions = streams.get("requests", {}), streams.get("decisions", {})
    if "takes_back" not in requests or not decisions:
        return streams
    numbers = np.asarray(decisions["seq_num"], dtype=int)
    gone = np.isin(numbers, requests["takes_back"])  # 0, for none, is no number
    renumbered = {**decisions, "seq_num": numbers - np.cumsum(gone)}
    return {**streams, "decisions": {key: column[~gone] for key, column in renumbered.items()}}


class _Gatherer:
    """Take the documents of one run; of events with the same number, the last one counts."""

    def __init__(self) -> None:
        self.start: dict[str, Any] | None = None
        self.stop: dict[str, Any] | None = None
        self.configuration: dict[str, Any] = {}
        self.rows: dict[str, dict[int, dict[str, Any]]] = {}
        self.described: dict[str, dict[str, Any]] = {}
        self._stream_of: dict[str, str] = {}
        self._descriptors: dict[str, dict[str, Any]] = {}
        self._references = References(self._descriptors)
        self._external: dict[int, tuple[str, dict[str, Any]]] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        self._references(name, doc)
        handle = getattr(self, f"_{name}", None)
        if handle is not None:
            handle(doc)

    @property
    def data_keys(self) -> dict[str, Any]:
        """Data keys of the points."""
        return {key: k for keys in self._descriptors.values() for key, k in keys.items()}

    def frames(self, key: str = "") -> Frames | None:
        """Return the frames of the points under a key, by default those that are steered on."""
        data_keys = self.data_keys
        key = key or image_key(data_keys, steered_detector(self.start or {}))
        seq_nums = sorted(self.rows.get(PRIMARY, {}))
        if not key or not seq_nums:
            return None
        references = [self._reference(key, seq_num) for seq_num in seq_nums]
        known = next((reference for reference in references if reference is not None), None)
        if known is None:
            return None
        missing = [n for n, r in zip(seq_nums, references, strict=True) if r is None]
        return Frames(
            [known if r is None else r for r in references],
            shape=known.source.frames_shape,
            dtype=known.source.dtype_of(data_keys[key].get("dtype_numpy", "<f8")),
            problem=f"a document must say where the frames of each point are, got none for the "
            f"points {missing}; the others are in {known.source.path}"
            if missing
            else "",
        )

    def _reference(self, key: str, seq_num: int) -> Reference | None:
        descriptor, external = self._external[seq_num]
        return self._references.find(
            key, seq_num, descriptor=descriptor, datum_id=external.get(key)
        )

    def _start(self, doc: Mapping[str, Any]) -> None:
        self.start = dict(doc)

    def _stop(self, doc: Mapping[str, Any]) -> None:
        self.stop = dict(doc)

    def _descriptor(self, doc: Mapping[str, Any]) -> None:
        self._stream_of[doc["uid"]] = doc["name"]
        self.rows.setdefault(doc["name"], {})
        self.described[doc["name"]] = dict(doc["data_keys"])
        if doc["name"] == PRIMARY:
            self.configuration = _flat(doc.get("configuration", {})) | self.configuration
            self._descriptors[doc["uid"]] = dict(doc["data_keys"])

    def _event(self, doc: Mapping[str, Any]) -> None:
        external = {key: doc["data"][key] for key in doc["data"] if key in doc.get("filled", {})}
        data = {key: value for key, value in doc["data"].items() if key not in external}
        stamps = {f"ts_{key}": doc["timestamps"][key] for key in data}
        row = {"seq_num": doc["seq_num"], "time": doc["time"], **data, **stamps}
        stream = self._stream_of[doc["descriptor"]]
        self.rows[stream].pop(doc["seq_num"], None)
        self.rows[stream][doc["seq_num"]] = row
        if stream == PRIMARY:
            self._external[doc["seq_num"]] = (doc["descriptor"], external)

    def _event_page(self, doc: Any) -> None:
        for event in unpack_event_page(doc):
            self._event(event)


def _external_field(start: Mapping[str, Any], data_keys: Mapping[str, Any]) -> str:
    """Return the key of the number that a run was steered on where it lies in a file; else empty.

    A detector that writes an image may write its sum beside it.
    """
    key = str(start.get("steering", {}).get("source", {}).get("key", ""))
    return key if data_keys.get(key, {}).get("external") else ""


def _numbers(key: str, frames: Frames | None) -> Table:
    """Return a column of numbers that lie in files, as `LiveEvent.frames` has them summed."""
    if frames is None:
        return {}
    try:
        return {key: np.array([float(frames[point].sum()) for point in range(len(frames))])}
    except StoreError:  # the file is gone; whoever needs the numbers is told that they lack
        return {}


def _table(rows: list[dict[str, Any]]) -> Table:
    if not rows:
        return {}
    rows = sorted(rows, key=lambda row: int(row["seq_num"]))
    return {key: _column([row[key] for row in rows]) for key in rows[0]}


def _column(values: list[Any]) -> NDArray[Any]:
    """Return values as an array, of objects where they have different shapes, or texts among them.

    NumPy would make a text of each number beside one.
    """
    texts = sum(isinstance(value, str) for value in values)
    with suppress(ValueError, OverflowError):
        if texts in (0, len(values)):
            return np.asarray(values)
    column = np.empty(len(values), dtype=object)
    column[:] = [np.asarray(value) if np.ndim(value) else value for value in values]
    return column


def as_numbers(column: NDArray[Any]) -> Array:
    """Return a column as numbers, NaN where a value is none."""
    try:
        return np.asarray(column, dtype=float)
    except (TypeError, ValueError):
        return np.asarray(np.vectorize(as_number, otypes=[float])(column))


def _flat(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for device in configuration.values() for key, value in device["data"].items()
    }


def _read_stream(stream: Any) -> tuple[Table, dict[str, Any]]:
    """Return a stream's columns and the clients of its external arrays by their data keys.

    Columns are those of its table, and the larger arrays that Tiled keeps beside it.
    """
    keys = stream.metadata.get("data_keys", {})
    parts = dict(stream.base.items())
    external = {k: part for k, part in parts.items() if keys.get(k, {}).get("external")}
    if "internal" not in parts:
        return {}, external
    frame = parts.pop("internal").read()
    last = np.flatnonzero(~frame["seq_num"].duplicated(keep="last").to_numpy())
    order = last[np.argsort(frame["seq_num"].to_numpy()[last], kind="stable")]
    table = {str(key): np.asarray(column.iloc[order].tolist()) for key, column in frame.items()}
    for key, part in parts.items():
        if not keys.get(key, {}).get("external"):
            table[key] = np.asarray(part.read())[order]
    return table, external


def _tiled_frames(client: Any, n_points: int) -> Frames | None:
    if not n_points:
        return None
    problem = (
        f"the catalogue must hold one stack of frames a point, got {client.shape[0]} for "
        f"{n_points} points; open the run from its record, which knows what belongs together"
        if client.shape[0] != n_points
        else ""
    )
    source = FrameSource.from_tiled(client)
    rows = [(source, row) for row in range(n_points)]
    dtype = source.dtype_of(client.dtype)
    return Frames(rows, shape=source.frames_shape, dtype=dtype, problem=problem)


def status_of(stop: Mapping[str, Any] | None) -> str:
    """Return how a run ended, by its stop document."""
    return "unfinished" if stop is None else str(stop["exit_status"])
