"""Forbidden zones on axes of unlike units: a circle means nothing there, an ellipse does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.agents.zones import Zone, read_zones

GRIDS = {
    "µm and mm": {
        "x": {"start": 0, "stop": 150, "num": 31},
        "y": {"start": 0, "stop": 0.1, "num": 21},
    },
    "µm and degrees": {
        "x": {"start": 0, "stop": 150, "num": 31},
        "y": {"start": -1, "stop": 1, "num": 41},
    },
}
ONE_UNIT = {
    "square": ([0, 5, 10, 15], [0, 5, 10]),
    "a strip": (np.arange(0, 500, 5), np.arange(0, 20, 5)),
    "steps unlike": (np.arange(0, 100, 20), np.arange(0, 100, 1)),
    "a line": (np.arange(0, 100, 20), [3.0]),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_circle_on_unlike_axes_is_refused_with_an_ellipse(grid: dict[str, Any]) -> None:
    space = Space.from_dict(grid)
    with pytest.raises(
        ValueError, match=r"circle must lie on axes of one unit, got .* write an ell"
    ):
        space.forbid([{"circle": [75, 0.05, 15]}])
    forbidden = space.forbid([{"ellipse": [75, 0.05, 15, 0.01]}])
    assert not forbidden.in_no_zone(np.array([[85.0, 0.055]]))[0]
    assert forbidden.in_no_zone(np.array([[85.0, 0.065], [95.0, 0.05]])).all()
    assert Space.from_dict(forbidden.to_dict()).forbidden == forbidden.forbidden


def test_a_run_recorded_with_a_circle_there_is_still_read() -> None:
    recorded = {**GRIDS["µm and mm"], "forbidden": [{"circle": [75, 0.05, 15]}]}
    assert Space.from_dict(recorded).forbidden == read_zones(
        [{"circle": [75, 0.05, 15]}], ("x", "y")
    )


@pytest.mark.parametrize(("x", "y"), ONE_UNIT.values(), ids=ONE_UNIT)
def test_a_circle_on_axes_that_may_have_one_unit_is_taken(x: Any, y: Any) -> None:
    assert Space.grid(x, y).forbid([{"circle": [0, 3, 2]}]).forbidden


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e9])
@pytest.mark.parametrize(
    "written",
    [{"box": [[20, 30], [40, 60]]}, {"ellipse": [30, 45, 12, 9]}],
)
def test_a_zone_is_the_same_in_any_units(written: dict[str, Any], scale: float) -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(0.0, 80.0, (300, 2))
    ((kind, values),) = written.items()
    units = np.array([scale, 1.0 / scale])
    scaled = np.array(values) * (np.tile(units, 2) if kind == "ellipse" else units)
    (one,) = read_zones([written], ("x", "y"))
    (other,) = read_zones([{kind: scaled.tolist()}], ("x", "y"))

    def told(zone: Zone, by: Any) -> list[Any]:
        moved = points * by
        ways = [zone.crossed_by(a, b) for a, b in zip(moved[::2], moved[1::2], strict=True)]
        boxes = np.sort(moved.reshape(-1, 2, 2), axis=1)
        return [
            zone.contains(moved).tolist(),
            ways,
            zone.meets_boxes(boxes[:, 0], boxes[:, 1]).tolist(),
        ]

    assert told(one, 1.0) == told(other, units)
    assert any(told(one, 1.0)[0])


@pytest.mark.parametrize("radii", [[1, 0], [1, -1]])
def test_an_ellipse_without_an_inside_is_refused(radii: list[float]) -> None:
    with pytest.raises(ValueError, match="radii of an ellipse must be above 0"):
        read_zones([{"ellipse": [0, 0, *radii]}], ("x", "y"))
