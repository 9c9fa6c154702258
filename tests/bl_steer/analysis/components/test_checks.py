"""What is no map is refused with what is wrong and the remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis.components import ComponentParams
from bl_steer.analysis.components.checks import checked_arrays, checked_axes, warnings_for
from bl_steer.protocols import Inputs


def a_map(metadata: dict[str, Any] | None = None, **arrays: NDArray[Any]) -> Inputs:
    """Four points with patterns of six pixels."""
    own = {"patterns": np.ones((4, 6)), "x": np.arange(4.0), "y": np.arange(4.0)}
    return Inputs({**own, **arrays}, metadata or {})


def test_a_map_without_positions_is_refused_by_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"got \['patterns'\]; add x, y"):
        checked_arrays(Inputs({"patterns": np.ones((4, 6))}))


@pytest.mark.parametrize(
    "arrays",
    [
        {"patterns": np.ones((2, 2, 6))},
        {"patterns": np.ones((0, 6))},
        {"x": np.arange(3.0)},
        {"y": np.ones((4, 1))},
    ],
    ids=["frames", "no points", "x too short", "y of two dimensions"],
)
def test_arrays_that_do_not_belong_together_are_refused(arrays: dict[str, NDArray[Any]]) -> None:
    with pytest.raises(ValueError, match="give one row, x and y for each point"):
        checked_arrays(a_map(**arrays))


@pytest.mark.parametrize(
    ("cells", "value", "text"),
    [
        ((2, slice(None)), np.nan, "got point 2 without any; leave out the points of dead frames"),
        ((2, 3), np.inf, "got infinity; leave out"),
    ],
)
def test_points_without_a_number_are_refused(
    cells: tuple[Any, ...], value: float, text: str
) -> None:
    patterns = np.ones((4, 6))
    patterns[cells] = value
    with pytest.raises(ValueError, match=text):
        checked_arrays(a_map(patterns=patterns))


def test_a_place_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="x and y must be finite"):
        checked_arrays(a_map(x=np.array([0.0, 1.0, np.nan, 3.0])))


def test_counts_become_floating_point_numbers() -> None:
    arrays = checked_arrays(a_map(patterns=np.ones((4, 6), np.uint16)))
    assert arrays["patterns"].dtype == np.float64


@pytest.mark.parametrize(
    ("inputs", "shape", "unit"),
    [
        (a_map(), (1, 6), "channel"),
        (a_map({"frame_shape": [2, 3]}), (2, 3), "channel"),
        (a_map(qx=np.arange(3.0), qz=np.arange(2.0)), (2, 3), "1/Å"),
        (a_map({"axis_unit": "deg"}, qx=np.arange(6.0), qz=np.zeros(1)), (1, 6), "deg"),
    ],
)
def test_pixels_have_the_axes_that_the_map_names(
    inputs: Inputs, shape: tuple[int, int], unit: str
) -> None:
    axes = checked_axes(inputs, checked_arrays(inputs))
    assert axes.shape == shape
    assert axes.unit == unit


def test_axes_of_other_frames_are_refused() -> None:
    inputs = a_map(qx=np.arange(4.0), qz=np.arange(2.0))
    with pytest.raises(ValueError, match=r"got 6 for 2 x 4; give qx and qz of these frames"):
        checked_axes(inputs, checked_arrays(inputs))


def test_a_lost_reference_is_named_with_the_nearest_likeness() -> None:
    table = {"is_reference": np.zeros(2, bool), "reference_cosine": np.array([0.1, 0.42])}
    (warning,) = warnings_for(table, ComponentParams(reference="x=0.9"))
    assert "largest cosine 0.42" in warning
    assert "ask for more components" in warning
    assert warnings_for(table, ComponentParams()) == []
