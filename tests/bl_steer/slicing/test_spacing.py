"""How far apart two faces are, against the depths that the simulator cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bl_steer.slicing import compare, spacing_by_correlation

PITCH = 100.0


def test_depth_is_told_over_missing_slices_that_are_known_of(stack: Any) -> None:
    images, views, marks = stack
    ends = images[0], images[-1]
    true = views[-1].z_nm - views[0].z_nm
    known = compare(*ends, pixel_size_nm=10.0, marks=marks, missing_nm=(len(images) - 2) * PITCH)
    assert known.spacing_nm == pytest.approx(true, abs=15.0)
    assert abs(compare(*ends, pixel_size_nm=10.0, marks=marks).spacing_nm - true) > 2 * PITCH


def test_a_depth_beyond_the_marks_is_not_told(stack: Any) -> None:
    images, _, marks = stack
    step = compare(*images[:2], pixel_size_nm=10.0, marks=marks, missing_nm=50 * PITCH)
    assert np.isnan(step.spacing_nm)


def test_spacing_by_correlation_tells_uncut_single_and_double_steps_apart(stack: Any) -> None:
    faces = stack.faces
    single = [compare(a, b, pixel_size_nm=10.0).spacing_nm for a, b in pairwise(faces)]
    double = [
        compare(a, b, pixel_size_nm=10.0).spacing_nm for a, b in zip(faces, faces[2:], strict=False)
    ]
    noise = np.random.default_rng(1).normal(0.0, 10.0, faces[0].shape)
    uncut = compare(faces[0], faces[0] + noise, pixel_size_nm=10.0).spacing_nm
    assert uncut < 30.0
    assert 70.0 < np.median(single) < 140.0
    assert np.median(double) > 1.5 * np.median(single)


def test_the_spacing_by_correlation_is_that_of_an_isotropic_volume() -> None:
    noise = np.random.default_rng(7).normal(size=(48, 128, 128))
    volume = gaussian_filter(noise, 4.0, mode="wrap")
    for planes in (3, 6):
        steps = [spacing_by_correlation(volume[k], volume[k + planes])[1] for k in range(0, 40, 8)]
        assert np.mean(steps) == pytest.approx(planes, rel=0.25)


def test_equal_faces_are_no_distance_apart_and_blank_ones_cannot_tell() -> None:
    face = gaussian_filter(np.random.default_rng(3).normal(size=(96, 96)), 4.0)
    correlation, spacing_px = spacing_by_correlation(face, face)
    assert correlation == pytest.approx(1.0)
    assert spacing_px == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(spacing_by_correlation(np.zeros((64, 64)), np.zeros((64, 64)))).all()
