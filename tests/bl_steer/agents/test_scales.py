"""Axes of unlike units: y in mm beside x in µm costs no points."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bl_steer.agents import AGENT_NAMES, BayesianAgent, Space, make_agent
from bl_steer.agents.scales import metrics_of
from bl_steer.protocols import Array
from bl_steer.steering import build_steering
from simulators.film import SigeFilm

AXIS = 10.0 * np.arange(16)
EVEN = AXIS[:15]
HILLS = [((40.0, 110.0), 18.0, 100.0), ((120.0, 30.0), 15.0, 80.0)]


def brightness(x: float, y: float) -> float:
    """Two hills on a pedestal of 5; x and y in µm."""
    return 5.0 + sum(
        height * float(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * width**2)))
        for (a, b), width, height in HILLS
    )


def places(name: str, units: tuple[float, float], *, shape: tuple[int, int] = (16, 16)) -> Array:
    """Return where an agent goes on the hills, in µm, (20, 2): its axes have units of their own."""
    n_x, n_y = shape
    space = Space.grid(AXIS[:n_x] * units[0], AXIS[:n_y] * units[1])
    agent = make_agent(name, space, seed=3, **({"n_start": 6} if name == "bayesian" else {}))
    visited = []
    for _ in range(20):
        point = agent.suggest()[0]
        position = (point["x"] / units[0], point["y"] / units[1])
        agent.ingest([{**point, "objective": brightness(*position)}])
        visited.append(position)
    return np.array(visited)


@pytest.mark.parametrize("name", [name for name in AGENT_NAMES if name != "botorch"])
@pytest.mark.parametrize("units", [(1.0, 1e-3), (1e-3, 1.0), (1.0, 0.2), (1.0, 57.3), (1e4, 1e-6)])
def test_an_agent_goes_to_the_same_places_whatever_the_units(
    name: str, units: tuple[float, float]
) -> None:
    assert_allclose(places(name, units), places(name, (1.0, 1.0)), rtol=1e-9)


def test_a_strip_in_other_units_is_as_soon_searched() -> None:
    found = []
    for units in [(1.0, 1.0), (1.0, 1e-3)]:
        heights = [brightness(*position) for position in places("bayesian", units, shape=(16, 12))]
        found.append(int(np.argmax(np.array(heights) > 0.95 * max(heights))))
    assert found[1] <= 1.1 * found[0]


def test_steps_and_ranges_that_disagree_are_both_thought_of() -> None:
    def scales(x: Array, y: Array) -> list[list[float]]:
        space = Space.grid(x, y)
        return [metric.scale.round(9).tolist() for metric in space.metrics]

    assert scales(AXIS, AXIS) == [[1.0, 1.0]]
    assert scales(AXIS, AXIS[:6]) == [[1.0, 1.0], [1.0, 3.0]]  # a strip in one unit
    assert scales(EVEN, EVEN[::2]) == [[1.0, 1.0], [1.0, 0.5]]
    assert scales(AXIS, AXIS / 1000) == [[1.0, 1000.0]]
    assert scales(AXIS, AXIS[:6] / 1000) == [[1.0, 1000.0], [1.0, 3000.0]]
    assert scales(AXIS, np.array([7.0])) == [[1.0, 1.0]]
    assert scales(EVEN, EVEN[::2] / 2) == [[1.0, 1.0], [1.0, 2.0]]


def test_scattered_points_are_as_written_or_by_their_ranges() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0.0, 150.0, (200, 2))
    points[:2] = [[0.0, 0.0], [150.0, 150.0]]
    alike, unlike = metrics_of(points, None), metrics_of(points * [1.0, 1e-3], None)
    assert [m.scale.tolist() for m in alike] == [[1.0, 1.0]]
    assert_allclose([m.scale for m in unlike], [[1.0, 1000.0]])
    assert_allclose(unlike[0].pitch, alike[0].pitch)
    assert len(metrics_of(points * [1.0, 0.3], None)) == 2


def test_the_evidence_tells_which_metric_is_right() -> None:
    # Hills that are as long in steps of the grid along both axes, which the ranges deny.
    space = Space.grid(AXIS, AXIS[:8] / 1000)
    agent = BayesianAgent(space, n_start=20)
    for _ in range(35):
        point = agent.suggest()[0]
        agent.ingest([{**point, "objective": brightness(point["x"], 1000 * point["y"])}])
    agent.predict(space.points)
    weights = agent._model.log_weights.exp().reshape(2, -1).sum(1)
    assert float(weights[0]) > 0.9


def test_readbacks_and_cells_are_judged_on_each_axis_by_its_own_step() -> None:
    space = Space.grid(AXIS, AXIS / 1000)
    assert_allclose(space.steps, [10.0, 0.01])
    assert space.cell_of(4.9, 0.0049) == 0
    assert space.cell_of(0.0, 0.0051) == 16
    assert space.index_of(0.0, 0.1) == 16 * 10
    agent = BayesianAgent(space)
    point = agent.suggest()[0]
    with pytest.raises(ValueError, match=r"within a pitch \(10, 0.01\)"):
        agent.ingest([{**point, "y": point["y"] + 0.02, "objective": 1.0}])
    agent.ingest([{**point, "x": point["x"] + 8.0, "objective": 1.0}])


def test_a_run_of_an_earlier_version_is_decided_by_its_own_rule() -> None:
    settings = {
        "target": "total",
        "agent": "bayesian",
        "agent_options": {},
        "seed": 0,
        "budget": 20,
        "grid": {"x": AXIS.tolist(), "y": (AXIS / 1000).tolist()},
    }
    axes = SigeFilm("smooth").axes
    earlier = build_steering(settings, axes).space
    today = build_steering(settings | {"scales": True}, axes).space
    assert earlier is not None
    assert today is not None
    assert [metric.scale.tolist() for metric in earlier.metrics] == [[1.0, 1.0]]
    assert_allclose(earlier.steps, [0.01, 0.01])
    assert_allclose([metric.scale for metric in today.metrics], [[1.0, 1000.0]])
