"""The tables of a run's streams, gathered from its documents or read from Tiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from event_model import unpack_event_page
from numpy.typing import NDArray

from bl_steer.runs.frames import Frames, FrameSource
from bl_steer.store import StoreError

__all__ = ["Parts", "Table", "parts_from_documents", "parts_from_tiled"]

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
    frames = gatherer.frames(streams.get(PRIMARY, {}))
    return Parts(gatherer.start, gatherer.stop, streams, gatherer.configuration, frames)


def parts_from_tiled(node: Any) -> Parts:
    """Read a run from its node in a catalogue."""
    metadata = dict(node.metadata)
    streams: dict[str, Table] = {}
    configuration: dict[str, Any] = {}
    frames = None
    for name in node:
        stream = node[name]
        streams[name], images = _read_stream(stream)
        if name == PRIMARY:
            configuration = _flat(stream.metadata.get("configuration", {}))
            frames = _tiled_frames(images, len(streams[name].get("seq_num", ())))
    return Parts(metadata["start"], metadata.get("stop"), streams, configuration, frames)


class _Gatherer:
    """Take the documents of one run; of events with the same number, the last one counts."""

    def __init__(self) -> None:
        self.start: dict[str, Any] | None = None
        self.stop: dict[str, Any] | None = None
        self.configuration: dict[str, Any] = {}
        self.rows: dict[str, dict[int, dict[str, Any]]] = {}
        self._stream_of: dict[str, str] = {}
        self._data_keys: dict[str, dict[str, Any]] = {}
        self._resources: dict[str, Mapping[str, Any]] = {}
        self._frame_of: dict[int, tuple[str, int]] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        handle = getattr(self, f"_{name}", None)
        if handle is not None:
            handle(doc)

    def frames(self, primary: Table) -> Frames | None:
        """Return the frames of the points in a table; None without frames."""
        seq_nums = primary.get("seq_num", ())
        if not self._frame_of or not len(seq_nums):
            return None
        sources = {
            uid: FrameSource.from_uri(doc["uri"], doc["parameters"])
            for uid, doc in self._resources.items()
        }
        sources_and_rows = [self._frame_of[int(seq_num)] for seq_num in seq_nums]
        key = self._data_keys[self._resources[sources_and_rows[0][0]]["data_key"]]
        return Frames(
            [(sources[uid], row) for uid, row in sources_and_rows],
            shape=key["shape"],
            dtype=key.get("dtype_numpy", "<f8"),
        )

    def _start(self, doc: Mapping[str, Any]) -> None:
        self.start = dict(doc)

    def _stop(self, doc: Mapping[str, Any]) -> None:
        self.stop = dict(doc)

    def _descriptor(self, doc: Mapping[str, Any]) -> None:
        self._stream_of[doc["uid"]] = doc["name"]
        self.rows.setdefault(doc["name"], {})
        if doc["name"] == PRIMARY:
            self.configuration = _flat(doc.get("configuration", {})) | self.configuration
            self._data_keys = dict(doc["data_keys"])

    def _event(self, doc: Mapping[str, Any]) -> None:
        stamps = {f"ts_{key}": value for key, value in doc["timestamps"].items()}
        row = {"seq_num": doc["seq_num"], "time": doc["time"], **doc["data"], **stamps}
        rows = self.rows[self._stream_of[doc["descriptor"]]]
        rows.pop(doc["seq_num"], None)
        rows[doc["seq_num"]] = row

    def _event_page(self, doc: Any) -> None:
        for event in unpack_event_page(doc):
            self._event(event)

    def _stream_resource(self, doc: Mapping[str, Any]) -> None:
        self._resources[doc["uid"]] = doc

    def _stream_datum(self, doc: Mapping[str, Any]) -> None:
        if self._stream_of[doc["descriptor"]] != PRIMARY:
            return
        numbers, rows = doc["seq_nums"], doc["indices"]
        for seq_num in range(numbers["start"], numbers["stop"]):
            row = rows["start"] + seq_num - numbers["start"]
            self._frame_of[seq_num] = (doc["stream_resource"], row)


def _table(rows: list[dict[str, Any]]) -> Table:
    if not rows:
        return {}
    rows = sorted(rows, key=lambda row: int(row["seq_num"]))
    return {key: np.asarray([row[key] for row in rows]) for key in rows[0]}


def _flat(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for device in configuration.values() for key, value in device["data"].items()
    }


def _read_stream(stream: Any) -> tuple[Table, list[Any]]:
    """Return a stream's columns and the clients of its external arrays.

    Columns are those of its table, and the larger arrays that Tiled keeps beside it.
    """
    keys = stream.metadata.get("data_keys", {})
    parts = dict(stream.base.items())
    external = [part for key, part in parts.items() if keys.get(key, {}).get("external")]
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


def _tiled_frames(images: list[Any], n_points: int) -> Frames | None:
    if not images or not n_points:
        return None
    client = images[0]
    problem = (
        f"the catalogue must hold one stack of frames a point, got {client.shape[0]} for "
        f"{n_points} points; open the run from its record, which knows what belongs together"
        if client.shape[0] != n_points
        else ""
    )
    source = FrameSource.from_tiled(client)
    rows = [(source, row) for row in range(n_points)]
    return Frames(rows, shape=client.shape[1:], dtype=client.dtype, problem=problem)
