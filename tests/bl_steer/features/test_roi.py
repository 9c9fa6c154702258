"""Features that are weighted sums: against sums by hand, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.diffraction import FrameAxes
from bl_steer.features import MapFeature, RoiFeature, TotalFeature
from bl_steer.features.roi import LinearFeature, box_mask, checked_patterns, window_text
from bl_steer.features.target import Box

AXES = FrameAxes(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0]))
FRAMES = np.arange(12.0).reshape(2, 6)


def test_the_total_is_the_sum_of_each_frame() -> None:
    np.testing.assert_array_equal(TotalFeature(AXES).transform(FRAMES), FRAMES.sum(axis=1))


def test_a_region_sums_the_pixels_in_its_box_with_those_on_its_edge() -> None:
    feature = RoiFeature(Box((2.0, 3.0), (20.0, 25.0)), AXES)
    np.testing.assert_array_equal(feature.transform(FRAMES), [4.0 + 5.0, 10.0 + 11.0])
    assert feature.target == "roi:2,3,20,25"


def test_a_box_without_qz_takes_every_row() -> None:
    mask = box_mask(Box((1.5, 2.5)), AXES)
    np.testing.assert_array_equal(mask.reshape(AXES.shape), [[False, True, False]] * 2)


@given(
    qx=st.tuples(st.floats(0.0, 4.0), st.floats(0.0, 4.0)).filter(lambda q: q[0] < q[1]),
    qz=st.tuples(st.floats(5.0, 25.0), st.floats(5.0, 25.0)).filter(lambda q: q[0] < q[1]),
)
def test_a_box_holds_the_pixel_centres_that_a_loop_finds(
    qx: tuple[float, float], qz: tuple[float, float]
) -> None:
    expected = [qx[0] <= x <= qx[1] and qz[0] <= z <= qz[1] for z in AXES.qz for x in AXES.qx]
    if any(expected):
        assert box_mask(Box(qx, qz), AXES).tolist() == expected
    else:
        with pytest.raises(ValueError, match="must hold a pixel of the frame's window"):
            box_mask(Box(qx, qz), AXES)


def test_a_box_beside_the_frame_is_refused_with_the_window() -> None:
    with pytest.raises(ValueError, match=r"box 5,6 .*q_x 1 … 3 1/Å, q_z 10 … 20 1/Å, got none"):
        RoiFeature(Box((5.0, 6.0)), AXES)


def test_a_box_of_too_few_or_too_many_numbers_is_told_its_form() -> None:
    with pytest.raises(ValueError, match=r"5,6 are of q_x alone; write QX0,QX1,QZ0,QZ1 for both"):
        RoiFeature(Box((5.0, 6.0)), AXES)
    with pytest.raises(ValueError, match=r"write A0,A1: a spectrum has no q_z"):
        RoiFeature(Box((1.0, 2.0), (3.0, 4.0)), FrameAxes.channels((1, 5)))


def test_the_window_of_a_spectrum_names_its_channels() -> None:
    assert window_text(FrameAxes.channels((1, 5))) == "channel axis 0 … 4 channel"


def test_a_map_takes_its_only_pixel_and_no_patterns() -> None:
    feature = MapFeature(FrameAxes.channels((1, 1)))
    np.testing.assert_array_equal(feature.transform(np.array([[3.0], [4.0]])), [3.0, 4.0])
    with pytest.raises(ValueError, match=r"frames of one value, got frames of shape \(2, 3\)"):
        MapFeature(AXES)


def test_linear_features_learn_nothing_and_expect_everything() -> None:
    feature = TotalFeature(AXES)
    assert feature.partial_fit(FRAMES) is feature
    assert feature.version == 0
    np.testing.assert_array_equal(feature.residual(FRAMES), [0.0, 0.0])
    np.testing.assert_array_equal(feature.alarm(FRAMES), [False, False])


def test_a_zinger_counts_nothing() -> None:
    feature = TotalFeature(FrameAxes.channels((5, 5)), masks=False)
    frame = np.full((1, 25), 2.0)
    struck = frame.copy()
    struck[0, 12] = 5000.0
    np.testing.assert_array_equal(feature.transform(struck), feature.transform(frame))


@pytest.mark.parametrize("method", ["partial_fit", "transform", "residual", "alarm"])
def test_every_method_refuses_patterns_of_another_size(method: str) -> None:
    feature = LinearFeature("total", np.ones(6), (2, 3))
    with pytest.raises(ValueError, match=r"shape \(n_points, 6\), got \(2, 5\); flatten"):
        getattr(feature, method)(np.zeros((2, 5)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_dead_frames_are_refused_by_their_row(value: float) -> None:
    values = np.zeros((4, 6))
    values[2, 5] = value
    with pytest.raises(ValueError, match="got NaN or infinity in row 2; measure a dead frame"):
        checked_patterns(values, 6)
