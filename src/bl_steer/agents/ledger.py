"""What an agent was asked and told: suggestions given out, outcomes, invalid measurements.

Every agent keeps one of these, so that all of them treat ids, repeats, dead frames and foreign
points alike, and so that the state of any agent is its settings and its ledger. Loads no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents.space import Space
from bl_steer.protocols import Array, Explanation, Point

__all__ = [
    "MAX_INVALID",
    "MIN_OUTCOMES",
    "Entry",
    "Ledger",
    "PointId",
    "believed",
    "check_settings",
]

PointId = int | str

MIN_OUTCOMES = 2
"""Fewer outcomes can be neither scaled nor modelled."""
MAX_INVALID = 3
"""A cell that gave this many invalid measurements is not suggested again."""
AT_CELL = 0.1
"""Share of a step within which what somebody else measured is the cell's: a readback differs."""


@dataclass(frozen=True)
class Entry:
    """One point: its id, position in the axes' units, cell (None between cells) and outcome.

    The noise ratio is the variance of the outcome's noise over that at the nominal beam.
    """

    id: PointId
    position: tuple[float, ...]
    cell: int | None
    objective: float = math.nan
    noise_ratio: float = 1.0
    n_invalid: int = 1


class Ledger:
    """The record of one agent's points.

    Attributes
    ----------
    pending : suggestions without an outcome, by id, oldest first.
    measured : valid outcomes by id, in the order in which they first arrived.
    invalid : measurements whose outcome was NaN, by id.
    explanation : the reasons for the latest suggestion; None where the agent keeps none.
    closed : cells that are not to be suggested for another reason.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.next_id = 0
        self.n_foreign = 0
        self.pending: dict[PointId, Entry] = {}
        self.measured: dict[PointId, Entry] = {}
        self.invalid: dict[PointId, Entry] = {}
        self.explanation: Explanation | None = None
        self.closed: set[int] = set()

    @property
    def n_taken(self) -> int:
        """Points that were given out and are not known to be invalid."""
        return len(self.measured) + len(self.pending)

    def n_asked(self, num_points: int | None, *, n_start: float) -> int:
        """Return how many points an agent is asked for: several only while its start lasts.

        Raises
        ------
        ValueError
            If several are asked for where each needs the outcome of the one before.
        """
        count = 1 if num_points is None else num_points
        remaining = n_start - self.n_taken
        if count < 1 or (count > 1 and count > remaining):
            raise ValueError(
                f"num_points must lie in 1 … {max(remaining, 1):g}, since after the start design "
                f"each point needs the outcomes before, got {count}; ask for one at a time"
            )
        return count

    def explain(self) -> Explanation:
        """Return the reasons for the latest suggestion."""
        if self.explanation is None:
            raise ValueError(
                "explain must follow a suggestion, got none so far; call suggest first"
            )
        return self.explanation

    def check_outcomes(self, least: int) -> None:
        """Raise ValueError unless there are outcomes enough for a model."""
        if len(self.measured) < least:
            raise ValueError(
                f"predict must have at least {least} valid outcomes, got "
                f"{len(self.measured)}; ingest more points first"
            )

    def issue(self, *position: float) -> Point:
        """Give out a position as a suggestion with the next id: 0, 1, 2, …

        Raises
        ------
        RuntimeError
            If it lies in a forbidden zone: the last look at what any agent suggests.
        """
        if zone := self.space.zone_at(position):
            raise RuntimeError(
                f"a suggestion must lie outside the forbidden zones, got {_written(position)} in "
                f"{zone.to_dict()}; report this as a fault of the agent"
            )
        entry = Entry(self.next_id, position, self.space.cell_of(*position))
        self.pending[entry.id] = entry
        self.next_id += 1
        return {"_id": entry.id, **self.space.point(position)}

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take outcomes; nothing is taken if any of them is wrong.

        The rules: an ``_id`` of ours is the suggested cell (its coordinates may be left out, or
        may be a readback within a pitch of it); an ``_id`` seen before replaces its outcome; an
        unknown ``_id``, None or none at all is a point measured by somebody else, which takes the
        cell that it lies at, within its ``reach`` in steps (`AT_CELL`; 0 for none); an objective of
        NaN is an invalid measurement, which takes back an earlier outcome and frees the cell, or
        as many as its ``n_invalid``; it and a ``noise_ratio`` are 1 where they are left out.

        Raises
        ------
        ValueError
            With all the problems at once.
        """
        entries, problems = [], []
        for number, point in enumerate(points):
            try:
                entries.append(self._entry(point, number))
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))
        self.n_foreign += len(points)
        for entry in entries:
            self._take(entry)

    def barred(self) -> NDArray[np.bool_]:
        """Return which cells must not be suggested, booleans of shape (n,).

        Measured, pending, invalid `MAX_INVALID` times, closed, or in a forbidden zone.
        """
        mask = ~self.space.allowed
        mask[list(self.closed)] = True
        occupied = [e.cell for group in (self.pending, self.measured) for e in group.values()]
        mask[[cell for cell in occupied if cell is not None]] = True
        return np.asarray(mask | self.failed())

    def failed(self) -> NDArray[np.bool_]:
        """Return which cells were invalid `MAX_INVALID` times or more, (n,)."""
        failed = [e.cell for e in self.invalid.values() if e.cell is not None]
        times = [e.n_invalid for e in self.invalid.values() if e.cell is not None]
        counts = np.bincount(np.array(failed, dtype=np.intp), times, len(self.space))
        return np.asarray(counts >= MAX_INVALID)

    def positions(self) -> Array:
        """Return the measured positions, shape (n, d), in order."""
        return self._positions(self.measured)

    def occupied(self) -> Array:
        """Return the positions measured and then those on their way, shape (n, d)."""
        return np.concatenate([self._positions(self.measured), self._positions(self.pending)])

    def _positions(self, group: Mapping[PointId, Entry]) -> Array:
        return np.array([e.position for e in group.values()]).reshape(-1, len(self.space.names))

    def objectives(self) -> Array:
        """Return the measured outcomes, shape (n,), in order."""
        return np.array([e.objective for e in self.measured.values()], dtype=np.float64)

    def noise_ratios(self) -> Array:
        """Return the measured outcomes' noise ratios, shape (n,), in order."""
        return np.array([e.noise_ratio for e in self.measured.values()], dtype=np.float64)

    def state_dict(self) -> dict[str, Any]:
        """Return the record as JSON-compatible data."""
        return {
            "next_id": self.next_id,
            "n_foreign": self.n_foreign,
            "pending": [self._saved(e) for e in self.pending.values()],
            "measured": [self._saved(e) for e in self.measured.values()],
            "invalid": [self._saved(e) for e in self.invalid.values()],
            "explanation": _explanation_to_json(self.explanation),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.next_id, self.n_foreign = int(state["next_id"]), int(state["n_foreign"])
        self.pending, self.measured, self.invalid = (
            {row["id"]: self._restored(row) for row in state[group]}
            for group in ("pending", "measured", "invalid")
        )
        self.explanation = _explanation_from_json(state["explanation"])

    def _entry(self, point: Mapping[str, Any], number: int) -> Entry:
        point_id = point.get("_id")
        if point_id is not None and (
            isinstance(point_id, bool) or not isinstance(point_id, int | str)
        ):
            raise ValueError(
                f"_id must be an integer or a string, got {point_id!r} at position {number}; "
                "return the _id of the suggestion, or leave it out"
            )
        objective = _number(point, "objective", number)
        if math.isinf(objective):
            raise ValueError(
                f"objective must be finite, or NaN for an invalid measurement, got {objective} "
                f"at position {number}; check the detector's range"
            )
        noise_ratio = 1.0
        if "noise_ratio" in point:
            noise_ratio = _number(point, "noise_ratio", number)
        if not (math.isfinite(noise_ratio) and noise_ratio > 0.0):
            raise ValueError(
                f"noise_ratio must be a finite number above 0, got {noise_ratio} at position "
                f"{number}; leave it out for the nominal beam"
            )
        known = None if point_id is None else self._known(point_id)
        if known is not None:
            self._check_position(known, point, number)
            times = int(point.get("n_invalid", 1))
            return replace(known, objective=objective, noise_ratio=noise_ratio, n_invalid=times)
        position = tuple(_number(point, name, number) for name in self.space.names)
        if not all(map(math.isfinite, position)):
            raise ValueError(
                f"{' and '.join(self.space.names)} must be finite, got "
                f"({', '.join(map(str, position))}) at position {number}; give the position "
                "at which the point was measured"
            )
        name = f"foreign-{self.n_foreign + number}" if point_id is None else point_id
        reach, times = point.get("reach", AT_CELL), int(point.get("n_invalid", 1))
        cell = self.space.cell_of(*position, within=reach) if reach > 0.0 else None
        return Entry(name, position, cell, objective, noise_ratio, times)

    def _known(self, name: PointId) -> Entry | None:
        for group in (self.pending, self.measured, self.invalid):
            if name in group:
                return group[name]
        return None

    def _check_position(self, known: Entry, point: Mapping[str, Any], number: int) -> None:
        suggested = self.space.point(known.position)
        position = [
            _number(point, name, number) if name in point else suggested[name] for name in suggested
        ]
        steps = self.space.steps
        if not (np.abs(np.subtract(position, known.position)) <= steps).all():
            pitch = ", ".join(f"{step:g}" for step in dict.fromkeys(steps.tolist()))
            raise ValueError(
                f"the outcome of _id {known.id!r} must lie within a pitch "
                f"({pitch}) of {_written(known.position)}, got {_written(position)}; "
                "leave out _id for a point measured elsewhere"
            )

    def _saved(self, entry: Entry) -> dict[str, Any]:
        objective = None if math.isnan(entry.objective) else entry.objective
        position = self.space.point(entry.position)
        row = {"id": entry.id, **position, "cell": entry.cell, "objective": objective}
        more = {"noise_ratio": entry.noise_ratio, "n_invalid": entry.n_invalid}
        return row | {name: value for name, value in more.items() if value != 1}

    def _restored(self, row: Mapping[str, Any]) -> Entry:
        objective = math.nan if row["objective"] is None else float(row["objective"])
        position = tuple(float(row[name]) for name in self.space.names)
        more = float(row.get("noise_ratio", 1.0)), int(row.get("n_invalid", 1))
        return Entry(row["id"], position, row["cell"], objective, *more)

    def _take(self, entry: Entry) -> None:
        self.pending.pop(entry.id, None)
        if math.isnan(entry.objective):
            self.measured.pop(entry.id, None)
            self.invalid[entry.id] = entry
        else:
            self.invalid.pop(entry.id, None)
            self.measured[entry.id] = entry
        if isinstance(entry.id, int):
            self.next_id = max(self.next_id, entry.id + 1)


def believed(readings: Array, noise_ratios: Array, expected: Array | float) -> Array:
    """Return outcomes as far as they are believed, shape (n,).

    Of a reading with more noise than at the nominal beam only 1/ratio counts, the rest is what was
    expected there: the highest of many readings is too high, and most so where they are noisy.

    >>> believed(np.array([5.0, 90.0]), np.array([1.0, 10.0]), 5.0)
    array([ 5. , 13.5])
    """
    trust = np.minimum(1.0, 1.0 / noise_ratios)
    return np.asarray(trust * readings + (1.0 - trust) * expected)


def _number(point: Mapping[str, Any], name: str, number: int) -> float:
    try:
        return float(point[name])
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{name} must be a number, got {point.get(name)!r} at position {number}; an outcome "
            "needs _id, its coordinates and objective"
        ) from None


def _written(position: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in position)})"


def check_settings(settings: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raise ValueError unless a saved state has the settings of the agent that loads it."""
    different = [name for name in settings if settings[name] != saved.get(name)]
    if different:
        said = ", ".join(f"{k}={saved.get(k)!r} (here {settings[k]!r})" for k in different)
        raise ValueError(
            f"a saved state must come from an agent with the same settings, got {said}; "
            "build the agent with the saved settings"
        )


def _explanation_to_json(explanation: Explanation | None) -> dict[str, Any] | None:
    """Return an explanation as JSON-compatible data, in which NaN is null."""
    values = {} if explanation is None else asdict(explanation)
    return {k: None if v != v else v for k, v in values.items()} or None


def _explanation_from_json(saved: Mapping[str, Any] | None) -> Explanation | None:
    """Return the explanation that `_explanation_to_json` wrote."""
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in (saved or {}).items()}
    return Explanation(**values) if values else None
