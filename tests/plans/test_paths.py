"""The stage enters no forbidden zone, whatever the zones, the stub of a point and the agent."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bl_steer.agents import Space
from plans import find_hotspot, map_sample
from plans.stubs.axes import StageError
from plans.stubs.paths import go_round, way_round
from simulators.film.beamline import SimulatedBeamline

CASES = int(os.environ.get("BL_STEER_FUZZ_CASES", "30"))
"""`make fuzz` tries more."""
AXIS = np.arange(0.0, 31.0, 3.0)
numbers = st.integers(-5, 35).map(float)
points = st.tuples(numbers, numbers)
ZONES = st.one_of(
    st.tuples(points, points).map(lambda c: {"box": [list(c[0]), list(c[1])]}),
    st.tuples(points, st.floats(0.5, 12)).map(lambda c: {"circle": [*c[0], c[1]]}),
    st.lists(points.map(list), min_size=3, max_size=6).map(lambda c: {"polygon": c}),
)
WALL = [{"box": [[10, -1], [12, 24]]}]


def samples(start: Any, end: Any) -> Any:
    """Positions of the box that two axes may be at, moved from start to end at any speeds."""
    shares = np.stack(np.meshgrid(*[np.linspace(0, 1, 21)] * 2), axis=-1).reshape(-1, 2)
    return start + shares * (end - start)


@settings(max_examples=CASES, deadline=None)
@given(st.lists(ZONES, min_size=1, max_size=4), st.integers(0, 10**6))
def test_no_leg_of_a_way_meets_a_zone_or_leaves_the_grid(zones: Any, seed: int) -> None:
    plain = Space.grid(AXIS, AXIS)
    try:
        space = plain.forbid(zones)
    except ValueError:  # nothing is left
        assume(False)
    allowed = space.points[space.allowed]
    here, there = np.random.default_rng(seed).choice(allowed, 2)
    try:
        legs = way_round(space, here, there)
    except StageError:
        assert space.zone_within(here, there) is not None
        return
    np.testing.assert_array_equal(legs[-1], there)
    for start, end in zip([here, *legs[:-1]], legs, strict=True):
        box = samples(start, end)
        assert space.in_no_zone(box).all()
        assert (box >= space.bounds[0]).all()
        assert (box <= space.bounds[1]).all()


def test_a_way_goes_round_a_wall_and_straight_past_it() -> None:
    space = Space.grid(AXIS, AXIS).forbid(WALL)
    assert len(way_round(space, (0, 0), (9, 30))) == 1
    round_it = way_round(space, (0, 0), (30, 0))
    assert len(round_it) > 1
    assert max(leg[1] for leg in round_it) > 24


def test_where_there_is_no_way_the_stage_is_not_moved() -> None:
    space = Space.grid(AXIS, AXIS).forbid([{"box": [[10, -1], [12, 31]]}])
    with pytest.raises(StageError, match=r"a way from \(0, 0\) to \(30, 0\) .* got none .*; widen"):
        way_round(space, (0, 0), (30, 0))
    with pytest.raises(StageError, match=r"must stand outside .* got \(11, 3\) in .*by hand"):
        way_round(space, (11, 3), (30, 0))


@dataclass(frozen=True, eq=False)
class SlowSpace(Space):
    """A space in which a way is sought until `go_on` is set."""

    sought: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def free_boxes(self, starts: Any, ends: Any) -> Any:
        self.sought.set()
        self.go_on.wait(60.0)
        return super().free_boxes(starts, ends)


def test_pause_takes_effect_while_a_way_is_sought(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    space = SlowSpace.grid(AXIS, AXIS).forbid(WALL)
    axes = [beamline.stage.x, beamline.stage.y]

    def ask() -> None:
        space.sought.wait(60.0)
        RE.request_pause()

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(RunEngineInterrupted):
        RE(go_round(space, axes, (30.0, 0.0)))
    asking.join()
    assert RE.state == "paused"
    assert [axis.position for axis in axes] == [0.0, 0.0], "the pause waited for the way"
    space.go_on.set()
    RE.resume()
    assert [axis.position for axis in axes] == [30.0, 0.0]


@pytest.mark.parametrize("n_corners", [3, 40])
def test_a_box_is_free_where_no_point_of_it_lies_in_a_polygon(n_corners: int) -> None:
    rng = np.random.default_rng(n_corners)
    turns = np.linspace(0.0, 2.0 * np.pi, n_corners, endpoint=False)
    radii = rng.uniform(3.0, 14.0, n_corners)
    corners = 15.0 + radii[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    space = Space.grid(AXIS, AXIS).forbid([{"polygon": corners.tolist()}])
    starts, ends = rng.uniform(0.0, 30.0, (2, 200, 2))
    free = space.free_boxes(starts, ends)
    assert 10 < free.sum() < 190
    expected = [
        space.in_no_zone(samples(start, end)).all()
        and not ((corners >= np.minimum(start, end)) & (corners <= np.maximum(start, end)))
        .all(axis=1)
        .any()
        for start, end in zip(starts, ends, strict=True)
    ]
    assert not (free & ~np.array(expected)).any()
    assert (free != expected).sum() < 6  # a sliver of a zone may lie between samples


def followed(beamline: SimulatedBeamline) -> list[tuple[float, float]]:
    """Return the positions that the stage passes, filled as it moves."""
    passed: list[tuple[float, float]] = []

    def note(*_: Any, **__: Any) -> None:
        passed.append((beamline.stage.x.position, beamline.stage.y.position))

    for axis in (beamline.stage.x, beamline.stage.y):
        axis.user_readback.subscribe(note, run=False)
    return passed


GRID = Space.grid(np.arange(0, 151, 30.0), np.arange(0, 151, 30.0))
ZONE = {"circle": [70, 75, 25]}
BOX = {"box": [[100, 20], [140, 125]]}


@pytest.mark.parametrize("agent", ["random", "bayesian"])
def test_a_run_never_enters_a_zone(RE: RunEngine, beamline: SimulatedBeamline, agent: str) -> None:
    passed = followed(beamline)
    RE(
        find_hotspot(
            beamline.det,
            beamline.stage,
            monitor=beamline.monitor,
            grid=GRID,
            forbidden=[ZONE, BOX],
            agent=agent,
            target="total",
            budget=12,
            move_to_best=True,
        )
    )
    legs = np.array(passed)
    assert len(legs) > 24
    space = GRID.forbid([ZONE, BOX])
    for start, end in pairwise(legs):
        assert space.zone_within(start, end) is None, (start, end)


def test_a_map_goes_round_zones(RE: RunEngine, beamline: SimulatedBeamline) -> None:
    passed = followed(beamline)
    RE(map_sample(beamline.det, beamline.stage, grid=GRID, forbidden=[ZONE, BOX]))
    space = GRID.forbid([ZONE, BOX])
    assert space.in_no_zone(np.array(passed)).all()


class Stubborn:
    """An agent that suggests what it was told."""

    def __init__(self, *spots: tuple[float, float]) -> None:
        self.spots = list(spots)

    def suggest(self, n_points: int = 1) -> list[dict[str, Any]]:
        x, y = self.spots.pop(0)
        return [{"_id": len(self.spots), "x": x, "y": y}]

    def ingest(self, points: Any) -> None:
        """Learn nothing."""


@pytest.mark.parametrize(
    ("spot", "message"),
    [((70.0, 75.0), "must lie outside the forbidden zones, got x = 70"), ((200.0, 0.0), "got 200")],
)
def test_what_an_agent_of_ones_own_suggests_beyond_the_limits_moves_nothing(
    RE: RunEngine, beamline: SimulatedBeamline, spot: tuple[float, float], message: str
) -> None:
    passed = followed(beamline)
    with pytest.raises(ValueError, match=message):
        RE(
            find_hotspot(
                beamline.det,
                beamline.stage,
                grid=GRID,
                forbidden=[ZONE],
                agent=Stubborn(spot),
                target="total",
            )
        )
    assert passed == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (70.0, r"stage_x must not pass a forbidden zone, got a move to 70"),
        (155.0, "stay in the gri"),
    ],
)
def test_what_the_plan_of_a_point_wants_beyond_the_limits_is_refused(
    RE: RunEngine, beamline: SimulatedBeamline, target: float, message: str
) -> None:
    def astray(detectors: Any, position: Any) -> Any:
        yield from bps.mv(*(item for pair in position.items() for item in pair))
        yield from bps.mv(beamline.stage.x, target)
        yield from bps.trigger_and_read([*detectors, *position])

    passed = followed(beamline)
    with pytest.raises(StageError, match=message):
        RE(
            find_hotspot(
                beamline.det,
                beamline.stage,
                grid=GRID,
                forbidden=[ZONE],
                per_point=astray,
                agent=Stubborn((0.0, 60.0)),
                target="total",
            )
        )
    assert (beamline.stage.x.position, beamline.stage.y.position) == (0.0, 60.0)
    assert {x for x, _ in passed} <= {0.0}
