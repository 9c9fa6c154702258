"""The correction of a network's logits: features, doubt, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.segmentation.networks.calibrated import (
    BANDS_PX,
    LEAST_LOG,
    doubt,
    features,
)
from bl_steer.analysis.segmentation.networks.layers import convolutions, rounded_up
from bl_steer.analysis.segmentation.tiles import resample


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_rounding_up_gives_the_next_multiple(pixels: int, stride: int) -> None:
    edge = rounded_up(pixels, stride)
    assert edge % stride == 0
    assert 0 <= edge - pixels < stride


def test_doubt_is_none_for_one_phase_and_most_for_equal_ones() -> None:
    shares = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.05, 0.05], [1 / 3, 1 / 3, 1 / 3]])
    doubts = doubt(shares.log().T[None, :, :, None]).flatten().tolist()
    assert doubts[0] == 0.0
    assert doubts == sorted(doubts)
    assert doubts[2] == pytest.approx(np.tanh(6.0 * 2 / 3))


def test_features_are_logs_differences_of_gaussians_and_one() -> None:
    image = np.random.default_rng(2).normal(size=(40, 48)).astype(np.float32)
    log_p = torch.log_softmax(torch.randn(1, 2, 40, 48, generator=torch.manual_seed(1)) * 9, 1)
    rows = features(torch.from_numpy(image)[None, None], log_p)[0].numpy()
    assert len(rows) == 2 + len(BANDS_PX) + 1
    np.testing.assert_array_equal(rows[:2], np.maximum(log_p[0].numpy(), LEAST_LOG))
    for row, (fine, coarse) in zip(rows[2:-1], BANDS_PX, strict=True):
        expected = [
            gaussian_filter(image, s, mode="nearest", radius=16) if s else image
            for s in (fine, coarse)
        ]
        np.testing.assert_allclose(row, expected[0] - expected[1], atol=1e-5)
    np.testing.assert_array_equal(rows[-1], 1.0)


@pytest.mark.parametrize("dilation", [1, 3])
def test_convolutions_keep_the_size_and_are_never_negative(dilation: int) -> None:
    block = convolutions(2, 5, 3, dilation=dilation).eval()
    with torch.inference_mode():
        out = block(torch.randn(1, 2, 12, 16, generator=torch.manual_seed(3)))
    assert tuple(out.shape) == (1, 5, 12, 16)
    assert out.min() >= 0.0
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in block) == 3


def test_a_resampled_image_keeps_its_mean_and_a_flat_one_its_level() -> None:
    image = np.random.default_rng(4).random((64, 48)).astype(np.float32)
    smaller = resample(image, (16, 24))
    assert smaller.shape == (16, 24)
    assert smaller.mean() == pytest.approx(image.mean(), abs=0.02)
    np.testing.assert_allclose(resample(np.full((9, 9), 3.0, np.float32), (20, 5)), 3.0, rtol=1e-6)
