"""The simulated microscope: places have their truth, conditions act, time is virtual."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulators.clock import VirtualClock
from simulators.electron.fibsem_sample import OXIDE, VOID
from simulators.electron.imaging import ImagingConditions
from simulators.electron.microscope import SimulatedMicroscope

SHAPE = (64, 96)


@pytest.fixture
def microscope() -> SimulatedMicroscope:
    return SimulatedMicroscope("network", seed=2, shape=SHAPE, clock=VirtualClock(start=0.0))


def image_at(microscope: SimulatedMicroscope, x: float, y: float) -> Any:
    microscope.stage.x.set(x).wait(60.0)
    microscope.stage.y.set(y).wait(60.0)
    microscope.sem.trigger().wait(60.0)
    return microscope.sem.frames()[0]


def test_same_place_shows_the_same_truth_with_other_noise(microscope: SimulatedMicroscope) -> None:
    first, second = (image_at(microscope, 3.0, 4.0) for _ in range(2))
    assert first.shape == SHAPE
    assert first.dtype == np.uint8
    assert (first != second).mean() > 0.5
    truth = microscope.truth(3.0, 4.0)
    for image in (first, second):
        assert image[truth == OXIDE].mean() > image[truth == VOID].mean() + 60.0


def test_a_place_beside_shows_the_same_specimen_shifted(microscope: SimulatedMicroscope) -> None:
    here, beside = microscope.truth(0.0, 0.0), microscope.truth(0.2, 0.1)
    np.testing.assert_array_equal(here[10:, 20:], beside[:-10, :-20])


def test_truth_follows_the_pixel_size(microscope: SimulatedMicroscope) -> None:
    coarse = SimulatedMicroscope(
        "network", seed=2, shape=(33, 33), conditions=ImagingConditions(pixel_size_nm=30.0)
    )
    fine = SimulatedMicroscope("network", seed=2, shape=(99, 99))
    expected = fine.truth(1.0, 1.0)[1::3, 1::3]
    np.testing.assert_array_equal(coarse.truth(1.0, 1.0), expected)
    fine.sem.pixel_size.put(30.0)
    assert (fine.truth(1.0, 1.0)[33:66, 33:66] == expected).all()


def test_device_s_signals_are_the_conditions(microscope: SimulatedMicroscope) -> None:
    plain = image_at(microscope, 0.0, 0.0)
    for signal, value in (("dwell_time", 1.0), ("etching_time", 60.0), ("staining", "osmium")):
        getattr(microscope.sem, signal).put(value)
    conditions = microscope.conditions
    assert (conditions.dwell_us, conditions.etching_s) == (1.0, 60.0)
    assert conditions.staining == "osmium"
    noisy = image_at(microscope, 0.0, 0.0)
    steps = [np.diff(image.astype(float), axis=1) for image in (plain, noisy)]
    assert np.median(np.abs(steps[1])) > 1.5 * np.median(np.abs(steps[0]))


def test_micrograph_takes_its_time_and_nobody_waits(microscope: SimulatedMicroscope) -> None:
    image_at(microscope, 0.0, 0.0)
    before = microscope.clock.elapsed_s
    image_at(microscope, 100.0, 50.0)
    scan_s = 64 * 96 * 10e-6
    expected = 100.0 / 100.0 + 2.0 + scan_s + 0.5
    assert microscope.clock.elapsed_s - before == pytest.approx(expected, abs=1e-6)


def test_conditions_that_no_microscope_has_are_refused(microscope: SimulatedMicroscope) -> None:
    microscope.sem.accelerating_voltage.put(300.0)
    with pytest.raises(ValueError, match="accelerating_voltage_kV must lie within"):
        image_at(microscope, 0.0, 0.0)
    with pytest.raises(ValueError, match="family must be one of"):
        SimulatedMicroscope("foam")
