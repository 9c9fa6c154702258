"""Plain BoTorch on a continuous domain: bounds, seeds, restarts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bl_steer.agents import ContinuousAgent, Space
from bl_steer.protocols import Point

SPACE = Space.grid(np.arange(11) * 5.0, np.arange(11) * 5.0)


def measure(agent: ContinuousAgent, n: int) -> list[Point]:
    done = []
    for _ in range(n):
        point = agent.suggest()[0]
        value = np.exp(-((point["x"] - 31) ** 2 + (point["y"] - 17) ** 2) / 200)
        agent.ingest([{**point, "objective": float(value)}])
        done.append(point)
    return done


def test_it_climbs_a_hill_within_the_bounds() -> None:
    agent = ContinuousAgent(SPACE, seed=0, n_start=5)
    points = measure(agent, 12)
    X = np.array([(p["x"], p["y"]) for p in points])
    assert (SPACE.bounds[0] <= X).all()
    assert (SPACE.bounds[1] >= X).all()
    assert np.hypot(*(X - (31, 17)).T).min() < 3
    assert agent.explain().reason == "improve"


def test_seeds_fix_the_run_and_leave_torchs_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = measure(ContinuousAgent(SPACE, seed=4, n_start=3), 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert measure(ContinuousAgent(SPACE, seed=4, n_start=3), 5) == first


def test_a_restored_agent_carries_on() -> None:
    agent = ContinuousAgent(SPACE, seed=1, n_start=3)
    measure(agent, 4)
    restored = ContinuousAgent(SPACE, seed=1, n_start=3)
    restored.load_state_dict(json.loads(json.dumps(agent.state_dict(), allow_nan=False)))
    assert restored.suggest() == agent.suggest()


def test_predictions_pass_through_the_data() -> None:
    agent = ContinuousAgent(SPACE, seed=1, n_start=12)
    points = measure(agent, 12)
    X = np.array([(p["x"], p["y"]) for p in points])
    mean, sd = agent.predict(X)
    truth = np.exp(-((X[:, 0] - 31) ** 2 + (X[:, 1] - 17) ** 2) / 200)
    assert_allclose(mean, truth, atol=0.1)
    assert (sd > 0).all()


def test_an_invalid_start_point_is_replaced_by_another() -> None:
    agent = ContinuousAgent(SPACE, seed=1, n_start=2)
    dead = agent.suggest()[0]
    agent.ingest([{**dead, "objective": np.nan}])
    later = agent.suggest(2)
    assert len({p["x"] for p in (dead, *later)}) == 3
    with pytest.raises(ValueError, match="num_points must lie in 1"):
        agent.suggest(2)
