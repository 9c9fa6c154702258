"""What is refused before an advice, and what the user is told of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.analysis.advice.checks import checked_points, value_name, warnings_for
from bl_steer.protocols import Inputs

CORNERS = {"x": [0.0, 1.0, 0.0, 1.0], "y": [0.0, 0.0, 1.0, 1.0], "value": [1.0, 2.0, 3.0, 4.0]}


def inputs(source: dict[str, Any] | None = None, **columns: list[float]) -> Inputs:
    arrays = {key: np.array(column) for key, column in {**CORNERS, **columns}.items()}
    return Inputs(arrays, source=source or {})


def warnings(
    measured: Inputs, *, learnt: int = 4, suggested: int = 2, requested: int = 2
) -> list[str]:
    points = checked_points(measured)
    return list(
        warnings_for(
            points,
            measured,
            np.arange(len(points["x"])) < learnt,
            {"x": np.zeros(suggested)},
            requested,
            Space.grid([0.0, 1.0], [0.0, 1.0]),
        )
    )


def test_points_without_one_of_the_columns_are_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"must have x, y and value, got x, y; value is missing"):
        checked_points(Inputs({key: np.zeros(4) for key in ("x", "y")}))


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have one length, got shapes \[\(3,\), \(4,\)\]"):
        checked_points(inputs(value=[1.0, 2.0, 3.0]))


def test_fewer_than_three_finite_points_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 3 points .* got 2 of 4; measure some first"):
        checked_points(inputs(value=[1.0, np.nan, np.inf, 2.0]))


def test_a_point_counts_only_if_all_of_it_is_finite() -> None:
    points = checked_points(inputs(x=[0.0, np.nan, 0.0, 1.0]))
    assert points["value"].tolist() == [1.0, 3.0, 4.0]


def test_a_value_that_is_alone_is_named_by_its_place_which_left_out_rows_do_not_shift() -> None:
    values = [np.nan, *np.linspace(1.0, 2.0, 20), 900.0]
    x, y = np.arange(22) * 2.5 + 12345.25, np.zeros(22)
    (alone,) = (said for said in warnings(inputs(x=x, y=y, value=values)) if "alike" in said)
    assert alone.startswith("Of the values, that at (12397.75, 0) gave 900, and the other 20 gave")
    assert alone.endswith("or leave its row out where it is no signal.")


def test_few_points_are_told_and_points_that_were_left_out_too() -> None:
    left_out, few = warnings(inputs(value=[1.0, np.nan, 3.0, 4.0]))
    assert left_out == "1 point without a finite x, y or value was left out."
    assert few.startswith("There are only 3 points")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learnt": 3}, "The map was learnt from 3 of the 4 points"),
        ({"suggested": 1}, "Only 1 of 2 points are suggested: the others of the 4 places"),
        ({"suggested": 0}, "Nothing is left to suggest: all of the 4 places"),
    ],
)
def test_what_limits_an_advice_is_told(options: dict[str, int], words: str) -> None:
    assert any(text.startswith(words) for text in warnings(inputs(), **options))


def test_columns_under_other_names_are_told_and_name_the_values() -> None:
    columns = {"x": "x_um", "y": "y", "value": "counts"}
    (read, _) = warnings(inputs({"columns": columns}))
    assert read == "Columns taken: x from 'x_um', y from 'y', value from 'counts'."
    assert value_name(inputs({"columns": columns})) == "counts"
    assert value_name(inputs()) == "value"


def test_columns_under_their_own_names_are_nothing_to_tell() -> None:
    columns = {"x": "X", "y": "y ", "value": "Value"}
    assert not any("Columns" in text for text in warnings(inputs({"columns": columns})))


def test_places_that_were_measured_twice_tell_the_noise() -> None:
    twice = inputs(x=[0.0, 0.0, 1.0, 1.0], y=[0.0, 0.0, 1.0, 0.0], value=[1.0, 3.0, 3.0, 4.0])
    note = warnings(twice)[-1]
    assert "1 place was measured more than once, with values that scatter by 1.414" in note
    same = inputs(x=[0.0, 0.0, 1.0, 1.0], y=[0.0, 0.0, 1.0, 0.0], value=[3.0, 3.0, 1.0, 4.0])
    assert not any("more than once" in warning for warning in warnings(same))
