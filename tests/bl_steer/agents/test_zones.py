"""Forbidden zones: what lies in them, which ways cross them, and that no agent suggests them."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from bl_steer.agents import AGENT_NAMES, BayesianAgent, Space, SpaceExhausted, make_agent
from bl_steer.agents.ledger import Ledger
from bl_steer.agents.zones import Ball, Box, Polygon, Zone, read_zones
from bl_steer.protocols import Array, RemembersState

CASES = int(os.environ.get("BL_STEER_FUZZ_CASES", "60"))
"""Runs of 20 suggestions each; `make fuzz` asks for more."""
AXIS = np.arange(0.0, 35.0, 5.0)
NAMES = ("x", "y", "z")
coordinate = st.integers(-10, 40).map(float) | st.floats(-10, 40).map(lambda x: round(x, 6))


def positions(d: int) -> st.SearchStrategy[Array]:
    return st.lists(coordinate, min_size=d, max_size=d).map(np.array)


def boxes(d: int) -> st.SearchStrategy[dict[str, Any]]:
    corner = positions(d).map(list)
    return st.tuples(corner, corner).map(lambda pair: {"box": [*pair]})


def balls(d: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(positions(d), st.floats(0.5, 20)).map(lambda c: {"circle": [*c[0], c[1]]})


def ellipses(d: int) -> st.SearchStrategy[dict[str, Any]]:
    radii = st.lists(st.floats(0.5, 20), min_size=d, max_size=d)
    return st.tuples(positions(d), radii).map(lambda e: {"ellipse": [*e[0], *e[1]]})


POLYGONS = st.lists(positions(2).map(list), min_size=3, max_size=7).map(lambda c: {"polygon": c})


def zones(d: int) -> st.SearchStrategy[dict[str, Any]]:
    return boxes(d) | balls(d) | ellipses(d) | (POLYGONS if d == 2 else st.nothing())


def is_in(zone: Zone, *position: float) -> bool:
    return bool(zone.contains(np.array([position]))[0])


@pytest.mark.parametrize(
    ("zone", "inside", "outside"),
    [
        (
            {"box": [[10, 20], [0, 5]]},
            [(0, 5), (10, 20), (5, 5), (3, 7)],
            [(0, 4.999), (10.001, 9)],
        ),
        ({"circle": [3, 4, 5]}, [(0, 0), (3, 4), (8, 4), (6, 8)], [(0, -0.001), (7, 8)]),
        ({"ellipse": [3, 4, 5, 0.5]}, [(8, 4), (3, 4.5), (6, 4.4)], [(6, 4.41), (3, 4.6)]),
        ({"polygon": [[0, 0], [10, 0], [0, 10]]}, [(0, 0), (5, 5), (5, 0), (2, 3)], [(5.001, 5)]),
        (
            {"polygon": [[0, 0], [9, 0], [9, 9], [5, 1], [0, 9]]},
            [(5, 1), (8, 6)],
            [(5, 1.01)],
        ),
        # A star: the outline winds twice around the middle.
        ({"polygon": [[0, 10], [6, -8], [-9, 3], [9, 3], [-6, -8]]}, [(0, 0), (0, 8)], [(8, 8)]),
    ],
)
def test_a_zone_holds_its_inside_and_its_edge(
    zone: dict[str, Any], inside: list[Any], outside: list[Any]
) -> None:
    (read,) = read_zones([zone], ("x", "y"))
    assert [is_in(read, *p) for p in inside] == [True] * len(inside)
    assert [is_in(read, *p) for p in outside] == [False] * len(outside)
    assert read_zones([json.loads(json.dumps(read.to_dict()))], ("x", "y")) == (read,)


def test_an_edge_is_met_by_decimal_numbers_though_they_are_no_binary_ones() -> None:
    assert is_in(Box((0.0,), (0.3,)), 0.1 + 0.2)
    assert is_in(Ball((0.0, 0.0), 0.5), 0.3, 0.4)
    assert is_in(Polygon(((0.0, 0.0), (0.3, 0.1), (0.0, 0.1))), 0.15, 0.05)


def test_on_one_and_three_axes_boxes_and_circles_are_intervals_cuboids_and_spheres() -> None:
    interval, ball = read_zones([{"box": [[3], [1]]}, {"circle": [7, 1]}], ("x",))
    assert [is_in(interval, x) for x in (0.9, 1, 2, 3, 3.1)] == [False, True, True, True, False]
    assert [is_in(ball, x) for x in (5.9, 6, 8, 8.1)] == [False, True, True, False]
    cuboid, sphere = read_zones([{"box": [[0, 0, 0], [1, 2, 3]]}, {"circle": [0, 0, 0, 3]}], NAMES)
    assert [is_in(cuboid, 1, 2, z) for z in (3, 3.1)] == [True, False]
    assert [is_in(sphere, 1, 2, z) for z in (2, 2.1)] == [True, False]


@given(POLYGONS, positions(2))
def test_a_polygon_agrees_with_matplotlibs_where_it_does_not_cross_itself(
    written: dict[str, Any], point: Array
) -> None:
    corners = np.array(written["polygon"])
    # Sorted around the middle, the corners make a star-shaped outline.
    middle = corners.mean(axis=0)
    angles = np.arctan2(*(corners - middle).T[::-1])
    corners = corners[np.argsort(angles)]
    assume(len(np.unique(angles)) == len(angles))
    polygon = Polygon(tuple((x, y) for x, y in corners.tolist()))
    assume(not is_on_a_side(polygon, point))
    assert is_in(polygon, *point) == Path(corners).contains_point(point)


def is_on_a_side(polygon: Polygon, point: Array) -> bool:
    ring = np.array([*polygon.corners, polygon.corners[0]])
    steps = np.linspace(0, 1, 400)[:, None]
    sides = np.concatenate([a + steps * (b - a) for a, b in pairwise(ring)])
    return bool(np.linalg.norm(sides - point, axis=1).min() < 0.2)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 3))
def test_a_way_crosses_a_zone_exactly_where_points_of_it_lie_inside(data: Any, d: int) -> None:
    (zone,) = read_zones([data.draw(zones(d))], NAMES[:d])
    start, end = data.draw(positions(d)), data.draw(positions(d))
    crossed = zone.crossed_by(start, end)
    assert crossed == zone.crossed_by(end, start)
    way = start + np.linspace(0, 1, 2001)[:, None] * (end - start)
    if zone.contains(way).any():
        assert crossed
    elif crossed:  # between two samples: a corner is cut, or an edge touched
        # A polygon's sides are sampled as well, so its distances are known less closely.
        coarseness = (200, 0.05) if isinstance(zone, Polygon) else (1000, 1e-6)
        reach = float(np.linalg.norm(end - start)) / coarseness[0] + coarseness[1]
        assert min(distances(zone, way)) <= reach


def distances(zone: Zone, points: Array) -> list[float]:
    """Distances of points outside a zone to it, in plain geometry."""
    if isinstance(zone, Box):
        nearest = np.clip(points, zone.low, zone.high)
        return np.linalg.norm(points - nearest, axis=1).tolist()
    if isinstance(zone, Ball):
        return (np.linalg.norm(points - np.array(zone.centre), axis=1) - zone.radius).tolist()
    assert isinstance(zone, Polygon)
    ring = np.array([*zone.corners, zone.corners[0]])
    steps = np.linspace(0, 1, 2001)[:, None]
    return [
        float(np.abs(np.linalg.norm(a + steps * (b - a) - p, axis=1)).min())
        for a, b in pairwise(ring)
        for p in points[:: max(len(points) // 200, 1)]
    ]


@pytest.mark.parametrize(
    ("start", "end", "crossed"),
    [
        ((0, 0), (10, 10), True),  # right through
        ((0, 7), (7, 14), False),  # past the corner
        ((0, 6), (10, 6), True),  # along an edge
        ((0, 2), (4, 6), True),  # ends in a corner
        ((5, 5), (5, 5), True),  # stays inside
        ((0, 0), (0, 0), False),
        ((3.999, 0), (3.999, 10), False),
    ],
)
def test_a_way_past_a_square(start: Any, end: Any, crossed: bool) -> None:
    square = [{"box": [[4, 4], [6, 6]]}, {"polygon": [[4, 4], [6, 4], [6, 6], [4, 6]]}]
    for zone in square:
        space = Space.grid(AXIS, AXIS).forbid([zone])
        assert (space.zone_between(start, end) is not None) == crossed


@settings(max_examples=CASES, deadline=None)
@given(st.data(), st.sampled_from(AGENT_NAMES), st.integers(1, 3), st.integers(0, 10**6))
def test_no_agent_suggests_a_point_in_a_zone_whatever_it_is_told(
    data: Any, name: str, d: int, seed: int
) -> None:
    plain = Space.grid(*(AXIS,) * d)
    forbidden = data.draw(st.lists(zones(d), min_size=1, max_size=3))
    read = read_zones(forbidden, plain.names)
    assume(not np.any([zone.contains(plain.points) for zone in read], axis=0).all())
    space = Space.from_dict({**plain.to_dict(), "forbidden": forbidden})
    options = {"bayesian": {"n_start": 4}, "botorch": {"n_start": 22}}.get(name, {})
    agent = make_agent(name, space, seed=seed, **options)
    # An agent that knew no zones leaves a state with points inside them.
    careless = make_agent(name, plain, seed=seed, **options)
    rng = np.random.default_rng(seed)
    restored_at = rng.integers(20)
    for number in range(20):
        if number == restored_at:
            assert isinstance(agent, RemembersState)
            assert isinstance(careless, RemembersState)
            agent.load_state_dict(json.loads(json.dumps(careless.state_dict())))
        told = float(rng.choice([np.nan, *rng.uniform(-10, 1e4, 5)]))
        try:
            point = agent.suggest()[0]
            careless.ingest([{**careless.suggest()[0], "objective": told}])
        except SpaceExhausted:
            return
        position = np.array([[point[axis] for axis in space.names]])
        assert not any(zone.contains(position)[0] for zone in read)
        assert (position >= space.bounds[0]).all()
        assert (position <= space.bounds[1]).all()
        agent.ingest([{**point, "objective": told}])
        if rng.random() < 0.3:  # somebody measured there, in a zone perhaps, and it is bright
            elsewhere = rng.uniform(0, 30, d).tolist()
            agent.ingest([{**space.point(elsewhere), "objective": 2e4}])


def test_the_reported_spot_lies_in_no_zone_though_somebody_measured_a_brighter_one_there() -> None:
    space = Space.grid(AXIS, AXIS).forbid([{"box": [[18, 18], [32, 32]]}])
    agent = BayesianAgent(space, n_start=3)
    agent.ingest([{"x": 25.0, "y": 25.0, "objective": 100.0}])
    with pytest.raises(ValueError, match="must have a valid outcome outside"):
        agent.recommend()
    for outcome in range(6):
        agent.ingest([{**agent.suggest()[0], "objective": float(outcome)}])
    spot = agent.recommend()
    assert space.zone_at((spot.x, spot.y)) is None


def test_zones_are_recorded_and_honoured_and_the_grid_keeps_its_shape() -> None:
    plain = Space.grid(AXIS, AXIS)
    assert "forbidden" not in plain.to_dict()
    written = [{"box": [[0.0, 0.0], [12.0, 30.0]]}, {"circle": [30.0, 30.0, 6.0]}]
    space = plain.forbid(written[:1]).forbid(written[1:])
    assert space.to_dict() == {**plain.to_dict(), "forbidden": written}
    again = Space.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again.forbidden == space.forbidden
    assert again.shape == plain.shape == (7, 7)
    assert np.array_equal(again.points, plain.points)
    assert again.allowed.sum() == 49 - 21 - 3
    assert len(again.snake()) == again.allowed.sum()
    assert again.in_no_zone(again.snake()).all()


def test_all_agents_end_when_only_forbidden_points_are_left() -> None:
    space = Space.grid([0.0, 1.0, 2.0, 3.0]).forbid([{"box": [[1], [2]]}])
    for name in ("bayesian", "random", "sobol", "raster"):
        agent = make_agent(name, space, seed=0)
        assert {agent.suggest()[0]["x"] for _ in range(2)} == {0.0, 3.0}
        with pytest.raises(SpaceExhausted, match=r"got all 4 measured, .* or forbidden"):
            agent.suggest()


def test_a_suggestion_in_a_zone_is_stopped_whoever_made_it() -> None:
    ledger = Ledger(Space.grid([0.0, 1.0, 2.0]).forbid([{"circle": [1, 0.5]}]))
    with pytest.raises(RuntimeError, match=r"outside the forbidden zones, got \(1\) in .*circle"):
        ledger.issue(1.0)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"circle": [1, 1, 1]}, "forbidden must be a list of zones, got {'circle'"),
        ([[0, 1]], r"a zone must be one of .* got \[0, 1\]; write"),
        ([{"ring": [0, 1]}], "a zone must be one of .* got {'ring'"),
        ([{"box": [[0, 0], [1, 1]], "circle": [0, 0, 1]}], "a zone must be one of .* got {'box'"),
        ([{"box": [[0], [1]]}], r"finite numbers of shape \(2, 2\) here, got {'box'"),
        ([{"box": [[0, 0], [1, None]]}], r"finite numbers of shape \(2, 2\) here"),
        ([{"circle": [0, 0]}], r"finite numbers of shape \(3,\) here, got {'circle'"),
        ([{"circle": [0, 0, 0]}], "the radius of a circle must be above 0, got {'circle'"),
        ([{"polygon": [[0, 0], [1, 1]]}], "a polygon must have 3 corners or more, got"),
        ([{"polygon": 7}], "a zone must have finite numbers"),
        ([{"polygon": [[0, 0], [1, 1], [0, "a"]]}], "a zone must have finite numbers"),
        ([{"box": [[-1, -1], [99, 99]]}], "outside the forbidden zones, got all 49 inside"),
    ],
)
def test_a_zone_written_wrongly_is_refused(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Space.grid(AXIS, AXIS).forbid(written)


def test_a_polygon_needs_two_axes() -> None:
    with pytest.raises(ValueError, match=r"a polygon must lie on two axes, got .* on 1; use boxes"):
        Space.grid(AXIS).forbid([{"polygon": [[0, 0], [1, 0], [0, 1]]}])
