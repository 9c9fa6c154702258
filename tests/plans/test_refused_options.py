"""Options that cannot work are refused by name, and the first cause is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis, SynSignal

from bl_steer.steering import SuggestionError
from plans import find_hotspot, map_sample

LINE = {"x": {"start": 0, "stop": 100, "step": 10}}


class InUnits(SynAxis):
    """An axis that tells its unit, as motor records do."""

    unit = "mm"

    def describe(self) -> Any:
        return {key: entry | {"units": self.unit} for key, entry in super().describe().items()}


@pytest.mark.parametrize("unit", ["mm", "deg", "um", "µm", ""])
def test_the_grid_in_microns_is_for_axes_in_microns(
    unit: str, RE: RunEngine, documents: Any, counter: Any
) -> None:
    x, y = InUnits(name="mx"), InUnits(name="my")
    x.unit = y.unit = unit
    if unit in ("mm", "deg"):
        for plan in (find_hotspot, map_sample):
            with pytest.raises(ValueError, match=f"not in µm, got mx in {unit}, which the paper's"):
                RE(plan(counter, [x, y]))
        assert not documents.all
    else:
        RE(find_hotspot(counter, [x, y], budget=2))


@pytest.mark.parametrize(
    ("points", "problem"),
    [([50, 60], "50 is no list of numbers, such as"), ([["50"]], "is no list of numbers, such as")],
)
def test_points_that_are_no_positions_are_refused(
    points: Any, problem: str, RE: RunEngine, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    with pytest.raises(ValueError, match=problem):
        RE(map_sample(counter, axes[0], grid=LINE, points=points))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"exposure_s": "1"}, "exposure_s must be positive and finite, got '1'; try"),
        ({"min_monitor": "5"}, "min_monitor must be counts, 0 or more, got '5'; leave"),
    ],
)
def test_texts_are_no_numbers(
    options: dict[str, Any],
    problem: str,
    RE: RunEngine,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
) -> None:
    with pytest.raises(ValueError, match=problem):
        RE(find_hotspot(counter, axes[0], grid=LINE, **options))


def test_a_region_without_a_pixel_is_the_cause_that_is_told(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    det = SynSignal(func=lambda: np.arange(20.0).reshape(4, 5), name="det")
    with pytest.raises(ValueError, match=r"box 10,12,0,2 must hold a pixel of the frame's window"):
        RE(find_hotspot(det, axes[0], grid=LINE, target="roi:10,12,0,2"))
    assert "must hold a pixel" in documents.stop["reason"]
    assert documents.run.result is not None


class Sideways:
    """An agent that suggests a place on an axis that there is not."""

    def suggest(self, num_points: int | None = None) -> Sequence[Mapping[str, Any]]:
        return [{"_id": 0, "x": 50.0, "y": 3.0}]

    def ingest(self, points: Any) -> None:
        raise AssertionError("nothing is measured")


def test_an_agent_stays_on_the_axes_that_there_are(
    RE: RunEngine, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    with pytest.raises(SuggestionError, match=r"on the grid's axes, x, got y too; leave that out"):
        RE(find_hotspot(counter, axes[0], grid=LINE, agent=Sideways()))
