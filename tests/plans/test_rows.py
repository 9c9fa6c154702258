"""Rows: one column a field, without those of axes that there are not."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.diffraction import FrameAxes
from bl_steer.steering import build_steering
from plans.stubs.rows import Row

ALL = {"x", "y", "z"} | {f"{of}_{name}" for of in ("best", "runner_up") for name in "xyz"}
GRID = {name: [0.0, 5.0, 10.0] for name in "xyz"}


@pytest.mark.parametrize("axes", ["x", "xy", "xyz"])
def test_a_decision_has_columns_for_the_axes_that_there_are(axes: str) -> None:
    settings = {
        "target": "total",
        "agent": "bayesian",
        "agent_options": {},
        "seed": 0,
        "budget": 3,
        "grid": {name: GRID[name] for name in axes},
    }
    row = Row("decision", axes=tuple(axes))
    row.value = build_steering(settings, FrameAxes.channels((1, 1))).decide()
    reading, described = row.read(), row.describe()
    assert set(reading) == set(described)
    assert ALL & set(reading) == {name for name in ALL if name[-1] in axes}
    assert all(np.isfinite(reading[name]["value"]) for name in axes)


def test_a_row_that_names_no_axes_has_all_columns() -> None:
    row = Row("decision")
    row.value = build_steering(
        {
            "target": "total",
            "agent": "raster",
            "agent_options": {},
            "seed": 0,
            "budget": 3,
            "grid": GRID,
        },
        FrameAxes.channels((1, 1)),
    ).decide()
    assert set(row.read()) >= ALL
