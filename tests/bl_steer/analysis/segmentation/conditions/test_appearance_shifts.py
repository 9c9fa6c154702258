"""Filters that find a change of acquisition among specimens that scatter."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from bl_steer.analysis.segmentation.conditions.appearance import ASPECTS, LARGEST, altered
from bl_steer.analysis.segmentation.conditions.appearance_shifts import edge_px, matched_filters


def test_a_matched_filter_has_unit_scale_and_answers_its_own_change_most() -> None:
    rng = np.random.default_rng(3)
    n = len(ASPECTS)
    numbers = rng.normal(size=(200, n)) @ rng.normal(size=(n, n))
    moves = {name: rng.normal(size=n) for name in ("blur", "noise")}
    filters = matched_filters(numbers, moves)
    scale = numbers.std(axis=0, ddof=1) + 1e-9
    covariance, _ = ledoit_wolf((numbers - numbers.mean(axis=0)) / scale, assume_centered=True)
    for name in moves:
        weight = filters[name] * scale
        assert weight @ covariance @ weight == pytest.approx(1.0)
        # No other weights of unit scale answer the change more (Cauchy-Schwarz).
        for other in rng.normal(size=(20, n)):
            unit = other / np.sqrt(other @ covariance @ other)
            assert unit @ (moves[name] / scale) <= filters[name] @ moves[name] + 1e-9
    assert set(filters) == {"blur", "noise", "smaller", "greys"}


def test_the_edge_is_the_root_of_the_area_that_is_looked_at() -> None:
    assert edge_px(np.zeros((100, 400))) == 200.0
    assert edge_px(np.zeros((5 * LARGEST, 5 * LARGEST))) == LARGEST


def test_altered_images_are_larger_blurred_noisier_and_sharper_at_edges() -> None:
    image = np.zeros((64, 64))
    image[:, 32:] = 100.0
    image += np.random.default_rng(1).normal(0.0, 2.0, image.shape)
    others = altered(image)
    assert others["larger"].shape == (91, 91)
    flat = np.s_[8:56, 4:24]
    assert others["noise"][flat].std() > image[flat].std()
    slopes = {name: np.abs(np.diff(other.mean(axis=0))).max() for name, other in others.items()}
    assert slopes["blur"] < 0.5 * np.abs(np.diff(image.mean(axis=0))).max()
    assert np.ptp(others["relief"].mean(axis=0)) > np.ptp(image.mean(axis=0))
