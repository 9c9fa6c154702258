"""Once nothing is to be gained from known hills, the agent looks for hills that it never saw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.exploring import surprises
from bl_steer.agents.surrogate import NUGGETS, GridEnsembleGP
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array
from bl_steer.steering import build_steering
from plans.stubs.options import DECIDED, rules_of

AXIS = np.arange(0.0, 105.0, 5.0)
FILM = Space.grid(AXIS, AXIS)


def film(x: Array, y: Array, *, width: float = 8.0) -> Array:
    """A broad hill of half the height of a narrow one, of this full width at half maximum."""
    broad = 0.5 * np.exp(-((x - 20) ** 2 + (y - 25) ** 2) / 1000)
    return np.asarray(
        broad + np.exp(-4 * np.log(2) * ((x - 75) ** 2 + (y - 70) ** 2) / width**2) + 0.05
    )


def searched(n: int, *, explores: bool) -> tuple[BayesianAgent, list[str], Array]:
    agent = BayesianAgent(FILM, seed=0, explores=explores)
    rng = np.random.default_rng(1)
    reasons, places = [], []
    for _ in range(n):
        point = agent.suggest()[0]
        reasons.append(agent.explain().reason)
        places.append((point["x"], point["y"]))
        counts = rng.poisson(4e4 * film(*np.array(places[-1:]).T))
        agent.ingest([{**point, "objective": float(counts[0])}])
    return agent, reasons, np.array(places)


def test_a_hill_narrower_than_the_start_design_is_found_beside_a_broad_one() -> None:
    agent, reasons, _ = searched(60, explores=True)
    assert {"improve", "explore"} <= set(reasons)
    spot = agent.recommend()
    assert (spot.x, spot.y) == (75.0, 70.0)
    unaware, reasons, places = searched(60, explores=False)
    assert "explore" not in reasons
    assert np.hypot(*(places - [75, 70]).T).min() > 5.0  # as every search before
    assert "explores" not in unaware.settings


def test_the_broad_hill_is_climbed_first() -> None:
    _, reasons, places = searched(30, explores=True)
    first = reasons.index("explore")
    assert np.hypot(*(places[:first] - [20, 25]).T).min() <= 5.0


def textured_map(seed: int) -> Array:
    """A hill whose cells differ by 30 % from what a smooth map would have."""
    x, y = FILM.points.T
    smooth = 0.05 + np.exp(-((x - 60) ** 2 + (y - 45) ** 2) / 450)
    texture = np.random.default_rng(seed).normal(size=len(FILM))
    return np.asarray(smooth * np.exp(0.3 * texture))


def until_bright(truth: Array, n: int, *, textured: bool) -> tuple[int, list[str]]:
    """Return the number of measurements to 95 % of the maximum, and the reasons of all."""
    agent = BayesianAgent(FILM, seed=0, textured=textured)
    reasons: list[str] = []
    for number in range(1, n + 1):
        point = agent.suggest()[0]
        reasons.append(agent.explain().reason)
        cell = FILM.cell_of(point["x"], point["y"])
        if truth[cell] >= 0.95 * truth.max():
            return number, reasons
        agent.ingest([{**point, "objective": float(truth[cell])}])
    return n + 1, reasons


def test_the_brightest_cell_of_a_texture_is_sought_where_it_is_bright() -> None:
    truth = textured_map(2)
    number, reasons = until_bright(truth, 60, textured=True)
    assert number <= 60
    beyond = reasons[reasons.index("explore") :]
    assert "improve" in beyond  # and yet what may hide is looked for, too
    before, reasons = until_bright(truth, 60, textured=False)
    assert before > 60


def test_runs_recorded_without_the_rule_only_look_for_what_may_hide() -> None:
    assert rules_of(None, DECIDED)["textured"]
    settings = {
        "target": "field:det",
        "agent": "bayesian",
        "agent_options": {},
        "seed": 0,
        "budget": 9,
        "grid": FILM.to_dict(),
        "explores": True,
        "sparing": True,
    }
    axes = FrameAxes.channels((1, 1))
    before = build_steering(settings, axes).agent
    today = build_steering(settings | {"textured": True}, axes).agent
    assert isinstance(before, BayesianAgent)
    assert isinstance(today, BayesianAgent)
    assert "textured" not in before.settings
    assert today.settings["textured"] is True


@pytest.mark.parametrize("noisy", [1.0, 4.0])
def test_surprises_are_what_a_model_of_all_other_points_says(noisy: float) -> None:
    rng = np.random.default_rng(2)
    X = torch.tensor(rng.choice(FILM.points, 12, replace=False))
    y = torch.tensor(rng.normal(size=12))
    ratios = torch.ones(12, dtype=torch.float64)
    ratios[5] = noisy
    model = GridEnsembleGP(X, metrics=FILM.metrics, kernel="rbf", nuggets=NUGGETS)
    model.condition(X, y, ratios)
    model.log_weights = torch.full_like(model.log_weights, -torch.inf)
    model.log_weights[7] = 0.0
    correlations = torch.exp(
        -0.5 * torch.cdist(X, X).square() / model.lengthscales[7] ** 2
    ) + torch.diag(ratios * model.nuggets[7])
    others = [i for i in range(12) if i != 5]
    solved = torch.linalg.solve(correlations[others][:, others], correlations[others, 5])
    mean = model.constant[7]
    off = y[5] - mean - solved @ (y[others] - mean)
    variance = correlations[5, 5] - solved @ correlations[others, 5]
    expected = off / (model.amplitude_variance[7] * variance).sqrt()
    assert_allclose(surprises(model)[5], float(expected), rtol=1e-8)
