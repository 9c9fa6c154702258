"""Drift and depths along a stack, against the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.slices.trajectory import track
from bl_steer.slicing import TrackingMarks, compare
from bl_steer.slicing.watch import SliceWatch

PITCH = 100.0


def test_drift_is_recovered_from_marks_to_a_third_of_a_pixel(stack: Any) -> None:
    images, _, marks = stack
    tracked = track(images, pixel_size_nm=10.0, marks=marks)
    true = stack.drift_px
    assert np.abs(true).max() > 2.0
    assert np.sqrt(((tracked.displacement_px - true) ** 2).mean(axis=0)).max() < 0.3
    assert tracked.by_marks


def test_pitch_is_measured_by_slanted_marks_to_a_few_nanometres(stack: Any) -> None:
    images, views, marks = stack
    tracked = track(images, pixel_size_nm=10.0, marks=marks)
    true = np.diff([view.z_nm for view in views])
    assert np.ptp(true) > 20.0
    assert np.sqrt(((tracked.spacing_nm[1:] - true) ** 2).mean()) < 4.0
    assert np.isnan(tracked.spacing_nm[0])


def test_missing_slices_that_are_known_of_are_told_to_the_comparison(stack: Any) -> None:
    ends = stack.images[0], stack.images[-1]
    missing = PITCH * (np.diff([0, len(stack.images) - 1], prepend=-1) - 1)
    tracked = track(ends, pixel_size_nm=10.0, marks=stack.marks, missing_nm=missing)
    step = compare(*ends, pixel_size_nm=10.0, marks=stack.marks, missing_nm=missing[1])
    assert tracked.spacing_nm[1] == step.spacing_nm


INSIDE = TrackingMarks((5, 55), (40, 100), specimen_from=76)
"""A box in which every notch is like the next, 30 px on."""


@pytest.mark.parametrize("steps", [range(0, 28, 4), [0, 0, 20, 40, 40, 40, 40]])
@pytest.mark.parametrize("way", [1, -1])
def test_a_notch_is_not_taken_for_the_next(stack: Any, steps: Any, way: int) -> None:
    moved = way * np.array(steps)
    images = [np.roll(image, by, axis=1) for image, by in zip(stack.images, moved, strict=True)]
    true = stack.drift_px + np.stack([np.zeros(7), moved], axis=1)
    tracked = track(images, pixel_size_nm=10.0, marks=INSIDE)
    assert np.abs(tracked.displacement_px - true).max() < 1.0
    watch = SliceWatch(pixel_size_nm=10.0, pitch_nm=PITCH, marks=INSIDE)
    for number, image in enumerate(images):
        row = watch.accept(image, watch.judge(image), number)
        assert (
            np.hypot(row.drift_y_nm - 10 * true[number, 0], row.drift_x_nm - 10 * true[number, 1])
            < 14.0
        )


@pytest.mark.parametrize("number", [11, 12])
@pytest.mark.parametrize("by", [-40, -30, -20, 20, 30, 40])
def test_a_jump_is_followed_that_carries_quarters_of_the_image_elsewhere(
    number: int, by: int
) -> None:
    rng = np.random.default_rng(number)
    # Features some 20 px wide, of which slices 5 px apart share three quarters.
    faces = gaussian_filter(rng.standard_normal((45, 176, 240)), 6.0, mode="wrap")[::5]
    faces += 0.2 * faces.std() * rng.standard_normal(faces.shape)
    first = max(0, by)
    images = [face[:, (first if k < 5 else first - by) :][:, :200] for k, face in enumerate(faces)]
    aligned = [face[:, first:][:, :200] for face in faces]
    moved, still = (
        track(stack, pixel_size_nm=10.0, pitch_nm=50.0).displacement_px
        for stack in (images, aligned)
    )
    jump = np.where(np.arange(9) < 5, 0, by)
    np.testing.assert_allclose((moved - still)[:, 1], jump, atol=2.0)
    np.testing.assert_allclose((moved - still)[:, 0], 0, atol=1.0)
