"""Curtains are taken off, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from bl_steer.slicing import remove_stripes
from simulators.electron.fibsem_sample import FibsemSpecimen
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import micrograph


def test_fine_stripes_are_removed_and_no_fraction_moves() -> None:
    labels = FibsemSpecimen("network", seed=5, shape=(1, 256, 256)).labels[0]
    striped, clean = (
        micrograph(labels, ImagingConditions(curtaining=strength), seed=7).astype(float)
        for strength in (1.0, 0.0)
    )
    mended = remove_stripes(striped)
    oxide = labels == 0

    def fine_stripes(image: Any) -> float:
        """Return the power of stripes narrower than 16 px in the oxide."""
        excess = np.where(oxide, image - clean, 0.0)
        power = np.abs(np.fft.rfft2(excess - excess[oxide].mean() * oxide)) ** 2
        return float(power[:4, 256 // 16 :].sum())

    assert fine_stripes(mended) < 0.4 * fine_stripes(striped)
    threshold = 0.5 * (clean[oxide].mean() + clean[labels == 1].mean())
    shares = [(gaussian_filter(image, 1.5) > threshold).mean() for image in (clean, mended)]
    assert abs(shares[1] - shares[0]) < 0.01
    assert mended.mean() == pytest.approx(striped.mean())


def test_image_without_stripes_is_hardly_changed() -> None:
    labels = FibsemSpecimen("grains", seed=5, shape=(1, 192, 200)).labels[0]
    image = micrograph(labels, ImagingConditions(curtaining=0.0), seed=7).astype(float)
    changed = remove_stripes(image) - image
    assert changed.shape == image.shape
    assert changed.std() < 0.1 * image.std()


@given(height=st.integers(8, 70), width=st.integers(8, 70), offset=st.floats(-100.0, 100.0))
@settings(max_examples=15, deadline=None)
def test_any_size_keeps_its_shape_and_its_mean(height: int, width: int, offset: float) -> None:
    image = np.random.default_rng(1).normal(offset, 10.0, (height, width))
    clean = remove_stripes(image)
    assert clean.shape == image.shape
    assert clean.mean() == pytest.approx(image.mean(), abs=1e-9)


def test_a_wider_damping_takes_more() -> None:
    image = np.random.default_rng(2).normal(0.0, 10.0, (128, 128))
    removed = [np.std(remove_stripes(image, width=width) - image) for width in (1.0, 3.0, 9.0)]
    assert removed[0] < removed[1] < removed[2]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((7, 64), {}, r"two axes of 8 pixels at least, got shape \(7, 64\)"),
        ((3, 64, 64), {}, "give one slice at a time"),
        ((64, 64), {"levels": 0}, "levels must be 1 or more and width positive, got 0 and 2"),
        ((64, 64), {"width": 0.0}, "got 3 and 0; try the defaults"),
    ],
)
def test_what_has_no_stripes_to_remove_is_refused(
    shape: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        remove_stripes(np.zeros(shape), **options)
