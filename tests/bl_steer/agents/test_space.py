"""The frozen candidate set: geometry, look-up, and the errors that a user may meet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.agents.space import Space


def test_grid_runs_along_x_first() -> None:
    space = Space.grid([0.0, 5.0, 10.0], [100.0, 120.0])
    assert space.shape == (2, 3)
    assert space.points[:4].tolist() == [[0, 100], [5, 100], [10, 100], [0, 120]]
    assert space.bounds.tolist() == [[0, 100], [10, 120]]


def test_pitch_of_a_grid_is_its_smallest_spacing_and_extent_its_longer_side() -> None:
    space = Space.grid([0.0, 10.0, 14.0], [0.0, 30.0])
    assert space.pitch == 4.0
    assert space.extent == 30.0


def test_pitch_of_scattered_points_is_the_median_distance_to_a_neighbour() -> None:
    space = Space.scattered([0.0, 1.0, 10.0, 20.0, 30.0], np.zeros(5))
    assert space.shape is None
    assert space.pitch == 9.0


def test_a_line_scan_is_a_space_too() -> None:
    space = Space.grid(np.arange(5.0), [7.0])
    assert (space.shape, space.pitch, space.extent) == ((1, 5), 1.0, 4.0)


def test_a_space_cannot_be_changed() -> None:
    space = Space.grid([0.0, 1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="read-only"):
        space.points[0, 0] = 3.0


def test_later_changes_of_the_callers_array_do_not_reach_the_space() -> None:
    x = np.array([0.0, 1.0])
    space = Space.scattered(x, x)
    x[0] = 9.0
    assert space.points[0].tolist() == [0.0, 0.0]


@given(st.integers(0, 11), st.floats(-0.49, 0.49), st.floats(-0.49, 0.49))
def test_index_of_finds_the_cell_whose_square_holds_the_point(
    cell: int, dx: float, dy: float
) -> None:
    space = Space.grid(np.arange(4.0), np.arange(3.0))
    x, y = space.points[cell] + (dx, dy)
    assert space.index_of(x, y) == cell
    assert space.cell_of(x, y) == cell


def test_a_point_between_cells_belongs_to_none() -> None:
    assert Space.scattered([0.0, 1.0, 5.0], np.zeros(3)).cell_of(3.0, 0.0) is None


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0], [0.0], "at least 2 points, got 1"),
        ([0.0, np.nan], [0.0], "x must be finite everywhere, got nan at index 1"),
        ([0.0, 0.0], [0.0], "x of a grid must be distinct, got 0 2 times"),
        ([[0.0, 1.0]], [0.0], r"x must be one-dimensional, got shape \(1, 2\)"),
    ],
)
def test_a_bad_grid_is_refused_with_its_value(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Space.grid(x, y)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0, 1.0], [0.0], "one length, got 2 and 1"),
        ([1.0, 2.0, 1.0], [0.0, 0.0, 0.0], "scattered points must be distinct, got 1, 0 2 times"),
        ([], [], "at least 2 points, got 0"),
    ],
)
def test_bad_scattered_points_are_refused_with_their_value(
    x: list[float], y: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Space.scattered(x, y)


def test_equal_spaces_have_equal_fingerprints() -> None:
    grid = Space.grid([0.0, 1.0], [0.0, 1.0])
    same = Space.scattered([0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0])
    other = Space.grid([0.0, 1.0], [0.0, 2.0])
    assert grid.fingerprint == same.fingerprint != other.fingerprint
