"""Drift and depths along a stack, against the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from bl_steer.analysis.slices.trajectory import believed_steps, expected_error, track
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


RNG = np.random.default_rng(4)


def measured(drift: Any, chance_px: float) -> tuple[Any, Any]:
    """Return steps and those of four parts, whose features lean by chance, one way throughout."""
    lean = RNG.normal(0.0, chance_px, (1, 4, 2)) + RNG.normal(0.0, chance_px, (len(drift), 4, 2))
    parts = drift[:, None] + lean
    return parts.mean(axis=1), parts


def test_the_expected_error_is_that_of_what_is_believed_within_a_factor_of_two() -> None:
    for chance_px, steady in ((1.0, 0.0), (2.0, 0.0), (2.0, 1.5)):
        squares, expected = [], []
        for _ in range(30):
            drift = RNG.normal(0, steady, (30, 2))
            steps, parts = measured(drift, chance_px)
            off = np.cumsum(believed_steps(steps, parts, np.ones(30)) - drift, axis=0)
            squares.append(np.mean((off - off.mean(axis=0)) ** 2))
            expected.append(expected_error(steps, parts, np.ones(30)))
        assert 0.5 < np.mean(expected) / np.sqrt(np.mean(squares)) < 2.0
    assert np.isnan(expected_error(np.zeros((5, 2)), np.zeros((5, 0, 2)), np.ones(5)))


def test_chance_is_not_taken_for_drift() -> None:
    still = np.zeros((30, 2))
    errors = []
    for _ in range(20):
        steps, parts = measured(still, 2.0)
        believed = believed_steps(steps, parts, np.ones(30))
        errors.append([np.abs(np.cumsum(kind, axis=0)[-1]).mean() for kind in (steps, believed)])
    summed, kept = np.mean(errors, axis=0)
    assert kept < 0.6 * summed


def test_drift_that_all_parts_share_is_kept_with_its_gaps() -> None:
    pitches = np.ones(30)
    pitches[12] = 3.0
    drift = np.array([1.5, -0.8]) * pitches[:, None] + RNG.normal(0.0, 0.3, (30, 2))
    steps, parts = measured(drift, 0.1)
    np.testing.assert_allclose(believed_steps(steps, parts, pitches), drift, atol=0.6)
    total = np.abs(np.cumsum(believed_steps(steps, parts, pitches) - drift, axis=0))
    assert total.max() < 3.0


def test_a_jump_that_all_parts_show_is_followed_and_a_wrong_registration_is_not() -> None:
    drift = np.tile([0.5, 0.0], (30, 1))
    drift[10, 0] += 40.0
    steps, parts = measured(drift, 0.3)
    steps[20, 1] += 40.0  # the whole image matched another feature; its parts did not
    believed = believed_steps(steps, parts, np.ones(30))
    assert abs(believed[10, 0] - drift[10, 0]) < 2.0
    assert abs(believed[20, 1]) < 5.0


def test_images_too_small_for_parts_keep_their_steps() -> None:
    steps = RNG.normal(size=(5, 2))
    np.testing.assert_array_equal(believed_steps(steps, np.empty((5, 0, 2)), np.ones(5)), steps)
