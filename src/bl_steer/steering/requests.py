"""What the user asks of a search while it runs: points to measure, places to leave alone, its end.

    search = Requests()
    RE(find_hotspot(det, stage, requests=search))  # Ctrl-C twice pauses
    search.add(x=20, y=35)
    search.forbid(circle=[75, 75, 12])
    search.veto()
    search.end()
    RE.resume()

In a session ``search`` is there already. The plan takes the requests before each decision, and
records each, so that the run is verified and resumed with them.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

import numpy as np

from bl_steer.agents import Space, Zone
from bl_steer.agents.zones import read_zones

__all__ = ["Asked", "Request", "Requests", "recorded_requests"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What a user asked for, as a run records it: a row of the stream ``requests``."""

    kind: str
    """``"add"``, ``"forbid"``, ``"veto"`` or ``"end"``."""
    what: str
    """As JSON text: the position of a point to measure, by axis, or the forbidden zone."""
    asked_at: float
    """When it was asked for, s since 1970."""
    point: int = 0
    """Number of the decision that it is heeded by."""
    takes_back: int = 0
    """``seq_num`` of the decision, in this run, whose point was not measured for it; 0 for none."""

    @property
    def value(self) -> dict[str, Any]:
        """What it says, read."""
        return dict(json.loads(self.what))


class Asked:
    """The places that the user asked for, in turn, as the loop heeds them."""

    def __init__(self) -> None:
        self._places: deque[dict[str, float]] = deque()

    def __len__(self) -> int:
        return len(self._places)

    def add(self, place: dict[str, float]) -> None:
        """Take one more."""
        self._places.append(place)

    def clear(self) -> None:
        """Forget all."""
        self._places.clear()

    def keep_out(self, space: Space) -> None:
        """Forget those that lie in a zone now."""
        self._places = deque(p for p in self._places if not space.zone_at([*p.values()]))

    def next(self, dose_left_s: Callable[[Mapping[str, Any]], float]) -> dict[str, float] | None:
        """Return the next one whose dose lets it be measured; None for no more."""
        while self._places:
            place = self._places.popleft()
            if dose_left_s(place) > 0.0:
                return place
            logger.warning("%s is not measured, as was asked: its dose is spent", _written(place))
        return None


