"""Outcomes with noise of their own: told, kept, weighed, and left alone by the baselines."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP
from gpytorch.kernels import RBFKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from bl_steer.agents import AGENT_NAMES, BayesianAgent, ContinuousAgent, Space, make_agent
from bl_steer.agents.ensemble.likelihood import RatioNoiseLikelihood

AXIS = np.arange(0.0, 105.0, 5.0)
FILM = Space.grid(AXIS, AXIS)


def hill(x: float, y: float) -> float:
    return float(1000 * np.exp(-((x - 60) ** 2 + (y - 75) ** 2) / 300) + 40)


def steer(agent: Any, n: int, ratios: dict[int, float], *, told: bool) -> None:
    """Measure n points; where there was less beam, its photons are few, and scaled up."""
    rng = np.random.default_rng(1)
    for number in range(n):
        point = agent.suggest()[0]
        ratio = ratios.get(number, 1.0)
        counts = rng.poisson(hill(point["x"], point["y"]) / ratio)
        outcome = {**point, "objective": float(ratio * counts)}
        agent.ingest([{**outcome, "noise_ratio": ratio} if told else outcome])


def test_one_photon_of_a_beam_that_was_gone_draws_nobody_when_its_noise_is_told() -> None:
    spots = {}
    for told in (True, False):
        agent = BayesianAgent(FILM, seed=0)
        steer(agent, 20, {}, told=told)
        agent.ingest(
            [{"x": 5.0, "y": 5.0, "objective": 3000.0} | ({"noise_ratio": 3000.0} if told else {})]
        )
        steer(agent, 15, {}, told=told)
        spots[told] = agent.recommend()
    assert np.hypot(spots[True].x - 60, spots[True].y - 75) <= 5
    assert (spots[False].x, spots[False].y) == (5.0, 5.0)


def test_ratios_of_one_change_no_bit_of_a_decision() -> None:
    agents = [BayesianAgent(FILM, seed=3), BayesianAgent(FILM, seed=3)]
    for agent, told in zip(agents, (True, False), strict=True):
        steer(agent, 18, {}, told=told)
    assert agents[0].suggest() == agents[1].suggest()
    assert repr(agents[0].explain()) == repr(agents[1].explain())
    assert repr(agents[0].recommend()) == repr(agents[1].recommend())
    assert agents[0].state_dict() == agents[1].state_dict()


@pytest.mark.parametrize("make", [BayesianAgent, ContinuousAgent])
def test_a_restored_agent_remembers_the_noise(make: Any) -> None:
    agent, restored = make(FILM, seed=1, n_start=4), make(FILM, seed=1, n_start=4)
    steer(agent, 8, {2: 50.0, 6: 7.5}, told=True)
    restored.load_state_dict(json.loads(json.dumps(agent.state_dict(), allow_nan=False)))
    assert restored.suggest() == agent.suggest()
    assert repr(restored.explain()) == repr(agent.explain())


def test_an_outcome_told_again_without_a_ratio_counts_as_one_at_the_nominal_beam() -> None:
    agents = [BayesianAgent(FILM, seed=1, n_start=3) for _ in range(2)]
    for agent, ratio in zip(agents, (20.0, 1.0), strict=True):
        steer(agent, 6, {}, told=True)
        agent.ingest([{"_id": 4, "objective": 7.0, "noise_ratio": ratio}])
        agent.ingest([{"_id": 4, "objective": 7.0}])
    assert agents[0].state_dict() == agents[1].state_dict()


@pytest.mark.parametrize("name", ["random", "sobol", "raster"])
def test_baselines_go_on_as_without_ratios(name: str) -> None:
    assert name in AGENT_NAMES
    agents = [make_agent(name, FILM, seed=2) for _ in range(2)]
    for agent, told in zip(agents, (True, False), strict=True):
        steer(agent, 6, {1: 9.0, 4: 2.0}, told=told)
    assert agents[0].suggest() == agents[1].suggest()


@pytest.mark.parametrize("ratio", [0.0, -1.0, np.nan, np.inf, None, "much"])
def test_a_ratio_that_is_none_is_refused(ratio: Any) -> None:
    agent = BayesianAgent(FILM)
    agent.suggest()
    with pytest.raises(ValueError, match=r"noise_ratio must be a (finite )?number"):
        agent.ingest([{"_id": 0, "objective": 1.0, "noise_ratio": ratio}])


def test_botorchs_model_with_ratios_equals_dense_algebra() -> None:
    rng = np.random.default_rng(0)
    X, new = rng.uniform(0, 1, (12, 3)), rng.uniform(0, 1, (5, 3))
    y = np.sin(5 * X.sum(axis=1))
    ratios = 10 ** rng.uniform(-0.3, 2.0, 12)
    model = SingleTaskGP(
        torch.tensor(X),
        torch.tensor(y)[:, None],
        covar_module=RBFKernel(),
        likelihood=RatioNoiseLikelihood(GaussianLikelihood(), torch.tensor(ratios)),
        outcome_transform=None,
    )
    model.covar_module.lengthscale = 0.6
    model.likelihood.noise = 0.03
    model.mean_module.constant.data.fill_(0.2)
    evidence = ExactMarginalLogLikelihood(model.likelihood, model.train())
    inputs = list(model.train_inputs)
    ours = evidence(model(*inputs), model.train_targets, inputs).item()
    K = np.exp(-((X[:, None] - X[None]) ** 2).sum(-1) / (2 * 0.36)) + 0.03 * np.diag(ratios)
    assert_allclose(12 * ours, multivariate_normal(np.full(12, 0.2), K).logpdf(y), rtol=1e-6)
    k = np.exp(-((X[:, None] - new[None]) ** 2).sum(-1) / (2 * 0.36))
    posterior = model.eval().posterior(torch.tensor(new), observation_noise=True)
    mean = 0.2 + k.T @ np.linalg.solve(K, y - 0.2)
    variance = 1 + 0.03 - np.einsum("nc,nc->c", k, np.linalg.solve(K, k))
    assert_allclose(posterior.mean[:, 0].detach(), mean, rtol=1e-6)
    assert_allclose(posterior.variance[:, 0].detach(), variance, rtol=1e-6)
