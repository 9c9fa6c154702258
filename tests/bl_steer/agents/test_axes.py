"""Every agent on one, two and three axes: it finds, it restores, and it names its axes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bl_steer.agents import AGENT_NAMES, BayesianAgent, Space, make_agent
from bl_steer.protocols import Array, PredictsMap, RemembersState

SPACES = {
    1: Space.grid(np.arange(0.0, 400.0, 2.0)),
    2: Space.grid(np.arange(0.0, 30.0, 5.0), np.arange(0.0, 30.0, 5.0)),
    3: Space.grid(*(np.arange(0.0, 60.0, 5.0),) * 3),
}
SHIPPED = pytest.mark.parametrize("name", AGENT_NAMES)
ON_AXES = pytest.mark.parametrize("n_axes", [1, 2, 3])


def hill(position: Array, summit: Array, width: float) -> float:
    """A hill of 100 on a pedestal of 5, with a rival of 60 towards the origin."""
    main = np.exp(-((position - summit) ** 2).sum() / (2 * width**2))
    rival = np.exp(-((position - 0.3 * summit) ** 2).sum() / (2 * width**2))
    return float(100 * main + 60 * rival + 5)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("n_axes", "width", "budget"), [(1, 20.0, 25), (3, 10.0, 80)])
def test_the_maximum_is_found_with_far_fewer_points_than_the_grid_has(
    n_axes: int, width: float, budget: int, seed: int
) -> None:
    space = SPACES[n_axes]
    assert budget < len(space) / 7
    summit = space.points[int(0.7 * len(space))]
    agent = BayesianAgent(space, seed=seed)
    for _ in range(budget):
        point = agent.suggest()[0]
        position = np.array([point[name] for name in space.names])
        agent.ingest([{**point, "objective": hill(position, summit, width)}])
    spot = agent.recommend()
    reported = np.array([getattr(spot, name) for name in space.names])
    assert np.abs(reported - summit).max() <= space.pitch
    assert all(np.isnan(getattr(spot, name)) for name in ("x", "y", "z")[n_axes:])


@SHIPPED
@ON_AXES
def test_every_agent_works_on_one_two_and_three_axes(name: str, n_axes: int) -> None:
    space = SPACES[n_axes]
    options = {"n_start": 4} if name in ("bayesian", "botorch") else {}
    agent = make_agent(name, space, seed=1, **options)
    restored = make_agent(name, space, seed=1, **options)
    for _ in range(6):
        point = agent.suggest()[0]
        position = np.array([point[axis] for axis in space.names])
        assert set(point) == {"_id", *space.names}
        assert (position >= space.bounds[0]).all()
        assert (position <= space.bounds[1]).all()
        agent.ingest([{**point, "objective": float(position.sum())}])
    agent.ingest([{**space.point(space.points[-1].tolist()), "objective": 3.0}])
    assert isinstance(agent, RemembersState)
    assert isinstance(restored, RemembersState)
    restored.load_state_dict(json.loads(json.dumps(agent.state_dict(), allow_nan=False)))
    assert restored.suggest() == agent.suggest()
    if isinstance(agent, PredictsMap):
        mean, sd = agent.predict(space.points[:7])
        assert mean.shape == sd.shape == (7,)


@ON_AXES
def test_an_explanation_has_the_runner_up_on_the_axes_that_there_are(n_axes: int) -> None:
    space = SPACES[n_axes]
    agent = BayesianAgent(space, n_start=2)
    for outcome in (1.0, 2.0):
        agent.ingest([{**agent.suggest()[0], "objective": outcome}])
    agent.suggest()
    why = agent.explain()
    runner_up = [getattr(why, f"runner_up_{name}") for name in ("x", "y", "z")]
    assert np.isfinite(runner_up).tolist() == [i < n_axes for i in range(3)]
    assert space.cell_of(*runner_up[:n_axes]) is not None


def test_an_outcome_without_its_third_coordinate_is_refused() -> None:
    with pytest.raises(ValueError, match="z must be a number, got None at position 0"):
        BayesianAgent(SPACES[3]).ingest([{"x": 0.0, "y": 0.0, "objective": 1.0}])
