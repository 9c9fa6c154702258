"""Displacements against the truth of the simulator, and against a shift by Fourier."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import fourier_shift, gaussian_filter

from bl_steer.slicing import displacement


def test_displacement_of_an_image_shifted_by_fourier_is_found_to_a_twentieth_of_a_pixel() -> None:
    image = gaussian_filter(np.random.default_rng(3).normal(size=(96, 128)), 2.0, mode="wrap")
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(image), (1.30, -2.64))).real
    np.testing.assert_allclose(displacement(image, moved), [1.30, -2.64], atol=0.05)
