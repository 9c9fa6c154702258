"""Slices that should be aligned: a drift, a shear, and slices that lie aside are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from bl_steer.slicing.bad_slices import lost_phases
from bl_steer.slicing.motion import measure_motion, motion_warnings

PITCH_PX = 8


@pytest.fixture(scope="module")
def stack() -> NDArray[np.uint8]:
    noise = np.random.default_rng(20).standard_normal((3, 80, 256, 256), dtype=np.float32)
    # Every fourth of planes half as many as there are pixels: alike in all directions.
    fields = [gaussian_filter(one, (3.0, 6.0, 6.0), mode="wrap")[:: PITCH_PX // 2] for one in noise]
    return np.asarray(np.argmax(fields, axis=0), np.uint8)


def moved(stack: NDArray[Any], by: NDArray[Any]) -> NDArray[Any]:
    return np.stack([shift(s, d, order=0, mode="mirror") for s, d in zip(stack, by, strict=True)])


def grey(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    noise = np.random.default_rng(1).normal(0, 0.05, labels.shape)
    return np.array([0.75, 0.4, 0.12])[labels] + noise


def told(stack: NDArray[Any]) -> list[str]:
    return list(motion_warnings(stack, PITCH_PX))


def test_nothing_is_said_of_aligned_slices(stack: NDArray[np.uint8]) -> None:
    assert told(stack) == told(grey(stack)) == []


@pytest.mark.parametrize("as_grey", [False, True])
def test_a_drift_of_two_pixels_a_step_is_named(stack: NDArray[np.uint8], as_grey: bool) -> None:
    walk = np.cumsum(np.random.default_rng(3).normal(0, 2, (len(stack), 2)), axis=0).round()
    slices = moved(grey(stack) if as_grey else stack, walk)
    (sentence,) = (line for line in told(slices) if line.startswith("the slices move"))
    assert "they are not aligned" in sentence
    assert measure_motion(slices).drift_px == pytest.approx(2.0, abs=1.0)
    left = list(motion_warnings(slices, PITCH_PX, aligned=True))
    assert not any("bl-steer slices" in line for line in left if line.startswith("the slices move"))


def test_a_motion_of_next_to_nothing_is_not_told(stack: NDArray[np.uint8]) -> None:
    face = gaussian_filter(grey(stack)[0], 3.0)
    by = np.zeros((len(stack), 2))
    by[::2, 0] = 0.25
    slices = np.stack([shift(face, d, order=1, mode="mirror") for d in by])
    motion = measure_motion(slices)
    assert motion.unsteady > 10.0
    assert motion.drift_px < 0.3
    assert not any(line.startswith("the slices move") for line in told(slices))


def test_a_shear_is_named_with_its_axis_and_the_lean_that_it_would_be(
    stack: NDArray[np.uint8],
) -> None:
    sheared = moved(stack, np.outer(np.arange(len(stack)), [0.0, 5.0]))
    (sentence,) = (line for line in told(sheared) if "the stack is sheared" in line)
    assert "px along x from each to the next" in sentence
    assert "or the specimen leans by" in sentence


@pytest.mark.parametrize(
    ("places", "words"),
    [([9], "aside of those before: 9 by +0, +"), (range(9, 20), "9 and all after it by +0, +")],
)
def test_slices_aside_are_named(stack: NDArray[np.uint8], places: Any, words: str) -> None:
    by = np.zeros((len(stack), 2))
    by[list(places)] = (0, 10)
    (sentence,) = (line for line in told(moved(stack, by)) if line.startswith("slices lie aside"))
    assert words in sentence
    assert sentence.count("px (y, x)") == 1
    names = [f"{place} (s{place}.tif)" for place in range(len(stack))]
    named = list(motion_warnings(moved(stack, by), PITCH_PX, names))
    assert any(words.replace("9", "9 (s9.tif)", 1) in sentence for sentence in named)


def test_blank_and_doubled_slices_are_no_motion_and_small_images_tell_none(
    stack: NDArray[np.uint8],
) -> None:
    slices = grey(stack)
    slices[5], slices[8], slices[12] = 0.0, slices[7], np.nan
    assert told(slices) == []
    assert not {5, 6, 8, 12, 13} & set(measure_motion(slices).to.tolist())
    assert len(measure_motion(slices[:, :100, :100]).steps) == 0
    assert told(slices[:, :100, :100]) == told(slices[:4]) == []


@pytest.mark.parametrize("lost", [[6], [1, 3, 5, 7, 9, 11, 13, 15, 17, 19], [0, 1, 2, 10, 11]])
def test_slices_that_lack_a_phase_of_those_beside_are_found(
    stack: NDArray[np.uint8], lost: list[int]
) -> None:
    assert lost_phases(stack) == {}
    without = stack.copy()
    part = without[lost]
    part[part == 1] = 0
    without[lost] = part
    assert lost_phases(without) == {1: lost}


def test_a_layer_or_a_few_parts_that_end_are_the_specimen(stack: NDArray[np.uint8]) -> None:
    layered = stack.copy()
    layered[:8] = 0  # one phase alone, of which nothing is lost
    assert 0 not in lost_phases(layered)
    few = np.zeros_like(stack)
    few[4:9, 20:60, 20:60] = 1
    assert lost_phases(few) == {}
