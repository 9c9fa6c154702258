"""The pieces of a run: thinking beside the loop, checks, and an asynchronous stage."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import Msg, RunEngineInterrupted
from ophyd.sim import SynAxis
from ophyd_async.core import init_devices
from ophyd_async.sim import PatternGenerator, SimStage

from bl_steer.agents import Space
from plans import find_hotspot, map_sample
from plans.stubs.axes import check_limits
from plans.stubs.messages import think
from simulators.film.beamline import SimulatedBeamline
from tests.plans.pausing import paused_runs, run_paused

GRID = Space.grid(np.linspace(0.0, 0.15, 6), np.linspace(0.0, 0.15, 6))
"""Of the asynchronous stage, in mm."""


@pytest.fixture
def async_stage(RE: RunEngine, beamline: SimulatedBeamline) -> SimStage:
    """ophyd-async's simulated stage, in mm, carrying the film of `beamline`."""
    with init_devices():
        stage = SimStage(PatternGenerator(), name="xy")
    carried = (beamline.stage.x, beamline.stage.y)

    def link() -> Iterator[Msg]:
        for axis, under_beam in zip((stage.x, stage.y), carried, strict=True):
            yield from bps.mv(axis.velocity, 20.0, axis.acceleration_time, 1e-3)
            readback = under_beam.user_readback

            def carry(readings: dict[str, Any], readback: Any = readback) -> None:
                (reading,) = readings.values()
                readback.sim_put(1000.0 * reading["value"])

            axis.user_readback.subscribe_reading(carry)

    RE(link())
    return stage


def way(documents: Any) -> list[tuple[float, float]]:
    columns = (documents.column("primary", key) for key in ("xy-x", "xy-y"))
    return list(zip(*columns, strict=True))


def test_search_runs_with_an_asynchronous_stage(
    RE: RunEngine, beamline: SimulatedBeamline, async_stage: SimStage, documents: Any
) -> None:
    hotspot = RE(
        find_hotspot(
            beamline.det,
            async_stage,
            monitor=beamline.monitor,
            target="total",
            grid=GRID,
            budget=8,
            agent_options={"n_start": 4},
            move_to_best=True,
        )
    ).plan_result
    run = documents.run
    decided = zip(*(documents.column("decisions", key) for key in "xy"), strict=True)
    assert way(documents) == list(decided)
    assert len(set(way(documents))) == 8
    np.testing.assert_array_equal(run.x, documents.column("primary", "xy-x"))
    assert documents.descriptor("primary")["data_keys"]["xy-x"]["units"] == "mm"
    assert beamline.stage.x.user_readback.get() == pytest.approx(1000.0 * hotspot.best_x)
    assert hotspot.best_value > np.median(hotspot.outcomes)


def test_map_runs_with_an_asynchronous_stage(
    RE: RunEngine, beamline: SimulatedBeamline, async_stage: SimStage, documents: Any
) -> None:
    assert RE(map_sample(beamline.det, async_stage, grid=GRID)).plan_result == 36
    assert way(documents) == [tuple(place) for place in GRID.snake()]


def test_pause_at_any_message_with_an_asynchronous_stage_repeats_no_event(
    RE: RunEngine, beamline: SimulatedBeamline, async_stage: SimStage, documents: Any
) -> None:
    """Its reads and moves yield to the loop, where a pause may interrupt them."""

    def search() -> Any:
        options: dict[str, Any] = {"target": "total", "agent": "raster", "budget": 2}
        return find_hotspot(
            beamline.det, async_stage, monitor=beamline.monitor, grid=GRID, **options
        )

    n_messages = run_paused(RE, search()).messages
    expected = way(documents)
    for first in paused_runs(RE, search, n_messages):
        assert way(documents) == expected, f"paused from message {first} on"
        for stream, numbers in (("decisions", [1, 2]), ("primary", [1, 2]), ("result", [1])):
            assert [e["seq_num"] for e in documents.events(stream)] == numbers, stream


def test_thought_runs_in_another_thread_and_returns_its_result(RE: RunEngine) -> None:
    with ThreadPoolExecutor(1) as executor:
        thread = RE(think(executor, threading.current_thread)).plan_result
    assert thread not in (threading.main_thread(), RE._th)


def test_thought_that_fails_raises_its_error_in_the_plan(RE: RunEngine) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a thought went wrong")

    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(ZeroDivisionError, match="a thought went wrong"),
    ):
        RE(think(executor, fail))


def test_loop_runs_on_during_a_thought(RE: RunEngine) -> None:
    """A thought that waits for something the loop must do would hang if it held the loop."""
    done = threading.Event()
    with ThreadPoolExecutor(1) as executor:

        def thought() -> bool:
            RE.loop.call_soon_threadsafe(done.set)
            return done.wait(60.0)

        assert RE(think(executor, thought)).plan_result


def test_run_that_is_aborted_during_a_thought_leaves_no_task_in_the_loop(RE: RunEngine) -> None:
    thinking, enough = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as executor:

        def thought() -> bool:
            thinking.set()
            return enough.wait(60.0)

        def pause() -> None:
            thinking.wait(60.0)
            RE.request_pause()

        pausing = threading.Thread(target=pause)
        pausing.start()
        with pytest.raises(RunEngineInterrupted):
            RE(think(executor, thought))
        pausing.join()
        RE.abort()
        assert not enough.is_set()
        assert asyncio.all_tasks(RE.loop) == set()
        enough.set()


def axis(name: str, limits: Any) -> Any:
    return SimpleNamespace(name=name, limits=limits)


def up_to_five(position: float) -> None:
    if position > 5.0:
        raise RuntimeError("the cable is too short")


def test_an_axis_that_refuses_by_its_own_check_is_named_before_anything_moves() -> None:
    mx = SynAxis(name="mx")
    mx.check_value = up_to_five
    check_limits(mx, Space.grid([0.0, 5.0]).bounds)
    with pytest.raises(ValueError, match="mx must go to 10, got the cable is too short; choose a"):
        check_limits(mx, Space.grid([0.0, 10.0]).bounds)


@pytest.mark.parametrize("limits", [None, (), (0.0, 0.0), (-1.0, 11.0)])
def test_axes_without_limits_or_with_wide_ones_are_accepted(limits: Any) -> None:
    """Equal limits mean none, as in a motor record."""
    stage = SimpleNamespace(x=axis("x", limits), y=SimpleNamespace(name="y"))
    check_limits(stage, Space.grid([0.0, 10.0], [0.0, 10.0]).bounds)


def test_both_axes_that_would_be_left_are_named() -> None:
    stage = SimpleNamespace(x=axis("x", (0.0, 5.0)), y=axis("y", (2.0, 20.0)))
    message = r"x must stay within its limits 0 … 5, got 0 … 10; y must stay .* 2 … 20, got 0 … 10"
    with pytest.raises(ValueError, match=message):
        check_limits(stage, Space.grid([0.0, 10.0], [0.0, 10.0]).bounds)
