"""What a run spent its time on, computed from the times that its events carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bl_steer.protocols import Array
from bl_steer.runs.chains import rows_of_points
from bl_steer.runs.run import Run
from bl_steer.runs.tables import PRIMARY, Table

__all__ = ["Durations", "durations_of"]


@dataclass(frozen=True)
class Durations:
    """What a run spent its time on, s. A pause counts as what it interrupted."""

    moving_s: float
    """From each decision, or from the point before, until the axes have arrived."""
    exposing_s: float
    """From then until the point's last event: with a rocking scan its motion too."""
    thinking_s: float
    waiting_s: float
    """All else: staging, messages, records, and what nobody accounts for."""
    total_s: float
    simulated: bool = False
    """Whether motion and exposure took simulated time, of which the computer's is no part."""

    def __str__(self) -> str:
        parts = ", ".join(
            f"{name} {_written(getattr(self, f'{name}_s'))}"
            for name in ("moving", "exposing", "thinking", "waiting")
        )
        note = " (motion and exposure in simulated time)" if self.simulated else ""
        return f"{parts}: {_written(self.total_s)} in all{note}"

    def to_dict(self) -> dict[str, float]:
        """Return the durations by their names."""
        return {name: value for name, value in asdict(self).items() if name != "simulated"}


def durations_of(run: Run) -> Durations:
    """Return what a run spent its time on; of a run that carries on another, its own part.

    On hardware a point ends with its last event, by the clock of this computer; simulated devices
    stamp their readings with the time that is simulated, which runs ahead.
    """
    start, stop = run.start, run.stop
    began = float(start["time"])
    own = {name: _since(table, began) for name, table in run.streams.items()}
    primary, decisions = own.get(PRIMARY, {}), own.get("decisions", {})
    times = [float(np.max(t["time"])) for t in own.values() if len(t.get("time", ()))]
    ended = float(stop["time"]) if stop is not None else max([began, *times])
    thinking = float(np.nansum(decisions.get("think_s", 0.0)))
    clock = next((primary[key] for key in primary if key.endswith("sim_clock")), None)
    arrived, exposed = _point_times(start, primary, clock)
    before = np.concatenate([[began if clock is None else np.nan], exposed])[:-1]
    decided = np.asarray(decisions.get("time", ()), dtype=float)[: len(before)]
    if clock is None and len(decided) == len(before):
        before = np.fmax(before, decided)
    arrived = np.fmin(np.fmax(arrived, before), exposed)  # the control system has its own clock
    moving, exposing = (float(np.nansum(d)) for d in (arrived - before, exposed - arrived))
    measured = 0.0 if clock is not None else moving + exposing
    waiting = max(ended - began - thinking - measured, 0.0)
    total = moving + exposing + thinking + waiting
    return Durations(moving, exposing, thinking, waiting, total, simulated=clock is not None)


def _point_times(start: Mapping[str, Any], primary: Table, clock: Any) -> tuple[Array, Array]:
    """Return when the axes had arrived at each point, and when its last event was taken."""
    dimensions = start.get("hints", {}).get("dimensions", ())
    stamps = [f"ts_{fields[0]}" for fields, _ in dimensions]
    stamps = [key for key in stamps if key in primary]
    points = rows_of_points(primary)
    ends = primary.get("time", np.empty(0)) if clock is None else clock
    arrived = [
        max((float(primary[key][rows[0]]) for key in stamps), default=np.nan) for rows in points
    ]
    return np.array(arrived, dtype=float), np.array([float(ends[rows[-1]]) for rows in points])


def _since(table: Table, began: float) -> Table:
    rows = np.asarray(table.get("time", ()), dtype=float) >= began
    return {key: column[rows] for key, column in table.items()} if len(rows) else {}


def _written(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60.0 else f"{seconds:.1f} s"
