"""What the watch makes of an image: blank, uncut, cut twice, its depth and its drift."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.slicing import TrackingMarks
from bl_steer.slicing.watch import CUT_TWICE, UNCUT, Judgement, SliceWatch

PITCH_NM, PIXEL_NM = 100.0, 10.0
SLANTED = TrackingMarks((0, 40), (0, 60), (60, 120), slope=1.0, specimen_from=40)


def watch(marks: TrackingMarks | None = None) -> SliceWatch:
    return SliceWatch(PIXEL_NM, PITCH_NM, marks)


def test_an_image_of_one_grey_level_is_blank_and_tells_nothing_else() -> None:
    judgement = watch().judge(np.full((64, 64), 7, np.uint8))
    assert judgement.blank
    assert math.isnan(judgement.spacing_nm)
    assert math.isnan(judgement.drift_y_nm)


def test_the_first_image_has_no_drift_and_no_spacing(stack: Any) -> None:
    judgement = watch(stack.marks).judge(stack.images[0])
    assert (judgement.drift_y_nm, judgement.drift_x_nm) == (0.0, 0.0)
    assert math.isnan(judgement.spacing_nm)
    assert not judgement.blank


def test_the_next_image_is_judged_by_its_marks(stack: Any) -> None:
    eye = watch(stack.marks)
    eye.accept(stack.images[0], eye.judge(stack.images[0]), 0)
    judgement = eye.judge(stack.images[1])
    true_nm = stack.views[1].z_nm - stack.views[0].z_nm
    assert judgement.spacing_nm == pytest.approx(true_nm, abs=10.0)
    drift_nm = PIXEL_NM * stack.drift_px[1]
    assert (judgement.drift_y_nm, judgement.drift_x_nm) == pytest.approx(drift_nm, abs=5.0)
    assert not eye.uncut(judgement)
    assert eye.lost_between(judgement, 1) == 0
    row = eye.accept(stack.images[1], judgement, 1)
    assert row.z_nm == judgement.spacing_nm
    assert row.nominal_z_nm == PITCH_NM


def test_the_same_face_again_is_uncut(stack: Any) -> None:
    eye = watch(stack.marks)
    eye.accept(stack.images[0], eye.judge(stack.images[0]), 0)
    again = eye.judge(stack.images[0])
    assert eye.uncut(again)
    assert again.spacing_nm == pytest.approx(0.0, abs=1e-6)
    assert again.correlation == pytest.approx(1.0)


@given(share=st.floats(0.0, 3.0))
def test_a_face_is_uncut_below_the_limit_alone(share: float) -> None:
    judgement = Judgement(spacing_nm=share * PITCH_NM)
    assert watch().uncut(judgement) == (share * PITCH_NM < UNCUT * PITCH_NM)


def test_what_cannot_be_told_is_neither_uncut_nor_lost() -> None:
    for marks in (None, SLANTED):
        assert not watch(marks).uncut(Judgement())
        assert watch(marks).lost_between(Judgement(), 1) == 0


@pytest.mark.parametrize(
    ("pitches", "gap", "lost"),
    [(1.5, 1, 0), (1.7, 1, 1), (2.2, 1, 1), (3.1, 1, 2), (2.6, 2, 0), (3.0, 2, 1)],
)
def test_slices_lost_are_counted_by_the_marks(pitches: float, gap: int, lost: int) -> None:
    judgement = Judgement(spacing_nm=pitches * PITCH_NM)
    assert watch(SLANTED).lost_between(judgement, gap) == lost


def test_without_slanted_marks_a_loss_must_be_plainer() -> None:
    between = 0.5 * (CUT_TWICE[True] + CUT_TWICE[False])
    judgement = Judgement(spacing_nm=between * PITCH_NM)
    assert watch(SLANTED).lost_between(judgement, 1) == 1
    assert watch().lost_between(judgement, 1) == 0


@given(
    gap=st.integers(1, 20),
    pitches=st.floats(0.0, 40.0),
    marks=st.sampled_from([None, SLANTED]),
)
def test_a_loss_is_never_negative_and_grows_with_the_spacing(
    gap: int, pitches: float, marks: TrackingMarks | None
) -> None:
    eye = watch(marks)
    near = eye.lost_between(Judgement(spacing_nm=pitches * PITCH_NM), gap)
    far = eye.lost_between(Judgement(spacing_nm=(pitches + 1.0) * PITCH_NM), gap)
    assert 0 <= near <= far


def test_depths_add_up_by_the_marks_and_are_nominal_where_these_cannot_tell() -> None:
    image, eye = np.zeros((160, 160)), watch(SLANTED)
    depths = [
        eye.accept(image, Judgement(spacing_nm=spacing), number, gap).z_nm
        for number, gap, spacing in ((0, 1, math.nan), (1, 1, 90.0), (4, 3, math.nan))
    ]
    assert depths == [0.0, 90.0, 390.0]


def test_without_slanted_marks_depths_are_nominal() -> None:
    image, eye = np.zeros((64, 64)), watch()
    rows = [eye.accept(image, Judgement(spacing_nm=80.0), number) for number in (0, 1, 3)]
    assert [row.z_nm for row in rows] == [0.0, 100.0, 300.0]
    assert [row.spacing_nm for row in rows] == [80.0] * 3


def test_an_accepted_image_is_kept_as_it_was_and_the_first_stays_the_reference() -> None:
    eye, first = watch(), np.arange(12.0).reshape(3, 4)
    eye.accept(first, Judgement(drift_y_nm=1.0, drift_x_nm=2.0), 0)
    eye.accept(first + 1.0, Judgement(drift_y_nm=3.0, drift_x_nm=4.0), 1)
    first[:] = 0.0
    assert eye.reference is not None
    assert eye.previous is not None
    np.testing.assert_array_equal(eye.reference.ravel(), np.arange(12.0))
    np.testing.assert_array_equal(eye.previous.ravel(), np.arange(1.0, 13.0))
    np.testing.assert_array_equal(eye.previous_nm, [3.0, 4.0])
