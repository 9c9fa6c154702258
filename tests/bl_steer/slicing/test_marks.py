"""Tracking marks: what can be registered, and how a run carries them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bl_steer.slicing import TrackingMarks


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({"rows": (0, 8), "straight": (0, 40)}, r"rows must be an interval of 16 px .* \(0, 8\)"),
        ({"rows": (0, 40), "straight": (0, 40), "slanted": (40, 80)}, "slope of slanted marks"),
    ],
)
def test_marks_that_cannot_be_registered_are_refused(marks: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrackingMarks(**marks)
    with pytest.raises(ValueError, match="marks must lie within the images"):
        TrackingMarks((0, 40), (0, 80)).check((64, 64))


@pytest.mark.parametrize("slanted", [None, (40, 80)])
def test_marks_survive_a_runs_start_document(slanted: tuple[int, int] | None) -> None:
    marks = TrackingMarks((0, 40), (0, 40), slanted, slope=0.5, specimen_from=44)
    assert TrackingMarks.from_dict(json.loads(json.dumps(marks.to_dict()))) == marks


def test_all_that_is_wrong_with_marks_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"rows must .*straight must .*_from must .*-1"):
        TrackingMarks((0, 8), (30, 20), specimen_from=-1)


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf")])
def test_slanted_marks_without_a_slope_are_refused(slope: float) -> None:
    with pytest.raises(ValueError, match="must be finite and not 0"):
        TrackingMarks((0, 40), (0, 40), (40, 80), slope=slope)


def test_marks_that_fill_the_image_fit_and_one_pixel_less_does_not() -> None:
    marks = TrackingMarks((0, 40), (0, 40), (40, 80), slope=1.0, specimen_from=40)
    marks.check((48, 80))
    for shape, said in (((39, 80), "within the images"), ((48, 79), "within the images"),
                        ((47, 80), "8 rows of specimen at least")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            marks.check(shape)


def test_marks_keep_to_rows_that_were_stretched() -> None:
    marks = TrackingMarks((4, 40), (0, 40), (40, 80), slope=0.5, specimen_from=43)
    stretched = TrackingMarks((5, 50), (0, 40), (40, 80), slope=0.5, specimen_from=54)
    assert marks.stretched(1.25) == stretched
