"""Tracking marks that a user tells: a box in the image of the file, and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis import digest_of
from bl_steer.analysis.slices.analysis import AlignParams, AlignSlices
from bl_steer.protocols import AnalysisResult, Inputs

KNOWN = {"pixel_size_nm": 10.0, "pitch_nm": 100.0}
NOTCHES, SPECIMEN = (6, 0, 116, 58), 76
"""Around the straight notches of the stack; and its specimen's first row."""


def aligned(stack: Any, n: int = 4, known: Any = KNOWN, **params: Any) -> AnalysisResult:
    inputs = Inputs({"slices": np.stack(stack.images[:n])}, known)
    return AlignSlices().run(inputs, AlignParams(**params))


def drift(result: AnalysisResult) -> Any:
    table = result.tables["slices"]
    return np.stack([table["displacement_y_px"], table["displacement_x_px"]], axis=1)


def test_a_box_that_is_told_does_what_marks_of_a_run_do(stack: Any) -> None:
    result = aligned(stack, marks=NOTCHES, specimen_from=SPECIMEN)
    straight = replace(stack.marks, slanted=None, slope=0.0)
    recorded = aligned(stack, known={**KNOWN, "marks": straight.to_dict()})
    np.testing.assert_array_equal(result.arrays["slices"], recorded.arrays["slices"])
    np.testing.assert_array_equal(drift(result), drift(recorded))
    assert np.abs(drift(result) - stack.drift_px[:4]).max() < 0.5
    assert result.warnings == recorded.warnings == ()
    assert digest_of(result) != digest_of(recorded)  # the parameters are others


def test_a_box_that_is_told_goes_before_a_recorded_one(stack: Any) -> None:
    wrong = replace(stack.marks, rows=(150, 200), slanted=None, slope=0.0)
    known = {**KNOWN, "marks": wrong.to_dict()}
    result = aligned(stack, n=3, known=known, marks=NOTCHES, specimen_from=SPECIMEN)
    assert np.abs(drift(result) - stack.drift_px[:3]).max() < 0.5


def test_the_specimen_begins_below_the_box_where_nobody_says_otherwise(stack: Any) -> None:
    result = aligned(stack, n=2, marks=NOTCHES)
    assert result.provenance["window"][0][0] == 58
    (note,) = result.warnings
    assert "from row 58 on, is taken as the specimen; give specimen_from" in note


def test_a_layer_without_marks_is_left_out_too_in_rows_of_the_file(stack: Any) -> None:
    result = aligned(stack, n=2, columns_deg=52.0, specimen_from=64)
    (top, _), _ = result.provenance["window"]
    assert top == 82  # 64 / sin 52°, rounded up


@pytest.mark.parametrize("first", [249, 256])
def test_rows_of_specimen_must_be_left(stack: Any, first: int) -> None:
    with pytest.raises(ValueError, match=rf"must leave 8 of the 256 rows .* got {first}; give"):
        aligned(stack, specimen_from=first)
    with pytest.raises(ValueError, match=rf"8 rows of specimen .* from row {first} on .* smaller"):
        aligned(stack, marks=NOTCHES, specimen_from=first)
    assert aligned(stack, n=2, specimen_from=248).arrays["slices"].shape[1] == 8


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((6, 0, 8, 58), "marks must be a box X,Y,WIDTH,HEIGHT of 16 px at least .* got 6,0,8,58"),
        ((-1, 0, 80, 58), "got -1,0,80,58; draw it anew"),
        ((6, 220, 116, 58), "above a data bar, got marks in columns 6 to 122, rows 220 to 278"),
        ((200, 0, 80, 58), "for images of 256 rows and 256 columns"),
        ((6, 76, 116, 60), "slices are unlike the first, 0 .correlation 0.* draw it anew"),
    ],
)
def test_a_box_without_marks_is_refused(stack: Any, box: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aligned(stack, n=3, marks=box)


def test_a_box_of_one_grey_level_is_refused(stack: Any) -> None:
    images = np.stack(stack.images[:3])
    images[:, :58] = 200
    inputs = Inputs({"slices": images}, KNOWN)
    with pytest.raises(ValueError, match=r"2 of 2 slices are unlike .* 0\.00 in the median"):
        AlignSlices().run(inputs, AlignParams(marks=NOTCHES, specimen_from=SPECIMEN))


def test_an_edge_along_x_is_no_mark(stack: Any) -> None:
    images = np.stack(stack.images[:4])
    images[:, :30], images[:, 30:58] = 40, 200
    images = images + np.random.default_rng(0).integers(0, 20, images.shape).astype(np.uint8)
    inputs = Inputs({"slices": images}, KNOWN)
    with pytest.raises(ValueError, match="slices are unlike the first"):
        AlignSlices().run(inputs, AlignParams(marks=NOTCHES, specimen_from=SPECIMEN))


def test_a_slice_that_does_not_show_the_marks_is_named(stack: Any) -> None:
    images = np.stack(stack.images[:4])
    images[2, :58] = np.random.default_rng(0).integers(100, 200, (58, 256))
    inputs = Inputs({"slices": images}, {**KNOWN, "slice_files": [f"s{k}.tif" for k in range(4)]})
    result = AlignSlices().run(inputs, AlignParams(marks=NOTCHES, specimen_from=SPECIMEN))
    (warning,) = result.warnings
    assert warning.startswith("the marks are not found again in slices 2 (s2.tif): how far")


def test_slanted_notches_that_are_taken_for_straight_ones_are_told(stack: Any) -> None:
    result = aligned(stack, n=7, marks=(134, 0, 116, 58), specimen_from=SPECIMEN)
    (warning,) = result.warnings
    assert "px from slice to slice along x, as it does where their notches are slanted" in warning
