"""Rows of notches that look alike: none is taken for the next, and where one may be, it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.slices.analysis import AlignParams, AlignSlices
from bl_steer.analysis.slices.checks import check_common_part
from bl_steer.analysis.slices.trajectory import track
from bl_steer.protocols import Inputs
from bl_steer.slicing import TrackingMarks, drift_by_marks

NOTCH_PX = 24
SHAPE = (112, 220)
LAYER = 40
MARKS = TrackingMarks.of_box((20, 0, 90, LAYER - 4), LAYER)


def face(drift: tuple[int, int], seed: int = 0) -> NDArray[Any]:
    """Return a specimen below equal notches at equal distances, all of it drifted (y, x)."""
    rng = np.random.default_rng(7)
    dy, dx = drift
    wide = gaussian_filter(rng.standard_normal((SHAPE[0] + 100, SHAPE[1] + 200)), 5.0)
    top, left = 50 - dy, 100 - dx
    image = 128.0 + 500.0 * wide[top : top + SHAPE[0], left : left + SHAPE[1]]
    depth = 10.0 + 12.0 * np.abs((np.arange(SHAPE[1]) - dx) / NOTCH_PX % 1.0 - 0.5)
    row = np.arange(SHAPE[0])[:, None] - dy
    image = np.where(row < LAYER - 2, np.where(row < depth, 40.0, 200.0), image)
    return np.asarray(image + np.random.default_rng(seed).normal(0.0, 4.0, SHAPE))


STEADY = [(k // 4, 3 * k) for k in range(14)]
JUMP = [(0, 0), (0, 1), (1, 1), (1, 41), (1, 40), (2, 42)]


@pytest.mark.parametrize("drifts", [STEADY, JUMP])
def test_drift_beyond_half_the_distance_of_the_notches_is_followed(drifts: Any) -> None:
    assert np.ptp([x for _, x in drifts]) > NOTCH_PX / 2
    images = [face(drift, seed) for seed, drift in enumerate(drifts)]
    tracked = track(images, pixel_size_nm=10.0, pitch_nm=100.0, marks=MARKS)
    assert np.abs(tracked.displacement_px - np.array(drifts)).max() < 0.3


def test_the_place_that_is_expected_counts_among_those_that_look_alike() -> None:
    images = face((0, 0)), face((1, 2), 1)
    for notch in (-1, 0, 1):
        near = (1.0, 2.0 + NOTCH_PX * notch)
        found = drift_by_marks(*images, MARKS, near)
        np.testing.assert_allclose(found, near, atol=0.5)


def test_a_slice_without_marks_leads_none_after_it_astray() -> None:
    images = [face(drift, seed) for seed, drift in enumerate(STEADY[:6])]
    images[3][:LAYER] = np.random.default_rng(0).normal(120.0, 30.0, (LAYER, SHAPE[1]))
    tracked = track(images, pixel_size_nm=10.0, pitch_nm=100.0, marks=MARKS)
    others = [0, 1, 2, 4, 5]
    assert np.abs((tracked.displacement_px - np.array(STEADY[:6]))[others]).max() < 0.3
    np.testing.assert_array_equal(*tracked.displacement_px[[2, 3]])


def test_slices_far_apart_are_followed_without_the_specimen() -> None:
    drifts = [(0, 0), (1, 9), (1, 17), (2, 25)]
    images = [face(drift, seed) for seed, drift in enumerate(drifts)]
    for seed, image in enumerate(images):
        noise = np.random.default_rng(seed + 9).standard_normal((SHAPE[0] - LAYER, SHAPE[1]))
        image[LAYER:] = 128.0 + 500.0 * gaussian_filter(noise, 5.0)
    tracked = track(images, pixel_size_nm=10.0, pitch_nm=100.0, marks=MARKS)
    assert np.abs(tracked.displacement_px - np.array(drifts)).max() < 0.3


def test_a_layer_that_is_left_out_tells_no_drift() -> None:
    specimen = [face(drift, seed) for seed, drift in enumerate(STEADY[:4])]
    other = [image.copy() for image in specimen]
    for image in other:
        image[:LAYER] = face((0, 0))[:LAYER]
    first, second = (
        AlignSlices()
        .run(
            Inputs({"slices": np.stack(images)}, {"pixel_size_nm": 10.0, "pitch_nm": 100.0}),
            AlignParams(specimen_from=LAYER),
        )
        .tables["slices"]["displacement_x_px"]
        for images in (specimen, other)
    )
    np.testing.assert_array_equal(first, second)


def test_a_layer_that_is_measured_as_specimen_is_told() -> None:
    images = np.stack([face((0, 0)), face((0, 1), 1)])
    inputs = Inputs({"slices": images}, {"pixel_size_nm": 10.0, "pitch_nm": 100.0})
    result = AlignSlices().run(inputs, AlignParams(marks=(20, 0, 90, 36), specimen_from=0))
    assert any("row 0, above the lower edge of the marks, 36" in note for note in result.warnings)


def test_a_specimen_that_is_cut_away_is_no_drift() -> None:
    with pytest.raises(ValueError, match=r"below row 290, where .* or give a smaller"):
        check_common_part(
            slice(290, 294),
            slice(0, 300),
            displacement_px=np.array([[6.0, 0.0]]),
            shape=(300, 300),
            first_row=290,
        )
