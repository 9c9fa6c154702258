"""The mill: depths instead of steps, cuts that are stopped, cuts that never end."""

from __future__ import annotations

import pytest

from devices import MillError
from simulators.electron.fibsem import SimulatedFibSem
from simulators.electron.slice_faults import SliceFaults


@pytest.fixture
def fibsem() -> SimulatedFibSem:
    return SimulatedFibSem("network", seed=1, shape=(32, 32), faults=SliceFaults.none())


def test_a_depth_that_is_reached_is_not_milled_again(fibsem: SimulatedFibSem) -> None:
    for _ in range(3):
        fibsem.mill.set(100.0).wait(60.0)
    fibsem.mill.set(60.0).wait(60.0)
    assert (fibsem.z_nm, fibsem.mill.n_cuts.get()) == (100.0, 1)
    assert fibsem.mill.read()["mill_depth"]["value"] == 100.0


def test_a_cut_that_is_stopped_does_not_count_and_can_be_made_again(
    fibsem: SimulatedFibSem,
) -> None:
    mill = fibsem.mill
    whole = fibsem._mill

    def slow(value: int, **_: object) -> None:
        mill.busy.sim_put(int(value))  # busy until it is stopped

    mill.start.sim_set_putter(slow)
    status = mill.set(100.0)
    assert not status.done
    mill.stop()
    status.wait(60.0)
    assert not mill.reached(100.0)
    mill.start.sim_set_putter(whole)
    mill.set(100.0).wait(60.0)
    assert mill.reached(100.0)
    assert fibsem.z_nm == 100.0


def test_a_cut_that_never_ends_fails(
    fibsem: SimulatedFibSem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.fibsem.TIMEOUT_MARGIN_S", 0.1)
    fibsem.mill.cut_time.sim_put(0.0)
    fibsem.mill.start.sim_set_putter(lambda *_, **__: None)
    status = fibsem.mill.set(100.0)
    with pytest.raises(MillError, match=r"mill must end a cut of 0 s within 0\.1 s, got"):
        status.wait(60.0)


@pytest.mark.parametrize("name", ["mill", "sem"])
def test_an_end_is_seen_while_another_subscription_ends(
    name: str, fibsem: SimulatedFibSem, caplog: pytest.LogCaptureFixture
) -> None:
    busy = getattr(fibsem, name).busy

    class Watch:
        """While a subscription is looked for among the others, one of these ends."""

        def __call__(self, **_: object) -> None:
            pass

        def __eq__(self, other: object) -> bool:
            busy.unsubscribe(ending)
            return other is self

        def __hash__(self) -> int:
            return id(self)

    busy.subscribe(Watch(), event_type=busy.SUB_META, run=False)
    ending = busy.subscribe(lambda **_: None, event_type=busy.SUB_META, run=False)
    before = len(busy._callbacks[busy.SUB_VALUE])
    status = fibsem.mill.set(100.0) if name == "mill" else fibsem.sem.trigger()
    status.wait(60.0)
    assert "callback exception" not in caplog.text
    assert len(busy._callbacks[busy.SUB_VALUE]) == before


def test_beam_shift_and_focus_are_in_every_event_with_their_images(fibsem: SimulatedFibSem) -> None:
    names = set(fibsem.sem.read())
    assert {"sem_beam_shift_x", "sem_beam_shift_y", "sem_working_distance", "sem_mean"} <= names
    assert "sem_working_distance" not in fibsem.sem.read_configuration()
    assert "sem_pixel_size" in fibsem.sem.read_configuration()
