"""Random, Sobol and raster: each visits every cell once."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bl_steer.agents import RandomAgent, RasterAgent, SobolAgent, Space, SpaceExhausted
from bl_steer.agents.baselines import OrderedAgent

GRID = Space.grid(np.arange(7) * 5.0, np.arange(6) * 5.0)
AGENTS = [RandomAgent, SobolAgent, RasterAgent]


def visit(agent: OrderedAgent, n: int) -> list[tuple[float, float]]:
    done = []
    for _ in range(n):
        point = agent.suggest()[0]
        agent.ingest([{**point, "objective": 1.0}])
        done.append((point["x"], point["y"]))
    return done


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(AGENTS), st.integers(0, 500))
def test_every_cell_is_visited_exactly_once(kind: Any, seed: int) -> None:
    agent = kind(GRID, seed=seed)
    assert sorted(visit(agent, 42)) == sorted(map(tuple, GRID.points.tolist()))
    with pytest.raises(SpaceExhausted, match="got all 42"):
        agent.suggest()


@pytest.mark.parametrize("kind", AGENTS)
def test_a_restored_baseline_carries_on(kind: Any) -> None:
    agent = kind(GRID, seed=3)
    visit(agent, 11)
    restored = kind(GRID, seed=3)
    restored.load_state_dict(json.loads(json.dumps(agent.state_dict(), allow_nan=False)))
    assert visit(restored, 10) == visit(agent, 10)


@pytest.mark.parametrize("kind", [RandomAgent, SobolAgent])
def test_the_seed_fixes_the_order(kind: Any) -> None:
    orders = [visit(kind(GRID, seed=s), 20) for s in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_raster_runs_along_x_and_snake_turns_back() -> None:
    assert visit(RasterAgent(GRID), 9)[6:] == [(30.0, 0.0), (0.0, 5.0), (5.0, 5.0)]
    assert visit(RasterAgent(GRID, snake=True), 9)[6:] == [(30.0, 0.0), (30.0, 5.0), (25.0, 5.0)]


def test_sobol_covers_each_quarter_evenly() -> None:
    axis = np.arange(32.0)
    X = np.array(visit(SobolAgent(Space.grid(axis, axis), seed=0), 64))
    quarters = np.bincount((X[:, 0] > 15.5) * 2 + (X[:, 1] > 15.5).astype(int))
    assert quarters.min() >= 12


def test_an_invalid_cell_comes_up_again_and_is_given_up_after_three() -> None:
    agent = RasterAgent(GRID)
    seen = []
    for _ in range(4):
        point = agent.suggest()[0]
        seen.append(point["x"])
        agent.ingest([{**point, "objective": np.nan}])
    assert seen == [0.0, 0.0, 0.0, 5.0]


def test_several_points_may_be_asked_for_up_to_the_cells_left() -> None:
    agent = RandomAgent(GRID)
    assert len(agent.suggest(40)) == 40
    with pytest.raises(ValueError, match="at most the 2 cells left, got 3"):
        agent.suggest(3)
    assert agent.explain().reason == "random"


def test_baselines_load_no_statistics_before_they_are_used() -> None:
    code = "import sys, bl_steer.agents.baselines; print('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
