"""What is believed of a drift, of steps whose drift and chance are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from bl_steer.analysis.slices.believed_drift import believed_steps

RNG = np.random.default_rng(4)


def measured(drift: Any, chance_px: float) -> tuple[Any, Any]:
    """Return steps and those of four parts, whose features lean by chance, one way throughout."""
    lean = RNG.normal(0.0, chance_px, (1, 4, 2)) + RNG.normal(0.0, chance_px, (len(drift), 4, 2))
    parts = drift[:, None] + lean
    return parts.mean(axis=1), parts


def test_the_expected_error_is_that_of_what_is_believed_within_a_factor() -> None:
    for chance_px, steady in ((1.0, 0.0), (2.0, 0.0), (2.0, 1.5)):
        squares, expected = [], []
        for _ in range(30):
            drift = RNG.normal(0, steady, (30, 2))
            steps, parts = measured(drift, chance_px)
            believed = believed_steps(steps, parts, np.ones(30))
            off = np.cumsum(believed.steps - drift, axis=0)
            squares.append(np.mean((off - off.mean(axis=0)) ** 2))
            expected.append(believed.error_px)
        assert 0.5 < np.mean(expected) / np.sqrt(np.mean(squares)) < 2.5
    unknown = believed_steps(np.zeros((5, 2)), np.zeros((5, 0, 2)), np.ones(5))
    assert np.isnan(unknown.error_px)


def test_chance_is_not_taken_for_drift() -> None:
    still = np.zeros((30, 2))
    errors = []
    for _ in range(20):
        steps, parts = measured(still, 2.0)
        believed = believed_steps(steps, parts, np.ones(30)).steps
        errors.append([np.abs(np.cumsum(kind, axis=0)[-1]).mean() for kind in (steps, believed)])
    summed, kept = np.mean(errors, axis=0)
    assert kept < 0.6 * summed


def test_drift_that_all_parts_share_is_kept_with_its_gaps() -> None:
    pitches = np.ones(30)
    pitches[12] = 3.0
    drift = np.array([1.5, -0.8]) * pitches[:, None] + RNG.normal(0.0, 0.3, (30, 2))
    steps, parts = measured(drift, 0.1)
    believed = believed_steps(steps, parts, pitches).steps
    np.testing.assert_allclose(believed, drift, atol=0.6)
    total = np.abs(np.cumsum(believed - drift, axis=0))
    assert total.max() < 4.0


def test_a_jump_that_all_parts_show_is_followed_and_a_wrong_registration_is_not() -> None:
    drift = np.tile([0.5, 0.0], (30, 1))
    drift[10, 0] += 40.0
    steps, parts = measured(drift, 0.3)
    steps[20, 1] += 40.0  # the whole image matched another feature; its parts did not
    believed = believed_steps(steps, parts, np.ones(30)).steps
    assert abs(believed[10, 0] - drift[10, 0]) < 2.0
    assert abs(believed[20, 1]) < 5.0


def test_images_too_small_for_parts_keep_their_steps() -> None:
    steps = RNG.normal(size=(5, 2))
    believed = believed_steps(steps, np.empty((5, 0, 2)), np.ones(5))
    np.testing.assert_array_equal(believed.steps, steps)


def test_parts_that_matched_other_features_leave_the_drift_believed() -> None:
    drift = RNG.normal(0.0, 2.0, (30, 2))
    steps, parts = measured(drift, 0.2)
    parts[RNG.random((30, 4)) < 0.15] += 40.0
    off = np.cumsum(believed_steps(steps, parts, np.ones(30)).steps - drift, axis=0)
    assert np.sqrt(((off - off.mean(axis=0)) ** 2).mean()) < 1.5


def test_a_steady_drift_no_larger_than_a_lean_of_the_specimen_is_half_believed_at_most() -> None:
    steps, parts = measured(np.full((30, 2), 0.8), 0.2)
    totals = [
        believed_steps(steps, parts, np.ones(30), pitch_px=pitch_px).steps.sum(axis=0)
        for pitch_px in (0.1, 10.0)
    ]
    assert (totals[0] > 20.0).all()
    assert (totals[1] < 12.0).all()
    far = believed_steps(steps, parts, np.ones(30), pitch_px=10.0)
    assert far.error_px > 5.0 * far.wander_px


def test_a_small_field_may_lean_by_more_than_a_large_one() -> None:
    """The fewer features, the less their leans cancel; what is unknown of a drift grows so."""
    steps, parts = measured(np.zeros((9, 2)), 0.2)
    large, small = (
        believed_steps(steps, parts, np.ones(9), pitch_px=10.0, edge_px=edge)
        for edge in (448.0, 150.0)
    )
    assert small.lean_px > 2.5 * large.lean_px
    assert small.error_px > large.error_px
