"""What a run asks to have analysed, and which of it is still to be done.

A run asks in its start document, by names or with parameters::

    RE(map_sample(det, stage, md={"analyses": ["components"]}))
    RE(map_sample(det, stage, md={"analyses": [{"name": "components", "params": {"seed": 1}}]}))

``"always": True`` in a request has a run analysed that was aborted or failed, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer.processing.digest import canonical_json
from bl_steer.store import find_records

if TYPE_CHECKING:
    from bl_steer.runs import RecordsAlone
    from bl_steer.store import Store

__all__ = ["Request", "analyses_of", "is_answered", "pending_analyses", "requests_of"]

KEYS = {"name", "params", "always"}


@dataclass(frozen=True)
class Request:
    """One analysis of one run.

    Parameters
    ----------
    raw_uid : of the run to analyse
    name : of the analysis
    params : those that differ from their defaults
    always : also where the run did not end in success
    """

    raw_uid: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    always: bool = False

    @property
    def key(self) -> str:
        """Text that is equal for equal requests."""
        return canonical_json([self.raw_uid, self.name, self.params])

    def fits(self, stop: Mapping[str, Any] | None) -> bool:
        """Return whether a run that ended so is to be analysed."""
        return stop is not None and (self.always or stop.get("exit_status") == "success")


def requests_of(start: Mapping[str, Any]) -> list[Request]:
    """Return the analyses that a run's start document asks for, each once.

    Raises
    ------
    ValueError
        When ``analyses`` is not a list of names or of ``{"name": …, "params": {…}}``.
    """
    entries = start.get("analyses", ())
    if not isinstance(entries, list | tuple):
        raise _malformed(entries)
    requests = [_request(str(start.get("uid", "")), entry) for entry in entries]
    return list({request.key: request for request in requests}.values())


def analyses_of(store: Store | RecordsAlone, raw_uid: str) -> list[str]:
    """Return the uids of the analysis runs of a raw run, the oldest first, failed ones too."""
    dated = [
        (start["time"], str(start["uid"]))
        for start, _ in _starts_and_stops(store)
        if _raw_run(start) == raw_uid
    ]
    return [uid for _, uid in sorted(dated)]


def pending_analyses(store: Store | RecordsAlone) -> list[Request]:
    """Return what finished runs asked for and no analysis run answers, the oldest first.

    An analysis that failed counts as answered: to repeat it, ask for it by name.
    """
    due: list[tuple[float, Request]] = []
    answered = set()
    for start, stop in _starts_and_stops(store):
        if key := _answered(start):
            answered.add(key)
        elif start.get("analyses"):
            due += [(start["time"], r) for r in _readable(start) if r.fits(stop)]
    due.sort(key=lambda pair: pair[0])
    return [request for _, request in due if request.key not in answered]


def is_answered(store: Store | RecordsAlone, request: Request) -> bool:
    """Return whether an analysis run in the records answers a request, be it by a failure.

    It looks at the beginnings of the records alone, and so is quick: `pending_analyses` tells of
    runs without a record, too.
    """
    for path in find_records(store.record_dir).values():
        with path.open("rb") as file:
            start = _document(file.readline(), "start")
        if start is not None and _answered(start) == request.key:
            return True
    return False


def _request(raw_uid: str, entry: Any) -> Request:
    if isinstance(entry, str):
        return Request(raw_uid, entry)
    if (
        not isinstance(entry, Mapping)
        or not isinstance(entry.get("name"), str)
        or not isinstance(entry.get("params", {}), Mapping)
        or set(entry) - KEYS
    ):
        raise _malformed(entry)
    params = dict(entry.get("params", {}))
    return Request(raw_uid, entry["name"], params, bool(entry.get("always", False)))


def _malformed(entry: Any) -> ValueError:
    return ValueError(
        "analyses must be a list of names or of {'name': …, 'params': {…}, 'always': bool}, got "
        f"{entry!r}; write e.g. md={{'analyses': ['components']}}"
    )


def _readable(start: Mapping[str, Any]) -> list[Request]:
    try:
        return requests_of(start)
    except ValueError:  # refused by sessions; a run of another program may hold it
        return []


def _answered(start: Mapping[str, Any]) -> str:
    """Return the key of the request that an analysis run answers; nothing for other runs."""
    raw = _raw_run(start)
    if not raw:
        return ""
    request = start["analysis"]["request"]
    return Request(raw, request["name"], request["params"]).key


def _raw_run(start: Mapping[str, Any]) -> str:
    about = start.get("analysis")
    return str(about.get("raw_run", "")) if isinstance(about, Mapping) else ""


def _starts_and_stops(
    store: Store | RecordsAlone,
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    records = find_records(store.record_dir)
    for path in records.values():
        start, stop = _ends_of(path)
        if start is not None:
            yield start, stop
    for uid, node in store.catalog.items():
        if uid not in records and node.metadata.get("start"):
            yield dict(node.metadata["start"]), node.metadata.get("stop")


def _ends_of(path: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return a record's start and stop document; its points in between are not read."""
    with path.open("rb") as file:
        start = _document(file.readline(), "start")
        size = file.seek(0, os.SEEK_END)
        block = 1 << 16
        while True:
            file.seek(max(0, size - block))
            lines = file.read().split(b"\n")
            if len(lines) > 2 or block >= size:
                return start, _document(lines[-2] if len(lines) > 1 else b"", "stop")
            block *= 4


def _document(line: bytes, name: str) -> dict[str, Any] | None:
    try:
        kind, doc = json.loads(line)
    except ValueError:
        return None
    return dict(doc) if kind == name else None
