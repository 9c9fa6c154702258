"""Sets that follow each other, as after a pause: each is carried out, in its turn."""

from __future__ import annotations

from typing import Any

import pytest
from ophyd import Component, Device, EpicsSignal, Signal
from ophyd.sim import make_fake_device

from devices.setting import Setting


class Lens(Device):
    current = Setting(EpicsSignal, "Current", kind="config", doc="of the lens, A")
    mode = Setting(Signal, value="off", kind="config")
    gain = Component(EpicsSignal, "Gain")


@pytest.fixture
def lens() -> Any:
    return make_fake_device(Lens)("LENS:", name="lens")


@pytest.mark.parametrize("signal", ["current", "mode"])
def test_a_set_is_taken_while_another_is_under_way_and_carried_out_after_it(
    lens: Any, signal: str
) -> None:
    device = getattr(lens, signal)
    values: list[Any] = []
    device.subscribe(lambda value, **_: values.append(value), run=False)
    for _ in range(50):
        asked = [1.0, 1.0, 2.0, 1.0, 3.0]
        statuses = [device.set(value) for value in asked]
        for status in statuses:
            status.wait(60.0)
        assert device.get() == 3.0
        assert values == asked
        values.clear()


def test_a_set_that_fails_ends_no_other(lens: Any) -> None:
    def refuse_two(value: float) -> None:
        if value == 2.0:
            raise ValueError("the lens must stay below 2 A, got 2 A")
        lens.current.sim_put(value)

    lens.current.sim_set_putter(refuse_two)
    first, second, third = [lens.current.set(value) for value in (1.0, 2.0, 3.0)]
    first.wait(60.0)
    with pytest.raises(ValueError, match="below 2 A, got 2 A"):
        second.wait(60.0)
    third.wait(60.0)
    assert lens.current.get() == 3.0


def test_other_components_stay_as_they_are(lens: Any) -> None:
    assert type(lens.gain).__name__ == "FakeEpicsSignal"
    assert lens.current.name == "lens_current"
    assert lens.read_configuration().keys() == {"lens_current", "lens_mode"}
    assert lens.current.kind.name == "config"
