from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis.superresolution.baselines import (
    GREY_BASELINES,
    lanczos,
    linear,
    nearest,
    signed_distance,
)


def ball(radius: float, edge: int = 33) -> NDArray[np.uint8]:
    z, y, x = np.indices((edge,) * 3) - edge // 2
    return (z**2 + y**2 + x**2 < radius**2).astype(np.uint8)


@pytest.mark.parametrize("name", GREY_BASELINES)
def test_measured_slices_stay(name: str) -> None:
    slices = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    planes = GREY_BASELINES[name](slices, 4)
    assert planes.shape == (17, 6, 7)
    np.testing.assert_allclose(planes[::4], slices, atol=1e-6)


def test_nearest_changes_halfway() -> None:
    slices = np.arange(3)[:, None, None]
    assert nearest(slices, 4).ravel().tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_linear_is_exact_on_a_slope() -> None:
    planes = linear(np.arange(4.0)[:, None, None], 8)
    np.testing.assert_allclose(planes.ravel(), np.arange(25) / 8, atol=1e-6)


def test_lanczos_beats_linear_on_a_slow_wave() -> None:
    z = np.arange(97)
    wave = np.sin(2 * np.pi * z / 40)[:, None, None]
    inner = slice(24, 73)
    error = {f: np.abs(f(wave[::8], 8) - wave)[inner].max() for f in (lanczos, linear)}
    assert error[lanczos] < 0.5 * error[linear]


def test_signed_distance_restores_a_ball_better_than_the_nearest_slice() -> None:
    truth = ball(12.0)
    wrong = {
        "signed distance": np.mean(signed_distance(truth[::4], 4, 2) != truth),
        "nearest": np.mean(nearest(truth[::4], 4) != truth),
    }
    assert wrong["signed distance"] < 0.7 * wrong["nearest"]
