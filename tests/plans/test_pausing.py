"""A pause at any message leaves exactly one event a point in both streams, and the same points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bluesky import RunEngine

from bl_steer.agents import Space
from plans import find_hotspot
from simulators.film.beamline import SimulatedBeamline
from simulators.film.sige_film import SigeFilm
from tests.plans.pausing import paused_runs, run_paused

BUDGET = 4
OPTIONS: dict[str, Any] = {
    "target": "nmf:2@x=0.45",
    "budget": BUDGET,
    "agent_options": {"n_start": 3},
}


class Recorder:
    """Keep a run's events by stream."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.indices: list[tuple[int, int]] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        if name == "descriptor":
            self.names[doc["uid"]] = doc["name"]
        elif name == "event":
            self.events.setdefault(self.names[doc["descriptor"]], []).append(doc)
        elif name == "stream_datum":
            self.indices.append((doc["seq_nums"]["start"], doc["indices"]["start"]))

    def seq_nums(self, stream: str) -> list[int]:
        return [event["seq_num"] for event in self.events[stream]]

    def points(self) -> list[tuple[float, float]]:
        return [(e["data"]["x"], e["data"]["y"]) for e in self.events["decisions"]]


def test_a_pause_at_any_message_repeats_no_event_and_changes_no_point(
    RE: RunEngine, film: SigeFilm, tmp_path: Path, coarse_grid: Space
) -> None:
    recorder = Recorder()

    def search() -> Any:
        nonlocal recorder
        beamline = SimulatedBeamline(film, frames_dir=tmp_path)
        recorder = Recorder()
        return find_hotspot(
            beamline.det, beamline.stage, monitor=beamline.monitor, grid=coarse_grid, **OPTIONS
        )

    RE.subscribe(lambda name, doc: recorder(name, doc))
    n_messages = run_paused(RE, search()).messages
    points = recorder.points()
    assert n_messages > 15 * BUDGET
    expected = list(range(1, BUDGET + 1))
    for first in paused_runs(RE, search, n_messages):
        assert recorder.seq_nums("decisions") == expected, f"paused from message {first} on"
        assert recorder.seq_nums("primary") == expected, f"paused from message {first} on"
        assert recorder.seq_nums("result") == [1], f"paused from message {first} on"
        assert recorder.indices == [(n, n - 1) for n in expected], f"paused from message {first} on"
        assert recorder.points() == points, f"paused from message {first} on"
