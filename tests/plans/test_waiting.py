"""What plans wait for, and for how long: exposures, staging, moves that fail together."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from bluesky import RunEngine
from ophyd import Component, Signal, SimDetector, SingleTrigger
from ophyd.sim import SynAxis, SynSignal, make_fake_device
from ophyd.status import Status

from plans import find_hotspot
from plans.stubs.axes import StageError
from plans.stubs.timeouts import WaitTimeoutError

GRID = {"x": list(range(0, 101, 10)), "y": {"start": 0, "stop": 100, "num": 11}}
LINE = {"x": {"start": 0, "stop": 100, "step": 2}}


class Endless(SynSignal):
    """A signal whose `slow` method returns a status that never ends."""

    slow = "trigger"

    def trigger(self) -> Any:
        return Status() if self.slow == "trigger" else super().trigger()

    def stage(self) -> Any:
        return Status() if self.slow == "stage" else [self]

    def unstage(self) -> Any:
        return Status() if self.slow == "unstage" else [self]


@pytest.mark.parametrize(
    ("slow", "problem"),
    [
        ("trigger", "^slow must end its exposure within 2 s, got no end; check"),
        ("stage", "^slow must be staged within 2 s, got no end; check"),
        ("unstage", "^slow must be unstaged within 2 s, got no end; check"),
    ],
)
def test_of_all_that_is_waited_for_the_one_that_does_not_end_is_named(
    slow: str, problem: str, RE: RunEngine, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    monitor = Endless(func=lambda: 1.0, name="slow")
    monitor.slow = slow
    plan = find_hotspot(counter, axes, monitor=monitor, grid=GRID, budget=2, timeout_s=2.0)
    with pytest.raises(WaitTimeoutError, match=problem):
        RE(plan)


class Lost(Status):
    """Of a device that is lost: from its failure until that is told it takes some time."""

    late_s = 0.0

    def _handle_failure(self) -> None:
        time.sleep(self.late_s)


class LostAxis(SynAxis):
    """Its moves fail where `told` is a list, and are noted there when that has been told."""

    late_s = 0.0
    told: list[str] | None = None

    def set(self, value: float) -> Any:
        if self.told is None:
            return super().set(value)
        status = Lost(self)
        status.late_s = self.late_s
        status.add_callback(lambda _: self.told.append(self.name))
        threading.Timer(0.05, status.set_exception, [RuntimeError(f"{self.name} is lost")]).start()
        return status


def test_the_result_is_recorded_when_all_that_failed_together_has_told_so(
    RE: RunEngine, documents: Any
) -> None:
    x, y = LostAxis(name="x"), LostAxis(name="y")
    y.late_s = 0.6
    told: list[str] = []

    def count() -> float:
        if len(documents.events("primary")) == 2:
            x.told = y.told = told
        return 1.0

    told_at_result: list[str] = []

    def look(name: str, doc: dict[str, Any]) -> None:
        if name == "event" and "best_x" in doc["data"]:
            told_at_result.extend(told)

    counter = SynSignal(func=count, name="counter")
    with pytest.raises(StageError, match="got x is lost; check"):
        RE(find_hotspot(counter, [x, y], grid=GRID, budget=6), look)
    assert told_at_result == ["x", "y"]


@pytest.mark.parametrize("timeout_s", ["5", -1, 0, float("nan"), True])
def test_what_is_no_time_out_is_refused_before_anything_moves(timeout_s: Any) -> None:
    axes = [SynAxis(name="x"), SynAxis(name="y")]
    with pytest.raises(ValueError, match=r"timeout_s must be a time above 0, s, got"):
        list(find_hotspot(SynSignal(name="det", func=lambda: 1.0), axes, timeout_s=timeout_s))


class NoStatus(SynSignal):
    def trigger(self) -> Any:
        super().trigger()


def test_a_trigger_that_returns_no_status_is_named(
    RE: RunEngine, axes: tuple[SynAxis, SynAxis]
) -> None:
    plan = find_hotspot(NoStatus(func=lambda: 1.0, name="none"), axes, grid=GRID, budget=2)
    with pytest.raises(TypeError, match=r"^none\.trigger\(\) must return a status, got None; ret"):
        RE(plan)


def test_a_frame_that_is_there_before_trigger_returns_ends_no_run_of_an_area_detector(
    RE: RunEngine, axes: tuple[SynAxis, SynAxis], documents: Any
) -> None:
    class Detector(SingleTrigger, make_fake_device(SimDetector)):  # type: ignore[misc]
        counts = Component(Signal, value=1.0, kind="hinted")

        def generate_datum(self, *_: Any) -> None:
            """Let the acquisition end between its begin and the return of `trigger`."""
            self.counts.put(3.0)
            self.cam.acquire.sim_put(0)

    detector = Detector("", name="det")
    detector.read_attrs = ["counts"]
    for signal in ("acquire", "image_mode", "array_counter", "num_images"):
        getattr(detector.cam, signal).sim_put(0)
    RE(find_hotspot(detector, axes, grid=GRID, budget=3))
    assert [event["data"]["det_counts"] for event in documents.events("primary")] == [3.0] * 3
