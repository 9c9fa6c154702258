"""Several suggestions at once: points on their way are taken to give what is expected there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bl_steer.agents import BayesianAgent, Space, surrogate
from bl_steer.agents.ensemble import neighbours
from bl_steer.agents.surrogate import GridEnsembleGP

AXIS = np.arange(12) * 5.0
SPACE = Space.grid(AXIS, AXIS)


def _height(x: float, y: float) -> float:
    return float(100 * np.exp(-((x - 20) ** 2 + (y - 35) ** 2) / 150) + 5 + np.sin(x) + np.cos(y))


def _agent(n: int, **options: Any) -> BayesianAgent:
    agent = BayesianAgent(SPACE, n_start=6, **options)
    for _ in range(n):
        point = agent.suggest()[0]
        agent.ingest([{**point, "objective": _height(point["x"], point["y"])}])
    return agent


@pytest.mark.parametrize("between", [0.0, 1.3])
def test_variances_fall_as_if_points_on_their_way_had_come(between: float) -> None:
    X = torch.tensor(SPACE.points[np.random.default_rng(1).permutation(144)[:33]])
    y = torch.tensor([_height(*row) for row in X.tolist()])
    model, later = (
        GridEnsembleGP(torch.tensor(SPACE.points), metrics=SPACE.metrics, kernel="rbf")
        for _ in range(2)
    )
    model.condition(X[:30], y[:30])
    pending, at = X[30:] + between, model.candidates + between
    before, _, log_weights = model.weighted_moments(at)
    mean, variance, _ = model.weighted_moments(model.candidates if between == 0.0 else at, pending)
    assert torch.equal(mean, before)
    later.condition(torch.cat([X[:30], pending]), y)
    heavy = (
        model.log_weights >= model.log_weights.max() + np.log(surrogate.LEAST_WEIGHT)
    ).nonzero()
    _, explained = later.factors.solved(at + 1e-13, heavy[:, 0])
    assert len(heavy) == len(log_weights) == len(variance)
    expected = model.amplitude_variance[heavy] * (1.0 - explained)
    assert_allclose(variance, expected, atol=1e-6 * float(model.amplitude_variance.max()))


def test_suggestions_together_are_those_one_after_the_other() -> None:
    together, one_by_one = _agent(10), _agent(10)
    points = together.suggest(4)
    assert points == [one_by_one.suggest()[0] for _ in range(4)]
    assert len({(p["x"], p["y"]) for p in points}) == 4
    barred = {(e.position) for e in together._ledger.measured.values()}
    assert not barred & {(p["x"], p["y"]) for p in points}


def test_suggestions_together_do_not_crowd() -> None:
    agent = _agent(9)
    first = agent.suggest()[0]
    crowd = agent._beliefs  # the acquisition as it is without points on their way
    agent._ledger.pending.clear()
    alone = crowd.acquisition()(agent._model.candidates)
    agent._ledger.issue(first["x"], first["y"])
    aware = crowd.acquisition()(agent._model.candidates)
    near = np.hypot(*(agent._model.candidates.numpy() - [first["x"], first["y"]]).T) <= 5.0
    assert (aware <= alone + 1e-9).all()
    assert (alone - aware)[near].mean() > (alone - aware)[~near].mean()


def test_a_batch_is_found_again_after_a_restore_and_among_later_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surrogate, "rows_within", lambda members, candidates: 20)
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 12)
    agent, restored = _agent(26), BayesianAgent(SPACE, n_start=6)
    agent.suggest(2)
    restored.load_state_dict(agent.state_dict())
    assert restored.suggest(3) == agent.suggest(3)


def test_an_agent_that_chooses_exposures_decides_one_by_one() -> None:
    agent = _agent(7, looks={"full_s": 10.0})
    with pytest.raises(ValueError, match="num_points must lie in 1 … 1, since after the start"):
        agent.suggest(2)
    with pytest.raises(ValueError, match="num_points must lie in 1 … inf"):
        _agent(3).suggest(0)
