"""What a decision need not compute, or not after the outcome: members without weight, and rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bl_steer.agents import BayesianAgent, Space, make_agent
from bl_steer.agents.acquisition import (
    WeightedLogExpectedImprovement,
    weighted_log_expected_improvement,
)
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import ForeseesOutcomes
from bl_steer.steering import build_steering
from plans.stubs.options import DECIDED, rules_of

SPACE = Space.grid(np.arange(0, 60, 5.0), np.arange(0, 60, 5.0))


def _height(x: float, y: float) -> float:
    hills = np.exp(-((x - 20) ** 2 + (y - 35) ** 2) / 100) + 0.7 * np.exp(-((x - 45) ** 2) / 200)
    return float(100 * hills + 5 + np.sin(x * 3) + np.cos(y * 5))


def _searched(agent: BayesianAgent, n: int, *, ratio: float = 1.0, foresees: bool = False) -> list:
    """Return what an agent decides, and why."""
    told = []
    for i in range(n):
        point = agent.suggest()[0]
        told.append((point, repr(agent.explain())))
        if foresees:
            agent.foresee()
        noise = {"noise_ratio": ratio} if i % 3 == 0 else {}
        outcome = float("nan") if i == n // 2 else _height(point["x"], point["y"])
        agent.ingest([{**point, "objective": outcome, **noise}])
    return told


@pytest.fixture(scope="module")
def ensemble() -> GridEnsembleGP:
    X = torch.tensor(SPACE.points[np.random.default_rng(3).permutation(len(SPACE))[:40]])
    y = torch.tensor([_height(*row) for row in X.tolist()]).sqrt()
    model = GridEnsembleGP(torch.tensor(SPACE.points), metrics=SPACE.metrics, kernel="rbf")
    model.condition(X, y)
    return model


def test_members_without_weight_change_no_expected_improvement(ensemble: GridEnsembleGP) -> None:
    X, best_f = ensemble.candidates, ensemble.factors.y.max()
    mean, _, log_weights = ensemble.weighted_moments(X)
    assert 0 < len(mean) < len(ensemble.nuggets)
    assert_allclose(log_weights.exp().sum(), 1.0)
    ours = weighted_log_expected_improvement(ensemble, X, best_f)
    all_members = WeightedLogExpectedImprovement(ensemble, best_f)(X[:, None])
    promising = all_members > all_members.max() - 5.0
    assert_allclose(ours[promising], all_members[promising], atol=1e-6)


def test_a_member_counts_again_when_its_weight_comes_back(ensemble: GridEnsembleGP) -> None:
    X, y = ensemble.factors.X.clone(), ensemble.factors.y.clone()
    light = int(ensemble.log_weights.argmin())
    before = ensemble.log_prior.clone()
    try:
        ensemble.log_prior[light] += 1e4  # as if the evidence had turned
        ensemble.condition(X, y)
        mean, variance, log_weights = ensemble.weighted_moments(ensemble.candidates)
        everywhere = ensemble.member_moments(ensemble.candidates)
        assert log_weights.tolist() == [0.0]
        assert torch.equal(mean[0], everywhere[0][light])
        assert torch.equal(variance[0], everywhere[1][light])
    finally:
        ensemble.log_prior.copy_(before)
        ensemble.condition(X, y)


@pytest.mark.parametrize("ratio", [1.0, 2.5])
def test_what_is_computed_while_a_point_is_measured_changes_no_decision(ratio: float) -> None:
    agents = [BayesianAgent(SPACE, seed=1, n_start=5) for _ in range(2)]
    assert isinstance(agents[0], ForeseesOutcomes)
    waits, foresees = (
        _searched(a, 30, ratio=ratio, foresees=f) for a, f in zip(agents, (0, 1), strict=True)
    )
    assert waits == foresees


def test_after_an_outcome_nothing_of_its_position_is_left_to_compute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = BayesianAgent(SPACE, n_start=5)
    _searched(agent, 12)
    point = agent.suggest()[0]
    agent.foresee()
    factors = agent._model.factors.exact
    solved: list[torch.Tensor] = []
    solve = factors._forward_solve
    monkeypatch.setattr(factors, "_forward_solve", lambda x: solved.append(x) or solve(x))
    agent.ingest([{**point, "objective": 40.0, "noise_ratio": 1.7}])
    agent.suggest()
    assert solved == []
    assert factors is agent._model.factors.exact


def test_runs_recorded_without_the_rule_weigh_all_members() -> None:
    assert "sparing" in DECIDED
    assert rules_of(None, DECIDED)["sparing"]
    settings = {
        "target": "field:det",
        "agent": "bayesian",
        "agent_options": {},
        "seed": 0,
        "budget": 9,
        "grid": SPACE.to_dict(),
    }
    axes = FrameAxes.channels((1, 1))
    assert build_steering(settings, axes).agent.sparing is False  # type: ignore[attr-defined]
    today = build_steering(settings | {"sparing": True}, axes)
    assert today.agent.sparing is True  # type: ignore[attr-defined]


def test_saved_states_of_either_rule_are_told_apart() -> None:
    old = make_agent("bayesian", SPACE, seed=0, sparing=False)
    new = make_agent("bayesian", SPACE, seed=0)
    new.load_state_dict(new.state_dict())  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="the same settings, got sparing"):
        old.load_state_dict(new.state_dict())  # type: ignore[attr-defined]
