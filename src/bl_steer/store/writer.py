"""Bring documents into the Tiled catalogue: as they come, off the RunEngine's thread, or later.

What must not be lost is in the record (`bl_steer.store.record`) already, so a failure here is
logged and mended by `Store.sync`; it never stops a run.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bl_steer import store
from bl_steer.store.record import Document

__all__ = ["CatalogueWriter", "is_complete", "replay"]

UNFINISHED = "bl_steer: the record of this run has no stop document"
"""Reason in the stand-in for a stop document, there only while `replay` is at work."""

MARK = "unfinished"
"""Key in a run's catalogue metadata that says from how many documents it was written."""

logger = logging.getLogger(__name__)


class CatalogueWriter:
    """Feed a catalogue from a thread of its own, so that no point waits for Tiled.

    Parameters
    ----------
    client : the catalogue of runs
    batch_size : rows of a stream that are written at a time; the rest goes with the stop document
    on_done : called with a run's uid when its last document was dealt with
    check_frames : see after each run whether the catalogue's server can read the files that the
        run refers to, and warn where it cannot
    patience_s : how long `settle` and `close` wait; a slower catalogue is completed in the
        background
    gives_up : leave a catalogue that does not answer when the writer is closed. One in this
        process must not be closed while it works: its threads would never end
    """

    def __init__(
        self,
        client: Any,
        *,
        batch_size: int,
        on_done: Callable[[str], None],
        check_frames: bool = False,
        patience_s: float = 10.0,
        gives_up: bool = True,
    ) -> None:
        self._client = client
        self._batch_size = batch_size
        self._on_done = on_done
        self._check_frames = check_frames
        self._patience_s = patience_s
        self._gives_up = gives_up
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._runs: dict[str, Any] = {}
        self._thread: threading.Thread | None = None
        self._latest_stop: _Item | None = None

    def put(self, uid: str, name: str, doc: Mapping[str, Any]) -> None:
        """Queue a document, and wait for nothing; see `settle`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="catalogue", daemon=True)
            self._thread.start()
        item = _Item(uid, name, dict(doc))
        self._queue.put(item)
        if name == "stop":
            self._latest_stop = item

    def settle(self) -> None:
        """Wait until the catalogue has every run that is over, as far as patience goes."""
        item = self._latest_stop
        if item is None or threading.current_thread() is self._thread:
            return
        if not item.done.wait(self._patience_s):
            self._latest_stop = None  # waited for once
            logger.warning(
                "run %s is still on its way into the catalogue, which goes on; its record is "
                "complete, and bl-steer and open_run read that. Should this process be killed "
                "before, Store.open(DIR).sync() brings the run there",
                item.uid,
            )

    def close(self) -> None:
        """Write what is queued, as far as patience goes, and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(self._patience_s)
            if self._thread.is_alive() and not self._gives_up:
                logger.warning("the catalogue is slow, and is waited for")
                self._thread.join()
            if self._thread.is_alive():
                logger.warning(
                    "the catalogue does not answer; runs open from their records, and "
                    "Store.open(DIR).sync() completes it when it answers again"
                )
            self._thread = None

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if item.name == "start" or item.uid in self._runs:
                self._write(item)
            complete = item.name == "stop" and self._runs.pop(item.uid, None) is not None
            if item.name == "stop":
                self._on_done(item.uid)
            item.done.set()
            if complete and self._check_frames:
                self._check_frames_of(item.uid)

    def _check_frames_of(self, uid: str) -> None:
        try:
            problem = store.unreadable_frames(self._client, uid)
        except Exception:  # a closed connection: the run is complete, and only the check is not
            logger.debug("whether the server can read the frames was not seen", exc_info=True)
            return
        if problem:
            self._check_frames = False  # said once: the next run would say the same
            logger.warning(
                "the Tiled server must be able to read the frames of a run, got %s; let detectors "
                "write where the server reads, or add their folder to its readable_storage. The "
                "run opens from its record",
                problem,
            )

    def _write(self, item: _Item) -> None:
        try:
            if item.name == "start":
                self._runs[item.uid] = store.tiled_writer(self._client, batch_size=self._batch_size)
            self._runs[item.uid](item.name, item.doc)
        except Exception as error:
            # No more of this run: a stop document after a gap would make it look complete.
            self._runs.pop(item.uid, None)
            logger.warning(
                "run %s is not complete in the catalogue (%s: %s); its record is, and "
                "Store.sync() brings the rest",
                item.uid,
                type(error).__name__,
                str(error).partition("\n")[0],
            )


class _Item:
    """A document on its way, and whether it arrived."""

    def __init__(self, uid: str, name: str, doc: dict[str, Any]) -> None:
        self.uid = uid
        self.name = name
        self.doc = doc
        self.done = threading.Event()


def is_complete(client: Any, uid: str, documents: Callable[[], list[Document]]) -> bool:
    """Return whether a catalogue holds all of a run's record.

    Parameters
    ----------
    client : the catalogue of runs
    documents : reads the record; called only where the catalogue does not settle the question
    """
    metadata = _metadata(client, uid)
    if metadata is None:
        return False
    stop = metadata.get("stop")
    if stop is not None:
        return bool(stop.get("reason") != UNFINISHED)
    return bool((metadata.get(MARK) or {}).get("documents") == len(documents()))


def replay(client: Any, uid: str, documents: Iterable[Document]) -> None:
    """Write a run into a catalogue from its record, in place of what is there of it.

    Frames are left alone: the catalogue only refers to them. A run without a stop document stays
    one: the batches are flushed by a stand-in, which is taken out again.
    """
    documents = list(documents)
    if _metadata(client, uid) is not None:
        client.delete_contents(uid, recursive=True, external_only=False)
    write = store.tiled_writer(client, batch_size=10_000)
    for name, doc in documents:
        write(name, doc)
    if documents[-1][0] != "stop":
        write("stop", _stand_in(documents))
        _take_stop_out(client[uid], len(documents))


def _stand_in(documents: list[Document]) -> dict[str, Any]:
    start = documents[0][1]
    return {
        "uid": f"{start['uid']}-stop",
        "run_start": start["uid"],
        "time": documents[-1][1].get("time", start["time"]),
        "exit_status": "fail",
        "reason": UNFINISHED,
        "num_events": {},
    }


def _take_stop_out(node: Any, n_documents: int) -> None:
    metadata = {key: value for key, value in dict(node.metadata).items() if key != "stop"}
    metadata[MARK] = {"documents": n_documents}
    node.replace_metadata(metadata=metadata, drop_revision=True)


def _metadata(client: Any, uid: str) -> Mapping[str, Any] | None:
    try:
        return dict(client[uid].metadata)
    except KeyError:
        return None
