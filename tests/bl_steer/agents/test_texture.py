"""What places have of their own, finer than points lie apart, told from the noise of counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.factors import correlation
from bl_steer.agents.mapping.texture import Texture
from bl_steer.protocols import Array

SPACE = Space.grid(np.arange(0.0, 60.0, 5.0), np.arange(0.0, 60.0, 5.0))
NOISE = 0.02
"""Variance of the outcomes by counting."""


def grainy() -> Array:
    """Return a smooth hill whose cells differ by grains of their own, (n,)."""
    hill = 40.0 * np.exp(-0.5 * ((SPACE.points - 27.0) ** 2).sum(axis=1) / 20.0**2)
    return np.asarray(hill + np.random.default_rng(5).normal(0.0, 2.0, len(SPACE)))


def measured(n: int, **options: Any) -> tuple[BayesianAgent, Array]:
    """Return an agent after n readings, and the cells that it chose."""
    agent = BayesianAgent(SPACE, goal="map", warp="none", **options)
    rng, truth, cells = np.random.default_rng(2), grainy(), []
    for _ in range(n):
        point = agent.suggest()[0]
        cells.append(SPACE.index_of(point["x"], point["y"]))
        reading = truth[cells[-1]] + rng.normal(0.0, np.sqrt(NOISE))
        agent.ingest([{**point, "objective": float(reading)}])
        agent.learn_noise(rng.normal(reading, np.sqrt(NOISE), 200), 1.0)
    return agent, np.array(cells)


def test_the_moments_are_those_of_dense_algebra_with_a_variance_of_each_place() -> None:
    agent, cells = measured(20, n_start=20)
    agent.predict(SPACE.points)
    model = agent._model
    X = np.concatenate([SPACE.points[cells[:3]], SPACE.points[:4], [[1.5, 2.0]]])
    readings = agent._ledger.objectives()
    texture = Texture(model, (SPACE.points[cells], readings, np.ones(20)), NOISE)
    means, variances = texture.moments(X)
    everything = np.concatenate([SPACE.points[cells], X])
    squared = torch.tensor(((everything[:, None] - everything[None]) ** 2).sum(-1))
    same = (everything[:, None] == everything[None]).all(-1)
    for member in (1, 11, 23):
        amplitude = float(model.amplitude_variance[member])
        noise = float(model.noise_variance[member])
        counting = min(NOISE, noise)
        K = amplitude * correlation(squared, model.lengthscales[member], "rbf").numpy()
        K += (noise - counting) * same
        A, b = K[:20, :20] + counting * np.eye(20), K[20:, :20]
        constant = float(model.constant[member])
        mean = constant + b @ np.linalg.solve(A, readings - constant)
        covariance = K[20:, 20:] - b @ np.linalg.solve(A, b.T)
        np.testing.assert_allclose(means[member], mean, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(variances[member], covariance.diagonal(), rtol=1e-6, atol=1e-6)
        K_smooth = amplitude * correlation(squared, model.lengthscales[member], "rbf").numpy()
        b = K_smooth[20:, :20]
        smooth = K_smooth[20:, 20:] - b @ np.linalg.solve(A, b.T)
        found = texture.covariance(member, X, smooth)
        np.testing.assert_allclose(found, covariance, rtol=1e-6, atol=1e-6)


def test_what_is_expected_of_a_grainy_map_is_what_is_seen() -> None:
    agent, cells = measured(40)
    mean, sd = agent.predict(SPACE.points)
    error = mean - grainy()
    expected = np.sqrt(np.mean(sd**2))
    assert np.sqrt(np.mean(error**2)) == pytest.approx(expected, rel=0.25)
    assert np.abs(error[cells]).max() < 4.0 * np.sqrt(NOISE)


def test_without_a_known_noise_readings_are_smoothed() -> None:
    agent, cells = measured(40)
    agent._visits.noise.clear()
    mean, _ = agent.predict(SPACE.points)
    assert np.abs(mean - grainy())[cells].max() > 4.0 * np.sqrt(NOISE)


def test_a_restored_agent_expects_what_the_lost_one_did() -> None:
    lost, _ = measured(25)
    agent = BayesianAgent(SPACE, goal="map", warp="none")
    agent.load_state_dict(lost.state_dict())
    for found, right in zip(agent.predict(SPACE.points), lost.predict(SPACE.points), strict=True):
        np.testing.assert_array_equal(found, right)
