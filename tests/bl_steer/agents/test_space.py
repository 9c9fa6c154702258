"""The frozen candidate set: geometry, look-up, and the errors that a user may meet."""

from __future__ import annotations

import json
from typing import Any

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


AXES = {"x": [0.0, 5.0, 10.0], "y": [100.0, 120.0], "z": [-1.0, 0.0, 1.0, 2.0]}


@pytest.mark.parametrize(("n_axes", "shape"), [(1, (3,)), (2, (2, 3)), (3, (4, 2, 3))])
def test_a_grid_has_one_two_or_three_axes(n_axes: int, shape: tuple[int, ...]) -> None:
    names = tuple(AXES)[:n_axes]
    space = Space.grid(*(AXES[name] for name in names))
    assert (space.names, space.shape) == (names, shape)
    assert space.points.shape == (len(space), n_axes)
    assert space.bounds.shape == (2, n_axes)
    assert space.points[:3, 0].tolist() == AXES["x"]
    for column, name in enumerate(names):
        assert space.axis(name).tolist() == AXES[name]
        mesh = space.points[:, column].reshape(shape)
        assert np.array_equal(
            np.moveaxis(mesh, n_axes - 1 - column, -1)[(0,) * (n_axes - 1)], AXES[name]
        )


@pytest.mark.parametrize("n_axes", [1, 2, 3])
@pytest.mark.parametrize("scattered", [False, True])
def test_a_space_survives_json_on_any_axes(n_axes: int, scattered: bool) -> None:
    rng = np.random.default_rng(n_axes)
    make = Space.scattered if scattered else Space.grid
    space = make(*rng.uniform(0, 100, (n_axes, 4)))
    again = Space.from_dict(json.loads(json.dumps(space.to_dict())))
    assert np.array_equal(again.points, space.points)
    assert (again.shape, again.pitch, again.names) == (space.shape, space.pitch, space.names)


@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_a_snake_visits_every_point_once_and_goes_from_neighbour_to_neighbour(n_axes: int) -> None:
    space = Space.grid(*(np.arange(n) * 5.0 for n in (4, 3, 5)[:n_axes]))
    path = space.snake()
    assert sorted(map(tuple, path)) == sorted(map(tuple, space.points))
    assert (np.abs(np.diff(path, axis=0)).sum(axis=1) == 5.0).all()


@pytest.mark.parametrize(
    "written",
    [
        {"start": 0, "stop": 0.3, "num": 4},
        {"start": 0, "stop": 0.3, "step": 0.1},
        {"start": 0, "stop": 0.35, "step": 0.1},
        [0.0, 0.1, 0.2, 0.3],
    ],
)
def test_a_person_may_write_an_axis_as_a_range(written: Any) -> None:
    space = Space.from_dict({"x": written})
    np.testing.assert_allclose(space.axis("x"), [0.0, 0.1, 0.2, 0.3], atol=1e-12)


def test_a_range_may_run_downwards() -> None:
    assert Space.from_dict({"x": {"start": 2, "stop": 0, "step": -1}}).axis("x").tolist() == [
        2,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([0, 1], r"must be a mapping with x, y, z, got \[0, 1\]; try"),
        ({}, "got nothing; rename"),
        ({"x": [0, 1], "theta": [0, 1]}, "got 'x', 'theta'; rename or remove"),
        ({"y": [0, 1]}, "got 'y'; rename"),
        ({"x": [0, 1], "z": [0, 1]}, "got 'x', 'z'; rename"),
        ({"x": [0, 1], "scattered": "no"}, "scattered must be true or false, got 'no'"),
        ({"x": {"start": 0, "stop": 1}}, "a range of x must have .*, got 'start', 'stop'; write"),
        ({"x": {"start": 0, "stop": 1, "num": 2.5}}, "num of x must be a whole number .* got 2.5"),
        ({"x": {"start": 0, "stop": 1, "step": 0}}, "step of x must lead from 0 to 1, got 0"),
        ({"x": {"start": 0, "stop": 1, "step": -1}}, "step of x must lead from 0 to 1, got -1"),
        ({"x": {"start": 0, "stop": None, "step": 1}}, "stop of x must be a finite .* got None"),
        ({"x": {"start": 0, "stop": 1e9, "step": 1e-9}}, "x must have at most 1000000 positions"),
        (
            {"x": {"start": 0, "stop": 1, "num": 1}},
            "num of x must be 2 or more to reach from 0 to 1",
        ),
        ({"x": {"start": 0, "stop": 9, "num": 10**7}}, "at most 1000000 positions, got 10000000"),
        ({"x": ["left", "right"]}, r"x must be a list of numbers, got \['left', 'right'\]"),
    ],
)
def test_a_space_written_wrongly_is_refused_with_value_and_remedy(
    written: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Space.from_dict(written)


def test_a_space_of_too_many_points_is_refused() -> None:
    axis = np.arange(101.0)
    with pytest.raises(ValueError, match="at most 1000000 points, got 1030301; narrow"):
        Space.grid(axis, axis, axis)


def test_a_third_axis_needs_a_second() -> None:
    with pytest.raises(ValueError, match="with z must have y as well, got none"):
        Space.grid([0, 1], z=[0, 1])
