"""The blur and the focus, from images of known defocus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from bl_steer.slicing import best_focus, blur_against, log_sharpness
from simulators.electron.fibsem_sample import FibsemSpecimen
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import micrograph


def test_sharpness_gives_the_blur_and_the_focus() -> None:
    specimen = FibsemSpecimen("network", seed=2, shape=(1, 256, 256)).labels[0]
    defocus = np.array([-8.0, -4.0, 0.0, 4.0, 8.0])
    sharpness = np.array(
        [
            log_sharpness(micrograph(specimen, ImagingConditions(defocus_um=um), seed=5))
            for um in defocus
        ]
    )
    assert np.argmax(sharpness) == 2
    # 8 µm out of focus at a half angle of 5 mrad is a blur of 20 nm.
    assert blur_against(sharpness[4], sharpness[2]) == pytest.approx(2.0, abs=0.5)
    assert blur_against(sharpness[2], sharpness[4]) == 0.0
    assert abs(best_focus(defocus, sharpness)) < 1.0
    with pytest.raises(ValueError, match="focus must be judged by three images at least, got 1"):
        best_focus(defocus, np.array([np.nan, 1.0, np.nan, np.nan, np.nan]))


@given(
    focus=st.floats(-3.0, 3.0),
    curvature=st.floats(0.01, 5.0),
    settings=st.lists(st.integers(-50, 50), min_size=3, max_size=9, unique=True),
)
def test_the_top_of_a_parabola_is_found_within_the_settings_tried(
    focus: float, curvature: float, settings: list[int]
) -> None:
    tried = 0.1 * np.array(settings)
    sharpness = -curvature * (tried - focus) ** 2
    expected = np.clip(focus, tried.min(), tried.max())
    assert best_focus(tried, sharpness) == pytest.approx(expected, abs=1e-4)


def test_where_there_is_no_hill_the_sharpest_image_counts() -> None:
    settings = np.array([-2.0, -1.0, 0.0, 1.0])
    assert best_focus(settings, np.array([4.0, 1.0, np.nan, 2.0])) == -2.0


def test_a_blurred_image_is_less_sharp_by_the_closed_form() -> None:
    # Bands of finite width, and their middle in the formula: within a tenth.
    rng = np.random.default_rng(1)
    image = gaussian_filter(rng.normal(size=(256, 256)), 1.0, mode="wrap")
    blurred = gaussian_filter(image, 1.5, mode="wrap")
    assert blur_against(log_sharpness(blurred), log_sharpness(image)) == pytest.approx(1.5, rel=0.1)


def test_noise_alone_has_no_sharpness() -> None:
    rows = np.random.default_rng(5).normal(size=(128, 128))
    high_frequencies = rows - gaussian_filter(rows, 1.0, mode="wrap")
    assert np.isnan(log_sharpness(high_frequencies))
    assert np.isnan(log_sharpness(high_frequencies[:8, :8]))  # no frequency of one of the bands
