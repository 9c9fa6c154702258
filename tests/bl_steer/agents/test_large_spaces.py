"""Very many candidates: bounded memory, and the same place as with few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.candidates import CELLS, MOST_CELLS

AXIS = np.linspace(0.0, 150.0, 401)
SPACE = Space.grid(AXIS, AXIS)


def hill(x: float, y: float) -> float:
    return 5.0 + 100.0 * float(np.exp(-((x - 61.0) ** 2 + (y - 97.5) ** 2) / 288))


def searched(agent: BayesianAgent, n: int) -> list[tuple[float, float]]:
    places = []
    for _ in range(n):
        point = agent.suggest()[0]
        places.append((point["x"], point["y"]))
        agent.ingest([{**point, "objective": hill(*places[-1])}])
    return places


@pytest.fixture(scope="module")
def agent() -> BayesianAgent:
    agent = BayesianAgent(SPACE, seed=1)
    searched(agent, 22)
    return agent


def test_the_model_keeps_few_of_many_candidates_and_finds_the_finest_cell(
    agent: BayesianAgent,
) -> None:
    assert len(SPACE) > MOST_CELLS
    assert len(agent._model.candidates) == CELLS
    spot = agent.recommend()
    assert np.hypot(spot.x - 61.0, spot.y - 97.5) < 1.0  # half the distance of the cells drawn


def test_a_restored_agent_decides_the_same_among_many_candidates(agent: BayesianAgent) -> None:
    restored = BayesianAgent(SPACE, seed=1)
    restored.load_state_dict(agent.state_dict())
    explained: list[Any] = []
    for each in (agent, restored):
        point = each.suggest()[0]
        explained.append((point, each.explain()))
        each.ingest([{**point, "objective": float("nan")}])
    assert repr(explained[0]) == repr(explained[1])


def test_no_place_in_a_zone_is_suggested_among_many_candidates() -> None:
    zone = {"circle": [61.0, 97.5, 12.0]}
    agent = BayesianAgent(SPACE.forbid([zone]), n_start=6)
    places = np.array(searched(agent, 16))
    assert np.hypot(*(places - [61.0, 97.5]).T).min() > 12.0
    assert len(np.unique(places, axis=0)) == 16


def test_a_prediction_of_many_positions_is_that_of_a_few(agent: BayesianAgent) -> None:
    mean, sd = agent.predict(SPACE.points[:20_000])
    few_mean, few_sd = agent.predict(SPACE.points[19_990:20_000])
    np.testing.assert_allclose(mean[-10:], few_mean, rtol=1e-9)
    np.testing.assert_allclose(sd[-10:], few_sd, rtol=1e-9)
