"""Grey levels on an offset that single precision, or their own type, has no room for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.grey_levels import less_mean, step_warnings
from bl_steer.analysis.reconstruction.comparison import lanczos_labels
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.segmentation.tiles import standardise
from bl_steer.analysis.slices.analysis import _type_of
from bl_steer.analysis.superresolution.isotropy import _standardised
from bl_steer.slicing import TrackingMarks
from bl_steer.slicing.registration import displacement, likeness

OFFSET = 1e9
RNG = np.random.default_rng(0)
GREY = 100 * gaussian_filter(RNG.standard_normal((5, 96, 96)), (0, 2, 2)) + 200


def test_an_offset_changes_no_standardised_grey_level() -> None:
    for of in (standardise, _standardised):
        np.testing.assert_allclose(of(GREY[0] + OFFSET), of(GREY[0]), atol=1e-5)


def test_levels_without_an_offset_are_as_they_were_bit_for_bit() -> None:
    image = GREY[0].astype(np.uint8)
    expected = (image.astype(np.float32) - np.float32(200.5)) / np.float32(14.25)
    np.testing.assert_array_equal(less_mean(image, 200.5, 14.25), expected)


def test_an_offset_hides_no_marks_and_no_displacement() -> None:
    moved = np.roll(GREY[0], (3, -2), (0, 1))
    for offset in (0.0, OFFSET):
        found = displacement(GREY[0] + offset, moved + offset)
        np.testing.assert_allclose(found, (3, -2), atol=0.1)
    marks = TrackingMarks(rows=(10, 60), straight=(10, 50), slanted=(55, 90), slope=0.5,
                          specimen_from=62)  # fmt: skip
    still = np.zeros(2)
    alike = likeness(GREY[0] + OFFSET, GREY[0] + 0.1 + OFFSET, marks, still)
    assert alike == pytest.approx(1.0, abs=1e-3)
    assert likeness(GREY[0] + OFFSET, np.full((96, 96), OFFSET), marks, still) == 0.0


def test_aligned_slices_keep_levels_that_single_precision_would_lose() -> None:
    assert _type_of(GREY) == np.float32
    assert _type_of(GREY + OFFSET) == np.float64
    assert _type_of(GREY.astype(np.float32)) == np.float32


def test_phases_by_threshold_are_those_without_an_offset() -> None:
    labels = (GREY > 200).astype(np.uint8)
    slices = GREY + 40 * labels
    depths = EvenDepths(np.arange(5) * 40.0, np.arange(17) * 10.0, 4)
    on_offset = lanczos_labels(slices + OFFSET, labels, depths)
    alike = on_offset == lanczos_labels(slices, labels, depths)
    assert alike.mean() > 0.9999


def test_coarse_steps_of_a_type_are_told() -> None:
    (told,) = step_warnings([("a.tif", (GREY[0] + OFFSET).astype(np.float32))])
    assert "a.tif are 100000" in told
    assert "float32 has steps of 64" in told
    assert "save them less their offset" in told
    fine = [GREY[0].astype(np.float32), GREY[0] + OFFSET, np.zeros((8, 8), np.uint8)]
    assert not list(step_warnings([("b.tif", image) for image in fine]))
