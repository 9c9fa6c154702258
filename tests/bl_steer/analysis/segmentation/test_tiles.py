from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from bl_steer.analysis.segmentation import Passes
from bl_steer.analysis.segmentation.networks import SegmentationNetwork, build_network
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise

WIDTHS = {"segnet": (4, 6), "unet": (4, 6, 8), "pspnet": (4, 6)}


def network(name: str) -> SegmentationNetwork:
    torch.manual_seed(3)
    built = build_network(name, 3, widths=WIDTHS[name]).train()
    for _ in range(3):
        built(torch.randn(2, 1, 64, 64))
    return built.eval().requires_grad_(False)


def run(
    built: SegmentationNetwork, image: NDArray[np.float32], passes: Passes
) -> tuple[NDArray[np.float32], int]:
    out = np.full((3, *image.shape), np.nan, np.float32)
    n_tiles = 0
    for place, probability in iterate_tiles(built, image, passes):
        assert np.isnan(out[:, *place]).all()
        out[:, *place] = probability
        n_tiles += 1
    return out, n_tiles


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize("name", WIDTHS)
def test_tiles_and_the_whole_image_agree(name: str, views: int) -> None:
    built = network(name)
    image = np.random.default_rng(1).normal(size=(110, 141)).astype(np.float32)
    tile_px = 2 * built.halo + 8 * built.stride
    untiled, single = run(built, image, Passes(1024, views))
    tiled, many = run(built, image, Passes(tile_px, views))
    assert single == 1
    assert many > 3
    assert np.isfinite(tiled).all()
    np.testing.assert_allclose(tiled, untiled, atol=1e-5)
    assert untiled.std() > 0.01


def test_views_average_over_the_turned_image() -> None:
    built = network("unet")
    image = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    single, _ = run(built, image, Passes(views=8))
    turned, _ = run(built, np.ascontiguousarray(np.rot90(image)), Passes(views=8))
    np.testing.assert_allclose(np.rot90(single, axes=(1, 2)), turned, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(1, 40))
def test_any_size_is_covered_once(height: int, width: int) -> None:
    image = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    out, _ = run(network("segnet"), image, Passes())
    np.testing.assert_allclose(out.sum(axis=0), 1.0, atol=1e-5)


def test_half_precision_stays_near() -> None:
    built = network("unet")
    image = np.random.default_rng(1).normal(size=(64, 80)).astype(np.float32)
    full, _ = run(built, image, Passes())
    half, _ = run(built, image, Passes(precision="bf16"))
    assert 0 < abs(full - half).max() < 0.05


def test_a_tile_smaller_than_its_margins_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tile_px must be at least \d+ px .* got 60"):
        list(iterate_tiles(network("pspnet"), np.zeros((200, 200), np.float32), Passes(60)))


def test_views_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="views must be 1, 2, 4 or 8, got 3"):
        Passes(views=3)


@settings(deadline=None, max_examples=30)
@given(
    arrays(np.uint8, (12, 15), elements=st.integers(0, 255)),
    st.floats(0.5, 200),
    st.floats(-50, 5000),
)
def test_grey_levels_forget_gain_and_offset(
    image: NDArray[np.uint8], gain: float, offset: float
) -> None:
    np.testing.assert_allclose(standardise(image * gain + offset), standardise(image), atol=2e-2)


@pytest.mark.parametrize("level", [77, 1.00001, 0.1, 1e9 + 1e-3])
def test_a_constant_image_becomes_zero(level: float) -> None:
    assert abs(standardise(np.full((12, 15), level))).max() < 1e-6
    assert abs(standardise(np.full((12, 15), level, np.float32))).max() < 1e-6
