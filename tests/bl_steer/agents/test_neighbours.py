"""Thousands of points: later rows of the factors know their neighbours only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bl_steer.agents import BayesianAgent, Space, surrogate
from bl_steer.agents.ensemble import neighbours
from bl_steer.agents.ensemble.neighbours import (
    MEMORY,
    MOST_ROWS,
    NEIGHBOURS,
    NeighbourFactors,
    rows_within,
)
from bl_steer.agents.exploring import surprises
from bl_steer.agents.factors import GrowingFactors

AXIS = np.arange(20) * 5.0
SPACE = Space.grid(AXIS, AXIS)
CANDIDATES = torch.tensor(SPACE.points)
ALL = slice(None)


def _exact() -> GrowingFactors:
    return GrowingFactors(
        CANDIDATES,
        lengthscales=torch.tensor([3.0, 8.0, 20.0], dtype=torch.float64),
        nuggets=torch.tensor([1e-3, 1e-2, 1e-2], dtype=torch.float64),
        kernel="rbf",
        in_blocks=True,
    )


@pytest.fixture(scope="module")
def data() -> tuple[torch.Tensor, torch.Tensor]:
    X = CANDIDATES[torch.tensor(np.random.default_rng(0).permutation(400)[:200])].clone()
    X[::9] += 0.7  # between the cells
    return X, torch.sin(X[:, 0] / 9) + torch.cos(X[:, 1] / 13)


def _filled(factors: NeighbourFactors | GrowingFactors, X: torch.Tensor, y: torch.Tensor) -> None:
    for row, x in enumerate(X):
        factors.add_point(x, 1.0 + (row % 3))
    factors.label(y)


def test_later_rows_say_what_exact_ones_do(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    exact, local = _exact(), NeighbourFactors(_exact(), n_exact=130)
    _filled(exact, *data)
    _filled(local, *data)
    assert not local.is_exact
    assert local.n_rows == len(local.X) == len(local.noise_ratios) == 200
    ours, theirs = local.at_candidates(ALL), exact.at_candidates(ALL)
    assert_allclose(ours[0][0], theirs[0][0], atol=1e-3)  # short lengths: all that matters is near
    assert_allclose(ours[1][0], theirs[1][0], atol=1e-6)
    assert_allclose(ours[0], theirs[0], atol=0.05)
    assert_allclose(ours[1], theirs[1], atol=5e-3)
    cells = np.arange(60)
    for member in range(3):
        known = exact.covariance(member, CANDIDATES[40:42], cells)
        assert_allclose(local.covariance(member, CANDIDATES[40:42], cells), known, atol=0.02)
    between = CANDIDATES[:150] + 1.1
    assert_allclose(local.solved(between)[0], exact.solved(between)[0], atol=0.05)
    assert_allclose(local.log_det, exact.log_det, rtol=5e-3)
    assert_allclose(local.W.square().sum(1), exact.W.square().sum(1), rtol=0.05)


def test_up_to_the_limit_all_rows_are_exact(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    exact, local = _exact(), NeighbourFactors(_exact(), n_exact=200)
    _filled(exact, *data)
    _filled(local, *data)
    assert local.is_exact
    assert torch.equal(local.at_candidates(ALL)[0], exact.at_candidates(ALL)[0])
    assert torch.equal(local.W, exact.W)


def test_later_rows_are_a_function_of_rows_and_targets_alone(
    data: tuple[torch.Tensor, torch.Tensor],
) -> None:
    X, y = data
    at_once, by_steps = (NeighbourFactors(_exact(), n_exact=130) for _ in range(2))
    _filled(at_once, X, y)
    for row, x in enumerate(X):
        by_steps.add_point(x, 1.0 + (row % 3))
        if row % 7 == 0 and row + 1 < len(X):
            by_steps.foresee(X[row + 1])
            by_steps.label(2.0 * y[: row + 1])
            by_steps.at_candidates(slice(0, 2))
    by_steps.label(y)
    for ours, theirs in zip(by_steps.at_candidates(ALL), at_once.at_candidates(ALL), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(by_steps.W, at_once.W)
    assert torch.equal(by_steps.log_det, at_once.log_det)


def test_memory_of_exact_rows_is_bounded() -> None:
    assert rows_within(24, 961) == MOST_ROWS
    for members, candidates in ((24, 4096), (48, 4096), (120, 961)):
        rows = rows_within(members, candidates)
        assert rows > 2 * NEIGHBOURS
        assert 8 * members * candidates * rows <= MEMORY


def _height(x: float, y: float) -> float:
    late = 150 * np.exp(-((x - 90) ** 2 + (y - 5) ** 2) / 20)
    return float(late + 40 + 20 * np.sin(x / 11) * np.cos(y / 7) + 2 * np.sin(7 * x + 5 * y))


def test_a_long_search_finds_a_maximum_late_and_can_be_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surrogate, "rows_within", lambda members, candidates: 40)
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 16)
    late = SPACE.forbid([{"circle": [90.0, 5.0, 16.0]}])  # out of reach at first
    agent = BayesianAgent(late, seed=2)

    def measure(n: int) -> None:
        for _ in range(n):
            point = agent.suggest()[0]
            agent.foresee()
            agent.ingest([{**point, "objective": _height(point["x"], point["y"])}])

    measure(70)
    assert agent.recommend().mean < 70
    state, agent = agent.state_dict(), BayesianAgent(SPACE, seed=2)
    agent.load_state_dict(state)
    measure(45)
    assert (agent.recommend().x, agent.recommend().y) == (90.0, 5.0)
    restored = BayesianAgent(SPACE, seed=2)
    restored.load_state_dict(agent.state_dict())
    assert restored.suggest() == agent.suggest()
    assert repr(restored.explain()) == repr(agent.explain())


def test_a_bright_place_surprises_among_later_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "rows_within", lambda members, candidates: 70)
    rng = np.random.default_rng(3)
    X = torch.tensor(SPACE.points[rng.permutation(len(SPACE))[:120]])
    y = torch.sin(X[:, 0] / 30) + torch.tensor(rng.normal(0, 0.01, 120))
    y[100] += 0.5
    model = surrogate.GridEnsembleGP(CANDIDATES, metrics=SPACE.metrics, kernel="rbf")
    model.condition(X, y)
    z = surprises(model)
    assert z.argmax() == 100
    assert z[100] > 3.0
    assert_allclose(surprises(model, np.array([7, 100])), z[[7, 100]])
