"""Expected improvement against numerical quadrature and its asymptote."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.integrate import quad

from bl_steer.agents.acquisition import WeightedLogExpectedImprovement, log_expected_improvement
from bl_steer.agents.scales import plain_metric
from bl_steer.agents.surrogate import GridEnsembleGP


def _log_ei_by_quadrature(mean: float, sd: float, best_f: float) -> float:
    """Quadrature of ∫ (f - best) φ((f - mean)/sd)/sd df, f = best + sd t, φ(u) taken out."""
    u = (best_f - mean) / sd

    def integrand(t: float) -> float:
        return t * math.exp(-u * t - 0.5 * t * t)

    peak = (-u + math.sqrt(u * u + 4)) / 2
    end = peak + 40 / max(u, 1.0)
    value, _ = quad(integrand, 0.0, end, points=[peak], epsabs=0, epsrel=1e-11)
    return math.log(value) - 0.5 * u * u - 0.5 * math.log(2 * math.pi) + math.log(sd)


@pytest.mark.parametrize("mean", [2.0, 1.0, 0.0, -3.0, -20.0, -100.0, -1e4])
@pytest.mark.parametrize("sd", [0.3, 1.0])
def test_log_ei_equals_quadrature_into_the_deep_tail(mean: float, sd: float) -> None:
    value = log_expected_improvement(
        torch.tensor(mean, dtype=torch.float64), torch.tensor(sd, dtype=torch.float64), 1.0
    )
    assert_allclose(float(value), _log_ei_by_quadrature(mean, sd, 1.0), rtol=1e-9)


def test_ei_is_the_exponential_of_log_ei_where_it_does_not_underflow() -> None:
    def improvement(f: float) -> float:
        density = math.exp(-0.5 * ((f - 0.4) / 0.7) ** 2) / (0.7 * math.sqrt(2 * math.pi))
        return (f - 1.0) * density

    value, _ = quad(improvement, 1.0, 10.0, epsabs=1e-14)
    log_ei = log_expected_improvement(
        torch.tensor(0.4, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64), 1.0
    )
    assert_allclose(math.exp(float(log_ei)), value, rtol=1e-10)


def test_log_ei_keeps_the_order_of_hopeless_candidates() -> None:
    means = -torch.logspace(0, 5, 60, dtype=torch.float64)
    values = log_expected_improvement(means, torch.ones_like(means), 0.0)
    assert bool(torch.isfinite(values).all())
    assert bool((values.diff() < 0).all())


def test_log_ei_follows_its_asymptote() -> None:
    u = 1e5
    value = log_expected_improvement(
        torch.tensor(-u, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64), 0.0
    )
    expected = -0.5 * u * u - 0.5 * math.log(2 * math.pi) - 2 * math.log(u)
    assert_allclose(float(value), expected, rtol=1e-12)


def _model() -> GridEnsembleGP:
    axis = torch.arange(0.0, 50.0, 5.0, dtype=torch.float64)
    candidates = torch.cartesian_prod(axis, axis)
    metrics = [plain_metric(candidates.numpy(), 5.0)]
    model = GridEnsembleGP(candidates, metrics=metrics, kernel="rbf")
    X = candidates[[3, 17, 44, 60, 71, 88]]
    model.condition(X, torch.exp(-((X - 20.0) ** 2).sum(1) / 200))
    return model


def test_the_ensembles_value_is_the_weighted_mean_of_the_members_ei() -> None:
    model = _model()
    values = WeightedLogExpectedImprovement(model, 0.5)(model.candidate_X)
    mean, variance = model.member_moments(model.candidates)
    u = (mean - 0.5) / variance.sqrt()
    density = torch.exp(-0.5 * u**2) / math.sqrt(2 * math.pi)
    ei = variance.sqrt() * (density + u * torch.special.ndtr(u))
    # Where u is far below 0 the naive form cancels; compare where it does not.
    expected = (model.log_weights.exp() @ ei).numpy()
    fine = expected > 1e-6
    assert fine.sum() > 20
    assert_allclose(values.numpy()[fine], np.log(expected[fine]), rtol=1e-6)


def test_a_hopeless_incumbent_leaves_the_ensembles_values_finite_and_distinct() -> None:
    model = _model()
    values = WeightedLogExpectedImprovement(model, 1e6)(model.candidate_X)
    assert bool(torch.isfinite(values).all())
    assert len(values.unique()) > 50


def test_values_on_a_subset_equal_those_on_all_candidates() -> None:
    model = _model()
    acquisition = WeightedLogExpectedImprovement(model, 0.5)
    assert_allclose(
        acquisition(model.candidate_X[:7]), acquisition(model.candidate_X)[:7], rtol=1e-8
    )
