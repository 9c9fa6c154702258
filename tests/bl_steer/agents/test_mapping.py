"""Goals beside the maximum: the whole map, and where a target crosses a level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bl_steer.agents import BayesianAgent, Space, make_agent
from bl_steer.agents.factors import correlation
from bl_steer.agents.mapping.acquisition import MapAcquisition
from bl_steer.agents.mapping.goal import Goal
from bl_steer.protocols import Array

SPACE = Space.grid(np.arange(0.0, 80.0, 5.0), np.arange(0.0, 80.0, 5.0))
HILLS = [(20.0, 25.0, 8.0, 900.0), (55.0, 50.0, 7.0, 600.0)]


def film(points: Array) -> Array:
    """Return two hills on a ground, counts, (n,)."""
    return np.asarray(
        100.0
        + sum(
            height * np.exp(-0.5 * ((points - [x, y]) ** 2).sum(axis=1) / width**2)
            for x, y, width, height in HILLS
        )
    )


def steered(goal: str, n: int, *, space: Space = SPACE, **options: Any) -> BayesianAgent:
    agent = BayesianAgent(space, goal=goal, **options)
    for _ in range(n):
        point = agent.suggest()[0]
        position = np.array([[point["x"], point["y"]]])
        agent.ingest([{**point, "objective": float(film(position)[0])}])
    return agent


@pytest.mark.parametrize("text", ["maximum", "map", "level=50%", "level=1200.0", "level=-0.25"])
def test_a_goal_is_read_as_it_is_written(text: str) -> None:
    assert str(Goal.parse(text)) == text


@pytest.mark.parametrize("text", ["minimum", "map=3", "level", "level=", "level=120%", "level=nan"])
def test_a_goal_that_is_none_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="try"):
        Goal.parse(text)


def test_the_covariance_with_the_cells_is_that_of_dense_algebra() -> None:
    agent = steered("map", 12, n_start=12)
    agent.predict(SPACE.points)
    model, X = agent._model, SPACE.points[[3, 77]] + [[0.0, 0.0], [1.5, 2.0]]
    cells = np.array([0, 40, 200])

    def kernel(A: Array, B: Array) -> Array:
        squared = torch.tensor(((A[:, None] - B[None]) ** 2).sum(-1))
        return correlation(squared, model.lengthscales[member], "rbf").numpy()

    for member in (0, 11, 23):
        measured = model.factors.X.numpy()
        K = kernel(measured, measured) + float(model.nuggets[member]) * np.eye(12)
        points = SPACE.points[cells]
        dense = kernel(X, points) - kernel(X, measured) @ np.linalg.solve(
            K, kernel(measured, points)
        )
        found = model.covariance(member, torch.tensor(X), cells).numpy()
        np.testing.assert_allclose(
            found, float(model.amplitude_variance[member]) * dense, atol=1e-6
        )


def test_what_a_point_takes_from_the_variance_is_what_conditioning_on_it_takes() -> None:
    """With one member and no warp the variance to come does not depend on the outcome."""
    agent = steered("map", 14, n_start=14, warp="none")
    agent.predict(SPACE.points)
    model = agent._model
    member = int(model.log_weights.argmax())
    model.log_weights = torch.full_like(model.log_weights, -torch.inf)
    model.log_weights[member] = 0.0
    acquisition = MapAcquisition(model, Goal("map"), ("none", 0.0), SPACE.allowed)
    cell = 119
    gain = acquisition.gain(torch.tensor(SPACE.points[[cell]]))[0]
    before = model.member_moments(model.candidates)[1][member].sum()
    amplitude = float(model.amplitude_variance[member])
    model.factors.exact.add_point(torch.tensor(SPACE.points[cell]))
    after = amplitude * (1.0 - model.factors.exact.VtV[member]).sum()
    assert gain == pytest.approx(float(before - after), rel=1e-6)


def test_a_map_from_few_points_is_as_good_as_is_wanted() -> None:
    truth = film(SPACE.points)
    chosen = steered("map", 30)
    error = np.sqrt(np.mean((chosen.predict(SPACE.points)[0] - truth) ** 2))
    assert error < 0.03 * np.ptp(truth)
    assert chosen.explain().reason == "map"


@pytest.mark.parametrize("goal", ["level=50%", "level=400"])
def test_a_level_is_outlined_better_than_by_evenly_spread_points(goal: str) -> None:
    truth = film(SPACE.points)
    level = Goal.parse(goal).level_in(truth)

    def wrong(agent: BayesianAgent) -> int:
        found = Goal.parse(goal).level_in(agent.predict(SPACE.points)[0])
        return int(np.sum((agent.outlined(Goal.parse(goal), found)[0] > 0.5) != (truth > level)))

    spread, chosen = steered("maximum", 30, n_start=30), steered(goal, 30)
    assert wrong(chosen) <= 1
    assert wrong(chosen) <= 0.5 * wrong(spread)
    assert chosen.explain().reason == "level"


@pytest.mark.parametrize("goal", ["map", "level=50%"])
def test_a_restored_agent_goes_on_as_the_lost_one_and_enters_no_zone(goal: str) -> None:
    space = SPACE.forbid([{"circle": [20.0, 25.0, 12.0]}])
    agent = steered(goal, 16, space=space)
    again = make_agent("bayesian", space, seed=0, goal=goal)
    assert isinstance(again, BayesianAgent)
    again.load_state_dict(agent.state_dict())
    first, second = agent.suggest(), again.suggest()
    assert first == second
    assert space.zone_at([first[0]["x"], first[0]["y"]]) is None
    with pytest.raises(ValueError, match="goal"):
        again.load_state_dict(BayesianAgent(space).state_dict())


@pytest.mark.parametrize("goal", ["map", "level=50%"])
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_flat_map_is_no_fault(goal: str, value: float) -> None:
    agent = BayesianAgent(SPACE, goal=goal, n_start=3)
    places = []
    for _ in range(6):
        point = agent.suggest()[0]
        places.append((point["x"], point["y"]))
        agent.ingest([{**point, "objective": value}])
    assert len(set(places)) == 6
