"""The alarm on what a basis does not explain, against its formula and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve1d

from bl_steer.features.alarm import ResidualAlarm, unexplained_share
from bl_steer.protocols import Array

SHAPE = (8, 9)


def patterns(n: int, seed: int = 1, mean: float = 40.0) -> Array:
    return np.random.default_rng(seed).poisson(mean, (n, SHAPE[0] * SHAPE[1])).astype(float)


def smoothed(values: Array) -> Array:
    """The smoothing of the docstring, by scipy."""
    frames = values.reshape(-1, *SHAPE)
    for axis in (1, 2, 1, 2):
        frames = convolve1d(frames, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    return np.asarray(frames.reshape(values.shape))


def test_counting_noise_alone_leaves_nothing_unexplained() -> None:
    counts = patterns(400)
    share = unexplained_share(counts, np.full_like(counts, 40.0))
    # The excess is scattered about zero, and what lies below zero is cut.
    assert (share == 0.0).mean() == pytest.approx(0.5, abs=0.1)
    assert share.max() < 0.15


def test_what_is_not_fitted_at_all_is_unexplained_but_for_its_noise() -> None:
    counts = np.array([[30.0, 40.0]])
    expected = np.sqrt(1.0 - 70.0 / 2500.0)
    assert unexplained_share(counts, np.zeros((1, 2))) == pytest.approx(expected)


@given(scale=st.integers(0, 10_000), error=st.floats(-1e4, 1e4))
def test_a_share_lies_between_0_and_1(scale: int, error: float) -> None:
    counts = scale * np.eye(3)
    share = unexplained_share(counts, counts + error)
    assert ((share >= 0.0) & (share <= 1.0)).all()


def test_the_surprise_is_that_of_its_formula() -> None:
    learnt, fitted = patterns(20, 2), np.full((20, 72), 40.0)
    alarm = ResidualAlarm(SHAPE)
    alarm.learn(learnt, fitted)
    usual = np.sqrt((smoothed(learnt - fitted) ** 2).mean(axis=0))
    new, new_fitted = patterns(5, 3), np.full((5, 72), 38.0)
    noise = np.sqrt(np.maximum(smoothed(new_fitted), 1.0))
    expected = (smoothed(new - new_fitted) / (usual + 0.5 * usual.mean() + noise)).max(axis=1)
    np.testing.assert_allclose(alarm.surprise(new, new_fitted), expected)


def test_a_peak_surprises_more_where_the_fit_was_right_before() -> None:
    fitted = np.full((10, 72), 40.0)
    learnt = fitted.copy()
    learnt[:, 30:33] += 60.0 * np.array([[1.0], [-1.0]]).repeat(5, axis=0)
    alarm = ResidualAlarm(SHAPE)
    alarm.learn(learnt, fitted)
    beside, elsewhere = fitted[:1].copy(), fitted[:1].copy()
    beside[:, 30:33] += 60.0
    elsewhere[:, 57:60] += 60.0
    assert alarm.surprise(elsewhere, fitted[:1]) > 2.0 * alarm.surprise(beside, fitted[:1])


def test_the_threshold_waits_for_ten_patterns_and_stays_within_its_limits() -> None:
    alarm = ResidualAlarm(SHAPE)
    alarm.observe(np.full(9, 1.0))
    assert alarm.threshold == 10.0
    alarm.observe(np.array([1.0]))
    assert alarm.threshold == 5.0
    alarm.observe(np.full(40, 6.0))
    assert alarm.threshold == pytest.approx(9.0)
    alarm.observe(np.full(50, 100.0))
    assert alarm.threshold == 20.0


def test_the_threshold_follows_the_latest_fifty_patterns() -> None:
    alarm = ResidualAlarm(SHAPE)
    alarm.observe(np.full(200, 100.0))
    alarm.observe(np.arange(50.0) / 5.0)
    assert alarm.threshold == pytest.approx(1.5 * np.quantile(np.arange(50.0) / 5.0, 0.9))
