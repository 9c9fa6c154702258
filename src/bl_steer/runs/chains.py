"""A run that carries on an earlier one, joined with it: one table, one set of decisions.

What was measured before a process died is measured: the joined run is what an undisturbed one
would have been, and whoever reads it (figures, `bl_steer.steering.differing_decisions`, analyses)
need not know. `bl_steer.runs.open_run` and `bl_steer.runs.Run.from_record` join; a run from its
documents alone is the part that they hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.runs.frames import Frames
from bl_steer.runs.tables import PRIMARY, Parts, Table

__all__ = [
    "POINT",
    "complete_points",
    "earlier_uid",
    "has_gap",
    "join",
    "rows_of_points",
    "sound_rows",
]

POINT = "point"
"""Data key of a point's number, where a point has several events."""


def earlier_uid(start: Mapping[str, Any]) -> str | None:
    """Return the uid of the run that a steered run or a map carries on; None for a first run."""
    uid = start.get("steering", {}).get("resumes")
    return None if uid is None else str(uid)


def rows_of_points(primary: Table) -> list[NDArray[np.int_]]:
    """Return the rows of the stream ``primary`` that belong to each point."""
    n_events = len(primary.get("seq_num", ()))
    points = np.asarray(primary.get(POINT, np.arange(n_events)), dtype=int)
    return [np.flatnonzero(points == point) for point in np.unique(points)]


def sound_rows(table: Table) -> int:
    """Return how many rows there are before the first gap, which a damaged record may have."""
    numbers = np.asarray(table.get("seq_num", ()), dtype=int)
    return int(np.logical_and.accumulate(numbers == np.arange(1, len(numbers) + 1)).sum())


def has_gap(streams: Mapping[str, Table]) -> bool:
    """Return whether events are missing in the midst of a run: its record is damaged."""
    return any(sound_rows(table) < len(table.get("seq_num", ())) for table in streams.values())


def complete_points(start: Mapping[str, Any], streams: Mapping[str, Table]) -> int:
    """Return how many points were measured to their end, up to the first gap in the record.

    Of a point with several events the last one may be cut short: a ``rocking_scan`` says how many
    events it has, and of any other hook it is those that all earlier points have. Where they
    differ, only a later decision shows that the last point had come to its end.
    """
    primary, decisions = streams.get(PRIMARY, {}), streams.get("decisions", {})
    n_sound = sound_rows(primary)
    rows = [point for point in rows_of_points(primary) if point.max() < n_sound]
    if "agent" in start.get("steering", {}):  # each point was decided
        rows = rows[: sound_rows(decisions)]
    if not rows or POINT not in primary or sound_rows(decisions) > len(rows):
        return len(rows)
    events = start.get("steering", {}).get("per_point", {}).get("n")
    usual = Counter(len(point) for point in rows[:-1])
    if events is None and len(usual) == 1:
        (events,) = usual
    return len(rows) - (events is None or len(rows[-1]) < int(events))


def join(earlier: Parts, later: Parts) -> Parts:
    """Return two runs as one: how many points the later one took over stands in its start."""
    n = int(later.start["steering"]["resumed_points"])
    rows = rows_of_points(earlier.streams.get(PRIMARY, {}))[:n]
    events = np.concatenate(rows) if rows else np.empty(0, dtype=int)
    before = {
        name: {key: column[_rows(name, table, events, n)] for key, column in table.items()}
        for name, table in earlier.streams.items()
        if name != "result"
    }
    names = dict.fromkeys((*before, *later.streams))
    return Parts(
        later.start,
        later.stop,
        {name: _stacked(before.get(name, {}), later.streams.get(name, {})) for name in names},
        earlier.configuration | later.configuration,
        _frames(earlier.frames, events, later.frames),
        earlier.data_keys | later.data_keys,
    )


def _rows(stream: str, table: Table, events: NDArray[np.int_], n: int) -> Any:
    if stream == PRIMARY:
        return events
    if stream == "requests":  # of the decisions that are taken over, and of the next
        return table["point"] <= n
    return slice(n) if stream == "decisions" else slice(None)


def _stacked(before: Table, after: Table) -> Table:
    """Put a table below another; a column that one of them lacks is left out."""
    if not len(before.get("seq_num", ())) or not len(after.get("seq_num", ())):
        return before if len(before.get("seq_num", ())) else after
    table = {key: np.concatenate([before[key], after[key]]) for key in before if key in after}
    table["seq_num"] = np.append(before["seq_num"], after["seq_num"] + len(before["seq_num"]))
    return table


def _frames(before: Frames | None, events: NDArray[np.int_], after: Frames | None) -> Frames | None:
    if before is None or not len(events):
        return after
    return before.joined(events, after)
