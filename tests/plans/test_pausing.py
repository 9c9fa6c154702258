"""A pause at any message leaves exactly one event a point in both streams, and the same points."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from bluesky.utils import Msg, RunEngineInterrupted

from bl_steer.agents import Space
from plans import find_hotspot
from simulators.film.beamline import SimulatedBeamline
from simulators.film.sige_film import SigeFilm

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


def run(
    RE: RunEngine,
    film: SigeFilm,
    folder: Path,
    grid: Space,
    pause_at: int | None = None,
    stage: Any = None,
) -> tuple[Recorder, int]:
    """Run the plan, paused once before its message number `pause_at`; return events, messages."""
    beamline = SimulatedBeamline(film, frames_dir=folder)
    recorder = Recorder()
    messages = 0
    paused = False

    def hook(message: Msg) -> None:
        nonlocal messages, paused
        messages += 1
        if messages == pause_at and not paused:
            paused = True
            RE.loop.call_soon(lambda: RE.loop.create_task(RE._request_pause_coro()))

    RE.msg_hook = hook
    token = RE.subscribe(recorder)
    try:
        RE(
            find_hotspot(
                beamline.det,
                stage or beamline.stage,
                monitor=beamline.monitor,
                grid=grid,
                **OPTIONS,
            )
        )
    except RunEngineInterrupted:
        if RE.state == "paused":  # idle where the pause came with the last message
            RE.resume()
    finally:
        RE.msg_hook = None
        RE.unsubscribe(token)
    return recorder, messages


def test_a_pause_at_any_message_repeats_no_event_and_changes_no_point(
    RE: RunEngine,
    film: SigeFilm,
    tmp_path: Path,
    coarse_grid: Space,
) -> None:
    undisturbed, messages = run(RE, film, tmp_path, coarse_grid)
    points = undisturbed.points()
    assert messages > 15 * BUDGET
    outcomes: Counter[str] = Counter()
    for pause_at in range(2, messages + 1):
        recorder, seen = run(RE, film, tmp_path, coarse_grid, pause_at)
        outcomes["replayed" if seen > messages else "went on"] += 1
        expected = list(range(1, BUDGET + 1))
        assert recorder.seq_nums("decisions") == expected, f"paused at message {pause_at}"
        assert recorder.seq_nums("primary") == expected, f"paused at message {pause_at}"
        assert recorder.seq_nums("result") == [1], f"paused at message {pause_at}"
        assert recorder.indices == [(n, n - 1) for n in expected], f"paused at message {pause_at}"
        assert recorder.points() == points, f"paused at message {pause_at}"
    assert outcomes["replayed"] > messages // 4
