"""Tracking marks: what can be registered, and how a run carries them."""

from __future__ import annotations

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
