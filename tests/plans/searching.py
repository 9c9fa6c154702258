"""A search that thinks fast, and an agent that visits a list, for tests of `plans.find_hotspot`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from plans import find_hotspot
from simulators.film.beamline import SimulatedBeamline


def search(beamline: SimulatedBeamline, **options: Any) -> Any:
    """Return a search that thinks fast, unless told otherwise."""
    quick = {"monitor": beamline.monitor, "target": "total", "agent": "sobol", "budget": 6}
    return find_hotspot(beamline.det, beamline.stage, **(quick | options))


class ListedAgent:
    """An agent of a user's own: visits the places of a list, and keeps what it is told."""

    def __init__(self, places: Sequence[tuple[float, float]], *, holds: int | None = None) -> None:
        self.places = list(places)
        self.holds = holds
        """Number of the thought that lasts until `go_on` is set."""
        self.holding = threading.Event()
        self.go_on = threading.Event()
        self.threads: list[str] = []
        self.told: list[Mapping[str, Any]] = []

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        assert num_points in (None, 1)
        self.threads.append(threading.current_thread().name)
        n = len(self.threads) - 1
        if n == self.holds:
            self.holding.set()
            self.go_on.wait(60.0)
            self.holding.clear()
        x, y = self.places[n]
        return [{"_id": n, "x": x, "y": y}]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        self.told.extend(points)


DIAGONAL = [(15.0 * n, 15.0 * n) for n in range(10)]


def places_of(documents: Any, stream: str, x: str = "x", y: str = "y") -> list[tuple[float, float]]:
    columns = (documents.column(stream, key) for key in (x, y))
    return list(zip(*columns, strict=True))
