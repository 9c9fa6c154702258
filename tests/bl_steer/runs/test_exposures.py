"""Points that were exposed for unlike times: brought to one, and judged as what they are."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.diffraction import FrameAxes
from bl_steer.features import make_feature
from bl_steer.features.memory import memory_of
from bl_steer.runs import Points
from bl_steer.runs.pixels import DeadPixels
from bl_steer.runs.readout import Exposure, Readout

RNG = np.random.default_rng(0)


def exposure(rate: float, share: float, *, monitor: float | None = 1e6) -> Exposure:
    frame = RNG.poisson(rate * share, (1, 8, 8)).astype(float)
    return Exposure(frame, None if monitor is None else monitor * share, share=share)


@pytest.mark.parametrize("monitor", [1e6, None])
def test_a_hundredth_of_the_exposure_is_no_loss_of_beam_but_a_hundred_times_the_noise(
    monitor: float | None,
) -> None:
    points = Points(nominal_counts=monitor)
    shares = [1.0, 0.01, 0.01, 1.0, 0.1]
    results = [points.take([exposure(1000.0, s, monitor=monitor)]) for s in shares]
    assert [result.problem for result in results] == [""] * 5
    assert [result.noise_ratio for result in results] == pytest.approx([1, 100, 100, 1, 10])
    assert [result.count for result in results] == pytest.approx([1, 100, 100, 1, 10])
    for result in results:
        assert result.pattern is not None
        assert result.pattern.mean() == pytest.approx(1000.0, rel=0.1)
    assert not any(result.withdrawn for result in results)


def test_a_short_look_without_beam_is_told_from_a_short_look() -> None:
    points = Points(nominal_counts=1e6)
    points.take([exposure(1000.0, 0.01)])
    assert points.take([exposure(0.0, 0.01, monitor=1e4)]).problem == "beam"


def test_an_event_says_how_long_it_was_exposed() -> None:
    start = {"steering": {"exposure_key": "exposure_s", "exposure_s": 10.0}}
    readout = Readout.from_start(start)
    taken = readout.exposure({"exposure_s": 0.5}, lambda: np.ones((1, 2, 2)))
    assert taken.share == 0.05
    assert Readout.from_start({"steering": {"exposure_s": 10.0}}).time is None


def test_short_looks_after_long_ones_leave_no_block_dead() -> None:
    pixels = DeadPixels(blocks=True)
    dim = np.zeros((16, 16))
    dim[4:, :] = 100.0
    for _ in range(12):
        pixels.take(np.round(dim + RNG.poisson(1.0, dim.shape)), 1.0)
    told = [pixels.take(RNG.poisson(0.01 * (dim + 1.0)).astype(float), 0.01) for _ in range(8)]
    assert told == [0] * 8


def test_single_photons_of_short_looks_are_no_cosmic_rays_beside_a_long_look() -> None:
    feature = make_feature("total", FrameAxes.channels((9, 9)))
    memory = memory_of(feature)
    assert memory is not None
    memory.exposures_differ = True
    short = 100.0 * RNG.poisson(0.02, (20, 81))
    feature.partial_fit(short)
    feature.partial_fit(RNG.poisson(2.0, (1, 81)).astype(float))
    usable = memory.usable
    assert feature.transform(short) == pytest.approx(short[:, usable].sum(axis=1))
    memory.exposures_differ = False  # as if one count were worth the same in all
    assert feature.transform(short).sum() < 0.8 * short[:, usable].sum()
