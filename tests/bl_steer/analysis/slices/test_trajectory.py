"""Drift and depths along a stack, against the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from bl_steer.analysis.slices.trajectory import track
from bl_steer.slicing import compare

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
