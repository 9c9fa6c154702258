"""Which runs a store holds, and how to open one of them."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bl_steer.runs.chains import POINT, earlier_uid
from bl_steer.runs.run import Run
from bl_steer.runs.tables import PRIMARY, status_of
from bl_steer.store import (
    Damage,
    Store,
    StoreError,
    find_records,
    is_being_written,
    sound_documents,
)

__all__ = [
    "RunRow",
    "UnknownRunError",
    "list_runs",
    "open_named",
    "open_run",
    "open_seen",
    "open_to_resume",
]

UID_LENGTH = 36

logger = logging.getLogger(__name__)


class UnknownRunError(KeyError):
    """A store holds no such run, or several."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError prints its text in quotes


@dataclass(frozen=True)
class RunRow:
    """A line of the list of runs."""

    uid: str
    scan_id: int | None
    time: datetime
    """When it began, local time."""
    plan: str
    n_points: int
    n_events: int
    """Of the stream ``primary``: more than points where a point is a rocking scan in steps."""
    status: str
    """``success``, ``abort``, ``fail``, or ``unfinished`` where there is no stop document."""
    in_progress: bool = False
    """Whether a living process is writing it: unfinished so far, not broken."""
    analysis: str = ""
    """Name of the analysis, of an analysis run."""
    reason: str = ""
    """Why it ended before its time, where that is told."""
    damaged_lines: int = 0
    """Lines of its record that could not be read, where it is not complete in the catalogue."""


@dataclass(frozen=True)
class RecordsAlone:
    """A store's folder to read from where the store cannot be opened: full or read-only disk."""

    path: Path
    catalog: Mapping[str, Any] = field(default_factory=dict)

    @property
    def record_dir(self) -> Path:
        """Where the write-ahead records lie."""
        return self.path / "record"


def list_runs(store: Store | RecordsAlone) -> list[RunRow]:
    """Return the runs of a store, the oldest first: of its catalogue and of its records."""
    try:
        catalogued = {uid: node.metadata for uid, node in store.catalog.items()}
    except Exception as error:  # Tiled's own: what it holds is in the records too
        catalogued = {}
        _warn_of_catalogue(error)
    rows = {
        uid: _row(metadata["start"], metadata.get("stop"))
        for uid, metadata in catalogued.items()
        if metadata.get("start")
    }
    for uid, path in find_records(store.record_dir).items():
        if (
            uid not in rows
            or rows[uid].status == "unfinished"
            or _events_per_point(catalogued[uid]["start"]) is None
        ):
            try:
                row = _row_of_record(path)
            except StoreError as error:
                logger.warning("%s", error)
                continue
            rows |= {uid: row} if row else {}
    return sorted(rows.values(), key=lambda row: row.time)


def open_run(store: Store | RecordsAlone, key: str | int = -1) -> Run:
    """Open a stored run: from the catalogue where it is complete there, else from its record.

    A run that carries on another is joined with it.

    Parameters
    ----------
    key : uid, or its beginning; scan id (the latest run that has it); -1 for the latest run, …

    Raises
    ------
    UnknownRunError
        When there is no such run, or several begin with the letters given.
    """
    uid = key if isinstance(key, str) and len(key) == UID_LENGTH else _find(store, key)
    record = find_records(store.record_dir).get(uid)
    try:
        run = _from_catalogue(store, uid, record)
    except Exception as error:
        if record is None:
            raise
        run = None
        _warn_of_catalogue(error)
    if run is not None:
        before = earlier_uid(run.start)
        return run if before is None else run.carrying_on(open_run(store, before))
    if record is None:
        raise _unknown(store, key)
    return Run.from_record(record)


def _from_catalogue(store: Store | RecordsAlone, uid: str, record: Path | None) -> Run | None:
    """Return a run as the catalogue has it; None where its record knows more."""
    node = store.catalog.get(uid)
    if node is None or not (record is None or node.metadata.get("stop")):
        return None
    run = Run.from_tiled(node)
    frames = run.frames
    if record is None or frames is None:
        return replace(run, record=record)
    is_elsewhere = frames.problem or (frames.behind_tiled and _has_frames(record))
    return None if is_elsewhere else replace(run, record=record)


def _has_frames(record: Path) -> bool:
    """Return whether the files that a record names are at hand, without Tiled."""
    frames = Run.from_record(record).frames
    paths = {source.path for source, _ in frames.rows} if frames is not None else set()
    return bool(paths) and all(path is not None and path.parent.is_dir() for path in paths)


def _warn_of_catalogue(error: Exception) -> None:
    logger.warning(
        "the catalogue must be readable, got %s: %s; the records are read instead",
        type(error).__name__,
        str(error).partition("\n")[0],
    )


def open_named(store: Store | RecordsAlone, name: str) -> Run:
    """Open the run that a user names by text: scan id, place from the end, uid or its beginning.

    A few digits are a scan id where there is one, and else the beginning of a uid.

    Raises
    ------
    UnknownRunError
        As `open_run`.
    """
    if not re.fullmatch(r"-?\d{1,5}", name):
        return open_run(store, name)
    try:
        return open_run(store, int(name))
    except KeyError:
        if name.startswith("-"):
            raise
        return open_run(store, name)


