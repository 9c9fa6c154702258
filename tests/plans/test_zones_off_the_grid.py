"""A forbidden zone in other units than the axes protects nothing, and is told."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from plans.stubs.axes import grid_of

MM = {"x": {"start": 0.0, "stop": 1.5, "num": 4}, "y": {"start": 0.0, "stop": 1.5, "num": 4}}


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ({"circle": [900.0, 400.0, 200.0]}, True),
        ({"box": [[-3.0, -3.0], [-1.0, -1.0]]}, True),
        ({"polygon": [[2.0, 0.0], [3.0, 0.0], [3.0, 1.0]]}, True),
        ({"circle": [0.25, 0.25, 0.05]}, False),  # between the points: ways go round it
        ({"box": [[-1.0, 0.9], [0.2, 3.0]]}, False),
    ],
)
def test_zones_that_meet_no_part_of_the_grid_are_told(
    zone: dict[str, Any], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        grid_of(MM, [zone])
    assert any("lies off the grid" in text for text in caplog.messages) == told
