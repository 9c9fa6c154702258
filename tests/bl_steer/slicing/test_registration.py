"""Displacements against the truth of the simulator, and against a shift by Fourier."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import fourier_shift, gaussian_filter

from bl_steer.slicing import (
    TrackingMarks,
    depth_advance,
    displacement,
    drift_by_marks,
    followed_drift,
)


def test_displacement_of_an_image_shifted_by_fourier_is_found_to_a_twentieth_of_a_pixel() -> None:
    image = gaussian_filter(np.random.default_rng(3).normal(size=(96, 128)), 2.0, mode="wrap")
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(image), (1.30, -2.64))).real
    np.testing.assert_allclose(displacement(image, moved), [1.30, -2.64], atol=0.05)


def texture(shape: tuple[int, int], seed: int = 3) -> NDArray[Any]:
    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0, mode="wrap")


@given(dy=st.integers(-6, 6), dx=st.integers(-6, 6))
@settings(max_examples=15, deadline=None)
def test_a_whole_shift_is_found_and_the_way_back_is_its_opposite(dy: int, dx: int) -> None:
    image = texture((96, 96))
    moved = np.roll(image, (dy, dx), axis=(0, 1))
    np.testing.assert_allclose(displacement(image, moved), [dy, dx], atol=0.25)
    np.testing.assert_allclose(displacement(moved, image), [-dy, -dx], atol=0.25)


def test_a_displacement_does_not_depend_on_gain_and_offset() -> None:
    image = texture((80, 90))
    moved = np.roll(image, (2, -3), axis=(0, 1))
    np.testing.assert_array_equal(
        displacement(image, moved), displacement(image, 3.0 * moved + 40.0)
    )


@pytest.mark.parametrize("shape", [(40, 41), (40,), (1, 40, 40)])
def test_images_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images must have one shape \(H, W\), got \(40, 40\)"):
        displacement(np.zeros((40, 40)), np.zeros(shape))


def notched(advance_px: int, drift_px: tuple[int, int]) -> NDArray[Any]:
    """Return straight marks beside slanted ones that have moved along x, all of it drifted."""
    straight = texture((64, 96), 1)
    slanted = np.roll(texture((64, 96), 2), advance_px, axis=1)
    return np.roll(np.hstack([straight, slanted]), drift_px, axis=(0, 1))


MARKS = TrackingMarks((8, 56), (8, 88), (104, 184), slope=0.5)


@pytest.mark.parametrize("drift", [(0, 0), (2, -3)])
@pytest.mark.parametrize("advance_px", [0, 4])
def test_depth_is_the_advance_of_slanted_marks_over_their_slope(
    advance_px: int, drift: tuple[int, int]
) -> None:
    before, after = notched(0, (0, 0)), notched(advance_px, drift)
    depth_nm = depth_advance(before, after, MARKS, pixel_size_nm=10.0)
    assert depth_nm == pytest.approx(advance_px * 10.0 / 0.5, abs=3.0)
    np.testing.assert_allclose(drift_by_marks(before, after, MARKS), drift, atol=0.25)


def test_straight_marks_alone_tell_no_depth() -> None:
    image = notched(0, (0, 0))
    marks = TrackingMarks((8, 56), (8, 88))
    assert np.isnan(depth_advance(image, image, marks, pixel_size_nm=10.0))


@pytest.mark.parametrize("before", [(0.0, -200.0), (0.0, 200.0), (-150.0, 0.0), (150.0, 0.0)])
def test_a_specimen_that_has_left_the_image_tells_nothing_of_the_drift(
    before: tuple[float, float],
) -> None:
    specimen = texture((96, 128))
    specimen[:32] = np.sin(np.arange(128) / 3.0) + 0.1 * texture((32, 128), 4)
    marks = TrackingMarks((4, 28), (16, 112), specimen_from=32)
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        drift = followed_drift(specimen, specimen, marks, before=specimen, before_px=before)
    assert np.isfinite(drift).all()