class Requests:
    """What the user asks of the search that is under way, from any thread.

    What cannot be done is refused at once, with a ValueError.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: list[Request] = []
        self._space: Space | None = None
        self._check: Callable[[Space], None] = _accept
        self._point: dict[str, float] | None = None

    def add(self, *position: float, **named: float) -> Self:
        """Have a point measured next, at ``x=…, y=…``, on the grid or between its points."""
        with self._lock:
            space = self._under_way()
            place = dict(zip(space.names, position, strict=False)) | named
            n_given = len(position) + len(named)
            if set(place) != set(space.names) or n_given != len(space.names):
                raise ValueError(
                    f"a point to add must have {', '.join(space.names)}, got "
                    f"{[*position, *named.items()]}; try search.add("
                    f"{', '.join(f'{name}=…' for name in space.names)})"
                )
            where = [_number(name, place[name]) for name in space.names]
            _check_within(space, where)
            return self._ask("add", space.point(where))

    def forbid(self, zone: Mapping[str, Any] | None = None, **written: Any) -> Self:
        """Keep out of a zone from now on, as ``circle=[x, y, r]``, ``box=…`` or ``polygon=…``.

        A point under way in it is not measured, and points that were asked for in it are dropped.
        """
        with self._lock:
            space = self._under_way()
            (read,) = read_zones([written if zone is None else zone], space.names)
            smaller = space.forbid([read])
            self._check(smaller)
            self._space = smaller
            self._waiting = [r for r in self._waiting if r.kind != "add" or _is_free(r, read)]
            return self._ask("forbid", read.to_dict())

    def veto(self) -> Self:
        """Do not measure the point under way; it is not suggested again.

        Raises
        ------
        ValueError
            Where no point is decided, or it is measured already.
        """
        with self._lock:
            self._under_way()
            if self._point is None:
                raise ValueError(
                    "a veto must come between the decision for a point and the end of its "
                    "exposure, got none under way; forbid the place instead, or wait for the next"
                )
            return self._ask("veto", self._point)

    def end(self) -> Self:
        """End the search after the point under way: with its confirmation, if any, and report."""
        with self._lock:
            self._under_way()
            return self._ask("end", {})

    def __repr__(self) -> str:
        """Say where the search is, and what waits."""
        with self._lock:
            if self._space is None:
                return "no search is under way"
            waiting = [f"{r.kind} {r.what}".replace('"', "") for r in self._waiting]
            where = "no point under way" if self._point is None else f"at {_written(self._point)}"
            return f"search: {where}; {', '.join(waiting) or 'nothing'} to be heeded"

    def begin(self, space: Space, check: Callable[[Space], None] | None = None) -> None:
        """Take requests for a search on a space.

        Parameters
        ----------
        check : refuses a space with further zones, by ValueError
        """
        with self._lock:
            self._waiting, self._space, self._point = [], space, None
            self._check = check or _accept

    def close(self) -> list[Request]:
        """Take no more; return those that came too late."""
        with self._lock:
            late, self._waiting, self._space, self._point = self._waiting, [], None, None
            return late

    def offer(self, position: Mapping[str, float]) -> None:
        """Let a point that is decided be taken back from now on."""
        with self._lock:
            self._point = dict(position)

    @property
    def is_taken_back(self) -> bool:
        """Whether the point under way is not to be measured."""
        with self._lock:
            point = self._point
            return point is not None and any(
                r.kind == "veto" or (r.kind == "forbid" and not _is_free(r, point))
                for r in self._waiting
            )

    def commit(self) -> bool:
        """Take the point under way for measured; return False where it is taken back."""
        with self._lock:
            if self.is_taken_back:
                return False
            self._point = None
            return True

    def take(self) -> list[Request]:
        """Return what was asked for, and forget it: what takes back a point first."""
        with self._lock:
            taken, self._waiting, self._point = self._waiting, [], None
            return sorted(taken, key=lambda r: ("veto", "forbid", "add", "end").index(r.kind))

    def _ask(self, kind: str, what: Mapping[str, Any]) -> Self:
        self._waiting.append(Request(kind, json.dumps(dict(what)), time.time()))
        return self

    def _under_way(self) -> Space:
        if self._space is None:
            raise ValueError(
                "a search must be under way, running or paused, to be asked for something, got "
                "none; begin with RE(find_hotspot(…))"
            )
        return self._space


def recorded_requests(table: Mapping[str, Any]) -> dict[int, list[Request]]:
    """Return the rows of a run's stream ``requests``, by the number of the decision."""
    columns = [table[name].tolist() for name in Request.__dataclass_fields__] if table else []
    by_point: dict[int, list[Request]] = {}
    for row in zip(*columns, strict=True):
        request = Request(*row)
        by_point.setdefault(request.point, []).append(request)
    return by_point


def _check_within(space: Space, where: Sequence[float]) -> None:
    low, high = space.bounds
    for name, value, least, most in zip(space.names, where, low, high, strict=True):
        if not least <= value <= most:
            raise ValueError(
                f"a point to add must lie in the grid, {least:g} … {most:g} on {name}, got "
                f"{name} = {value:g}; choose another, or begin a search on a wider grid"
            )
    if zone := space.zone_at(where):
        raise ValueError(
            f"a point to add must lie outside the forbidden zones, got "
            f"{_written(space.point(where))} in {zone.to_dict()}; choose another"
        )


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} of a point to add must be a number, got {value!r}; give one")
    return float(value)


def _is_free(request: Request, other: Zone | Mapping[str, float]) -> bool:
    """Return whether a point that is asked for lies outside a zone, or a zone beside a point."""
    if isinstance(other, Zone):
        place, zone = list(request.value.values()), other
    else:
        place = list(other.values())
        (zone,) = read_zones([request.value], ("x", "y", "z")[: len(place)])
    return not bool(zone.contains(np.array([place], dtype=float))[0])


def _accept(space: Space) -> None:
    """Accept any zones."""


def _written(place: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in place.items())
