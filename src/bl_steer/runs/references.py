"""Where the data of an event lie that its document does not hold: which file, which row.

Detectors tell it in two ways, by ``stream_resource`` and ``stream_datum`` or, the older, by
``resource`` and ``datum``. Both are understood here, for a run that is going on (`.live`) and for
a stored one (`.tables`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from event_model import unpack_datum_page

from bl_steer.runs.frames import FrameSource, frames_shape
from bl_steer.store import path_of_resource

__all__ = ["Reference", "References", "image_key", "steered_detector"]

STREAM_FORMAT = "application/x-hdf5"
DATUM_FORMATS = ("AD_HDF5", "AD_HDF5_SWMR")
SEQUENCE_FORMAT = "NPY_SEQ"
"""Of `ophyd.sim`: a numpy file for each frame."""


class Reference(NamedTuple):
    """The place of an event's data: the `row`, counted in events, of a dataset."""

    source: FrameSource
    row: int


class _Span(NamedTuple):
    """Events in a row whose data lie in a row of the same dataset."""

    resource: str
    shape: tuple[int, ...]
    start: int
    stop: int
    row: int


class References:
    """Take the documents that refer to data elsewhere, and say where an event's are.

    Parameters
    ----------
    descriptors : data keys of each descriptor whose events are of interest, by its uid
    n_datums : how many ``datum`` documents are remembered, the latest; None for all
    """

    def __init__(
        self, descriptors: Mapping[str, Mapping[str, Any]], *, n_datums: int | None = None
    ) -> None:
        self._descriptors = descriptors
        self._n_datums = n_datums
        self._resources: dict[str, Mapping[str, Any]] = {}
        self._spans: dict[str, list[_Span]] = {}
        self._datums: dict[str, Mapping[str, Any]] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document; those that refer to nothing are let pass."""
        if name in ("resource", "stream_resource"):
            self._resources[doc["uid"]] = doc
        elif name == "stream_datum":
            self._take_stream_datum(doc)
        elif name == "datum":
            self._take_datum(doc)
        elif name == "datum_page":
            page: Any = doc
            for datum in unpack_datum_page(page):
                self._take_datum(datum)

    def find(
        self, data_key: str, seq_num: int, *, descriptor: str, datum_id: str | None = None
    ) -> Reference | None:
        """Return where the data of an event are; None while no document says so.

        Parameters
        ----------
        datum_id : what the event has under this key, where its detector uses ``datum``
        """
        if datum_id is not None:
            shape = self._descriptors[descriptor][data_key].get("shape", ())
            return self._find_datum(datum_id, shape)
        for span in reversed(self._spans.get(data_key, [])):
            if span.start <= seq_num < span.stop:
                source = _stream_source(self._resources[span.resource], span.shape)
                return Reference(source, span.row + seq_num - span.start)
        return None

    def _find_datum(self, datum_id: str, shape: Any) -> Reference | None:
        datum = self._datums.get(datum_id)
        if datum is None or datum["resource"] not in self._resources:
            return None
        where = datum.get("datum_kwargs", {})
        source = _datum_source(self._resources[datum["resource"]], tuple(shape))
        return Reference(source, int(where.get("point_number", where.get("index", 0))))

    def _take_datum(self, doc: Mapping[str, Any]) -> None:
        self._datums[doc["datum_id"]] = doc
        if self._n_datums is not None and len(self._datums) > self._n_datums:
            del self._datums[next(iter(self._datums))]

    def _take_stream_datum(self, doc: Mapping[str, Any]) -> None:
        data_keys = self._descriptors.get(doc["descriptor"])
        if data_keys is None:
            return
        key = str(self._resources[doc["stream_resource"]]["data_key"])
        numbers, rows = doc["seq_nums"], doc["indices"]
        span = _Span(
            doc["stream_resource"],
            tuple(data_keys.get(key, {}).get("shape", ())),
            int(numbers["start"]),
            int(numbers["stop"]),
            int(rows["start"]),
        )
        spans = self._spans.setdefault(key, [])
        if spans and _goes_on(spans[-1], span):
            spans[-1] = spans[-1]._replace(stop=span.stop)
        else:
            spans.append(span)


def image_key(data_keys: Mapping[str, Any], detector: str = "") -> str:
    """Return the data key of a detector's frames; empty where the stream refers to no data.

    Of several, such as an image and its sum, the one with most axes is meant.

    Parameters
    ----------
    data_keys : of the stream's descriptor
    detector : the device that is meant first
    """
    external = {key: about for key, about in data_keys.items() if about.get("external")}
    own = [key for key, about in external.items() if about.get("object_name") == detector]
    return max(own or external, key=lambda key: _n_axes(external[key]), default="")


def steered_detector(start: Mapping[str, Any]) -> str:
    """Return whose frames a run is steered on, by its start document; empty where it is silent."""
    source = start.get("steering", {}).get("source", {})
    if source.get("kind") == "frames":
        return str(source["detector"])
    return str((start.get("detectors") or [""])[0])


def _n_axes(description: Mapping[str, Any]) -> int:
    shape = frames_shape(description.get("shape", ()))
    return sum(size > 1 for size in shape[1:])


def _goes_on(before: _Span, span: _Span) -> bool:
    length = before.stop - before.start
    return before._replace(start=before.stop, stop=span.stop, row=before.row + length) == span


def _stream_source(resource: Mapping[str, Any], shape: tuple[int, ...]) -> FrameSource:
    if resource["mimetype"] != STREAM_FORMAT:
        return _unreadable(resource["uri"], resource["mimetype"], shape)
    return FrameSource.from_uri(resource["uri"], resource["parameters"], shape)


def _datum_source(resource: Mapping[str, Any], shape: tuple[int, ...]) -> FrameSource:
    path = path_of_resource(resource)
    settings = resource.get("resource_kwargs", {})
    if resource["spec"] == SEQUENCE_FORMAT:
        return FrameSource(path, "", shape=shape)
    if resource["spec"] not in DATUM_FORMATS:
        return _unreadable(path, resource["spec"], shape)
    dataset = str(settings.get("dataset", "/entry/data/data"))
    n_rows = int(settings.get("frame_per_point") or 1)
    return FrameSource(path, dataset, shape=shape, rows_per_event=n_rows)


def _unreadable(path: Any, format_: Any, shape: tuple[int, ...]) -> FrameSource:
    problem = (
        f"frames must be in HDF5 files, which can be read as they grow, got the format "
        f"{format_!r} of {path}; give the detector an HDF5 plugin or writer"
    )
    return FrameSource(None, "", shape=shape, problem=problem)
