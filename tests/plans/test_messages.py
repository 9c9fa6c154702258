"""The plans as lists of messages, in `bluesky.simulators`: no RunEngine, and nobody who answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.simulators import RunEngineSimulator, check_limits, summarize_plan
from bluesky.utils import Msg

from bl_steer.agents import Space
from plans import find_hotspot, map_sample, take_micrographs
from simulators.electron import SimulatedMicroscope
from simulators.film import SimulatedBeamline

Plan = Callable[[], Any]


@pytest.fixture
def search(beamline: SimulatedBeamline, coarse_grid: Space) -> Plan:
    return lambda: find_hotspot(
        beamline.det,
        beamline.stage,
        monitor=beamline.monitor,
        grid=coarse_grid,
        target="total",
        budget=5,
    )


@pytest.fixture
def mapping(beamline: SimulatedBeamline, coarse_grid: Space) -> Plan:
    return lambda: map_sample(
        beamline.det, beamline.stage, monitor=beamline.monitor, grid=coarse_grid
    )


@pytest.fixture
def micrographs(tmp_path: Path) -> Plan:
    devices = SimulatedMicroscope("grains", 1, shape=(64, 64)).devices
    devices["sem"].frames_dir = tmp_path
    return lambda: take_micrographs(devices["sem"], devices["stage"], fields=[(0, 0), (5, 5)])


def commands(messages: list[Msg]) -> list[str]:
    """Return what the messages do, without the waiting for a thought, which may take many."""
    return [message.command for message in messages if message.command != "wait_for"]


@pytest.mark.parametrize("name", ["search", "mapping", "micrographs"])
def test_a_plan_can_be_summarised_and_its_limits_checked_before_it_runs(
    name: str, request: pytest.FixtureRequest, RE: RunEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = request.getfixturevalue(name)
    summarize_plan(plan())
    assert "Open Run" in capsys.readouterr().out
    check_limits(plan())


def test_a_map_visits_each_point_once_and_notes_a_checkpoint_before_each_move(
    mapping: Plan, coarse_grid: Space, beamline: SimulatedBeamline
) -> None:
    messages = RunEngineSimulator().simulate_plan(mapping())
    done = commands(messages)
    assert done.count("save") == done.count("checkpoint") == len(coarse_grid.points)
    axes = (beamline.stage.x, beamline.stage.y)
    moves = [m for m in messages if m.command == "set" and m.obj in axes]
    visited = [(x.args[0], y.args[0]) for x, y in zip(moves[::2], moves[1::2], strict=True)]
    assert visited == [tuple(point) for point in coarse_grid.snake()]
    for before, after in pairwise(m for m in messages if m.command != "wait_for"):
        if after.command == "set" and after.obj is axes[0]:
            assert before.command == "checkpoint"


def test_a_decision_is_saved_before_the_stage_moves(
    search: Plan, beamline: SimulatedBeamline
) -> None:
    messages = RunEngineSimulator().simulate_plan(search())
    axes = (beamline.stage.x, beamline.stage.y)
    streams = [m.kwargs["name"] for m in messages if m.command == "create"]
    assert streams == ["decisions", "primary"] * 5 + ["result"]
    first_save = commands(messages).index("save")
    first_move = [m.command if m.obj in axes else "" for m in messages].index("set")
    assert first_save < len(commands(messages[:first_move]))


def test_events_are_saved_where_a_pause_replays_nothing(search: Plan) -> None:
    replays, in_event = True, False
    seen: dict[str, set[bool]] = defaultdict(set)
    for message in RunEngineSimulator().simulate_plan(search()):
        if message.command == "rewindable":
            replays = message.args[0] is not False  # nobody answers: None restores what was
        in_event = message.command == "create" or in_event
        assert not (in_event and replays), message
        in_event = in_event and message.command != "save"
        seen[message.command].add(replays)
    assert seen["save"] == {False}
    assert seen["checkpoint"] == seen["set"] == seen["trigger"] == {True}


def test_a_device_that_never_answers_a_read_is_named(mapping: Plan) -> None:
    simulator = RunEngineSimulator()
    simulator.add_handler("rewindable", lambda message: True)
    with pytest.raises(RuntimeError, match="det must answer a read, got nothing 101 times"):
        simulator.simulate_plan(mapping())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"budget": 0}, "budget must be a whole number"),
        ({"exposure_s": -1.0}, "exposure_s must be positive"),
        ({"target": "roi"}, "target must be total"),
        ({"grid": Space.grid([0.0, 9e6], [0.0])}, "stage_x must stay within its limits"),
    ],
)
def test_no_message_is_sent_where_a_check_fails(
    beamline: SimulatedBeamline, coarse_grid: Space, options: dict[str, Any], problem: str
) -> None:
    sound: dict[str, Any] = {"grid": coarse_grid, "budget": 5, "target": "total", "exposure_s": 1.0}
    sent: list[Msg] = []
    with pytest.raises(ValueError, match=problem):
        sent.extend(find_hotspot(beamline.det, beamline.stage, **{**sound, **options}))
    assert sent == []
    assert isinstance(next(find_hotspot(beamline.det, beamline.stage, **sound)), Msg)
