"""A rocking scan whose circle stands still is none, and a series with lost frames has no angles."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd import Component, Device, Signal
from ophyd.sim import SynAxis

from bl_steer.runs import Readout
from plans import map_sample
from plans.stubs import rocking_scan, rocking_sweep
from plans.stubs.axes import StageError

LINE = {"x": [0, 10, 20]}


def test_a_circle_that_stands_still_in_a_scan_ends_the_run(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    stuck = SynAxis(name="eta", readback_func=lambda angle: 0.01)
    with pytest.raises(StageError, match=r"eta must be where it was sent, -1, got 0.01 in 'eta'"):
        RE(map_sample(counter, axes[0], grid=LINE, per_point=rocking_scan(stuck, -1, 1, 5)))
    coarse = SynAxis(name="eta", readback_func=lambda angle: round(angle, 1))
    RE(map_sample(counter, axes[0], grid=LINE, per_point=rocking_scan(coarse, -1, 1, 4)))
    assert documents.run.n_points == 3


class Encoded(SynAxis):
    """A circle with an encoder of its own, which may stand still."""

    user_readback = Component(Signal, value=0.0)
    turns = True

    def set(self, value: float) -> Any:
        begin = self.user_readback.get()
        for share in (0.0, 0.5, 1.0):
            self.user_readback.put(begin + self.turns * share * (value - begin))
            time.sleep(0.02)
        return super().set(value)


class Series(Device):
    """A detector that takes a series."""

    exposure_time = Component(Signal, value=0.01)
    n_frames = Component(Signal, value=1)
    image = Component(Signal, value=np.ones((3, 4, 5)))


@pytest.mark.parametrize("turns", [True, False])
def test_a_circle_that_stands_still_in_a_sweep_ends_the_run(
    turns: bool, RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    eta = Encoded(name="eta")
    eta.turns = turns
    sweep = rocking_sweep(eta, -1, 1, 3)
    det = Series("", name="det")
    plan = map_sample(det, axes[0], grid=LINE, per_point=sweep, target="total", max_retakes=0)
    if turns:
        RE(plan)
        assert set(documents.run.primary["eta_angles_source"]) == {"encoder"}
    else:
        with pytest.raises(StageError, match=r"eta must turn from -1 to 1 .*, got 0 to 0 by its"):
            RE(plan)


@pytest.mark.parametrize(("n_frames", "sound"), [(3, True), (2, False), (4, False)])
def test_frames_of_which_some_are_lost_are_not_given_the_angles_of_others(
    n_frames: int, sound: bool
) -> None:
    readout = Readout(angles="eta_angles")
    frames = np.ones((n_frames, 4, 5))
    assert readout.exposure({"eta_angles": "[-1, 0, 1]"}, lambda: frames).sound is sound
    assert readout.exposure({"eta_angles": 0.5}, lambda: frames).sound
