"""Curtains are taken off, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
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
