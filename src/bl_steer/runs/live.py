"""A run that is going on: its events as they come, and their frames out of the detectors' files.

For a run that is over or belongs to another process use `bl_steer.runs.open_run`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from event_model import unpack_event_page
from numpy.typing import NDArray

from bl_steer.runs.references import Reference, References, image_key, steered_detector
from bl_steer.store import StoreError

__all__ = ["LiveEvent", "LiveRun"]

PATIENCE_S = 5.0
"""How long a writer may take to flush the frames of an event."""

N_DATUMS = 10_000
"""Datum documents that are remembered: an event follows its own closely."""


class LiveRun:
    """Take the documents of one run and hand out its events, each once.

    A plan subscribes it to its own run; no more than the events not yet taken is held.

    Parameters
    ----------
    stream : name of the stream whose events are of interest

    Notes
    -----
    The run is that of the first start document that comes; documents of other runs, which the
    same RunEngine may have open, are left alone.
    """

    def __init__(self, stream: str = "primary") -> None:
        self.stream = stream
        self.keys: dict[str, Any] = {}
        """Data keys of the stream, as its latest descriptor describes them."""
        self.objects: dict[str, list[str]] = {}
        """Which device brings which data keys."""
        self._start: Mapping[str, Any] | None = None
        self._descriptors: dict[str, dict[str, Any]] = {}
        self._references = References(self._descriptors, n_datums=N_DATUMS)
        self._events: dict[int, LiveEvent] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document."""
        self._references(name, doc)
        if name == "start" and self._start is None:
            self._start = doc
        elif name == "descriptor" and doc["name"] == self.stream and self._is_own(doc):
            self.keys = self._descriptors[doc["uid"]] = dict(doc["data_keys"])
            self.objects = {key: list(keys) for key, keys in doc.get("object_keys", {}).items()}
        elif name == "event":
            self._take_events([doc])
        elif name == "event_page":
            page: Any = doc
            self._take_events(unpack_event_page(page))

    @property
    def has_begun(self) -> bool:
        """Whether the run's start document has come: without a RunEngine it never does."""
        return self._start is not None

    @property
    def external_keys(self) -> list[str]:
        """Data keys whose data lie in files."""
        return [key for key, description in self.keys.items() if description.get("external")]

    def take(self) -> list[LiveEvent]:
        """Return the events since the last call, by number; of a repeated one, the last counts."""
        events, self._events = self._events, {}
        return [events[number] for number in sorted(events)]

    def image_key(self) -> str:
        """Return the data key of the frames that are steered on; empty without external data."""
        return image_key(self.keys, steered_detector(self._start or {}))

    def _is_own(self, descriptor: Mapping[str, Any]) -> bool:
        return self._start is None or descriptor["run_start"] == self._start["uid"]

    def _take_events(self, docs: Iterable[Any]) -> None:
        for doc in docs:
            if doc["descriptor"] in self._descriptors:
                self._events[int(doc["seq_num"])] = LiveEvent(doc, self, self._references)


class LiveEvent:
    """An event of a run that is going on.

    Parameters
    ----------
    doc : the event document
    run : which it belongs to
    references : of that run
    """

    def __init__(self, doc: Mapping[str, Any], run: LiveRun, references: References) -> None:
        self.seq_num = int(doc["seq_num"])
        """Its number; an event that is repeated after a pause has the same again."""
        self.data: dict[str, Any] = dict(doc["data"])
        self.timestamps: dict[str, float] = dict(doc["timestamps"])
        self._descriptor = str(doc["descriptor"])
        self._run = run
        self._references = references

    def frames(
        self, data_key: str | None = None, *, patience_s: float = PATIENCE_S
    ) -> NDArray[Any] | None:
        """Return the frames of this event, shape (n_frames, H, W); a number is one pixel.

        Parameters
        ----------
        data_key : whose; by default the frames that are steered on (`LiveRun.image_key`)
        patience_s : how long to wait for a writer that flushes late

        Returns
        -------
        None where the event refers to no data outside

        Raises
        ------
        StoreError
            When the frames do not come in time; it names the file and the row.
        """
        key = self._run.image_key() if data_key is None else data_key
        if not self._run.keys.get(key, {}).get("external"):
            return None
        deadline = time.monotonic() + patience_s
        try:
            reference = self._find(key, deadline)
            left_s = max(0.0, deadline - time.monotonic())
            frames: NDArray[Any] = reference.source.read([reference.row], patience_s=left_s)[0]
        except StoreError as error:
            raise StoreError(
                f"the frames of event {self.seq_num} ({key}) must be readable within "
                f"{patience_s:g} s, got: {error}. See that the writer flushes each frame while the "
                "file is open (SWMR mode) and that this machine sees its disk"
            ) from error
        return frames

    def _find(self, key: str, deadline: float) -> Reference:
        datum_id = self.data.get(key)
        while True:
            reference = self._references.find(
                key,
                self.seq_num,
                descriptor=self._descriptor,
                datum_id=None if datum_id is None else str(datum_id),
            )
            if reference is not None:
                return reference
            if time.monotonic() >= deadline:
                raise StoreError(
                    "a document must say where they are, got none; ask for the detector's "
                    "collect_asset_docs"
                )
            time.sleep(0.005)