def open_to_resume(store: Store | RecordsAlone, name: str) -> Run:
    """Open a run that is to be carried on, as `open_named`.

    Raises
    ------
    UnknownRunError
        As `open_named`, and where another run has carried it on already: that one goes on.
    """
    run = open_named(store, name)
    for later, path in find_records(store.record_dir).items():
        with path.open("rb") as file:
            first = file.readline()
        if run.uid.encode() not in first or later == run.uid:
            continue
        other = open_run(store, later)
        if earlier_uid(other.start) != run.uid:
            continue
        if other.n_complete > other.steering["resumed_points"] or is_being_written(path):
            raise UnknownRunError(
                f"a run to resume must be the last of its points, got {run.uid[:8]}, which was "
                f"carried on by {later[:8]} already; resume that one"
            )
    return run


def open_seen(store: Store | RecordsAlone, named: Any) -> list[Run] | None:
    """Open the runs that a search is to start from, each named as `open_named` has it.

    Parameters
    ----------
    named : a name or a run, or several; None for none
    """
    if named is None:
        return None
    several = [named] if isinstance(named, Run | str | int) else named
    return [run if isinstance(run, Run) else open_named(store, str(run)) for run in several]


def _find(store: Store | RecordsAlone, key: str | int) -> str:
    rows = list_runs(store)
    if isinstance(key, str) and key:
        uids = [row.uid for row in rows if row.uid.startswith(key)]
    elif isinstance(key, str):
        uids = []
    elif key < 0:
        uids = [row.uid for row in rows][key:][:1] if -key <= len(rows) else []
    else:
        uids = [row.uid for row in rows if row.scan_id == key][-1:]
    if not uids:
        raise _unknown(store, key)
    if len(uids) > 1:
        raise UnknownRunError(
            f"the beginning of a uid must name one run, got {key!r} for {len(uids)} runs in "
            f"{store.path}; give more of its letters"
        )
    return uids[0]


def _unknown(store: Store | RecordsAlone, key: str | int) -> UnknownRunError:
    return UnknownRunError(
        f"a run must be in the store, got {key!r}, which is not in {store.path}; list the runs to "
        "see which there are, and name one by its uid, the first characters of it, its scan id, or "
        "-1 for the latest"
    )


def _row_of_record(path: Path) -> RunRow | None:
    start: dict[str, Any] | None = None
    stop: dict[str, Any] | None = None
    primary: set[str] = set()
    points: dict[int, int] = {}
    damage = Damage()
    for name, doc in sound_documents(path, damage):
        if name == "start":
            start = doc
        elif name == "stop":
            stop = doc
        elif name == "descriptor" and doc["name"] == "primary":
            primary.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in primary:
            points[doc["seq_num"]] = doc["data"].get(POINT, doc["seq_num"])
    if start is None:
        if damage.lines or primary:  # else its process died before the first line was whole
            logger.warning(
                "%s holds no start document, which says what was measured, and was left out; its "
                "lines are JSON",
                path,
            )
        return None
    row = _row(start, stop, n_events=len(points), in_progress=is_being_written(path))
    return replace(row, n_points=len({*points.values()}), damaged_lines=len(damage.lines))


def _row(
    start: Mapping[str, Any],
    stop: Mapping[str, Any] | None,
    *,
    n_events: int | None = None,
    in_progress: bool = False,
) -> RunRow:
    counted = (stop or {}).get("num_events") or {}
    if n_events is None:
        n_events = int(counted.get(PRIMARY, 0))
    about = start.get("analysis")
    return RunRow(
        uid=str(start["uid"]),
        scan_id=start.get("scan_id"),
        time=datetime.fromtimestamp(start["time"]),
        plan=str(start.get("plan_name", "")),
        n_points=_points_of(start, counted, n_events),
        n_events=n_events,
        status=status_of(stop),
        in_progress=in_progress,
        analysis=str(about.get("name", "")) if isinstance(about, Mapping) else "",
        reason=str((stop or {}).get("reason") or ""),
    )


def _points_of(start: Mapping[str, Any], counted: Mapping[str, Any], n_events: int) -> int:
    """Return how many points the events of a run are, by its start and stop documents alone."""
    n = _events_per_point(start)
    if n is None:  # then the decisions count the points, or the plan those of a whole map
        n_points = int(counted.get("decisions", start.get("num_points", n_events)))
        return min(n_events, n_points)
    return math.ceil(n_events / n)


def _events_per_point(start: Mapping[str, Any]) -> int | None:
    """Return how many events a point has; None where a user's own stub knows it alone."""
    per_point = start.get("steering", {}).get("per_point") or {}
    if per_point.get("name", "expose_at") in ("expose_at", "rocking_sweep"):
        return 1
    return per_point.get("n")
