"""Simulated time: devices that are busy together, and those that wait for them."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from simulators.clock import VirtualClock

durations = st.lists(st.floats(0.0, 1e4), min_size=1, max_size=8)


def test_clock_begins_now_or_where_it_is_told() -> None:
    assert abs(VirtualClock().now - time.time()) < 1.0
    assert VirtualClock(start=5.0).now == 5.0
    assert VirtualClock(start=5.0).elapsed_s == 0.0


def test_busy_device_does_not_move_the_clock_until_somebody_waits() -> None:
    clock = VirtualClock(start=0.0)
    assert clock.occupy(9.0) == 9.0
    assert clock.now == 0.0
    assert clock.join() == clock.now == clock.elapsed_s == 9.0


@given(durations)
def test_devices_that_are_busy_together_take_as_long_as_the_slowest(each: list[float]) -> None:
    clock = VirtualClock(start=0.0)
    assert [clock.occupy(duration) for duration in each] == each
    assert clock.join() == max(each)


@given(durations)
def test_devices_that_wait_for_each_other_take_the_sum(each: list[float]) -> None:
    clock = VirtualClock(start=0.0)
    total = 0.0
    for duration in each:
        clock.occupy(duration)
        total += duration
        assert clock.join() == total


def test_waiting_for_nobody_takes_no_time() -> None:
    clock = VirtualClock(start=3.0)
    clock.occupy(1.0)
    assert clock.join() == clock.join() == 4.0
