"""The ensemble against dense algebra in numpy, and against GPyTorch's own exact prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from bl_steer.agents.factors import GrowingFactors, KernelName, correlation
from bl_steer.agents.scales import plain_metric
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.protocols import Array

AXIS = torch.arange(0.0, 60.0, 5.0, dtype=torch.float64)
CANDIDATES = torch.cartesian_prod(AXIS, AXIS).flip(1).contiguous()
KERNELS: list[KernelName] = ["rbf", "matern52"]
NUGGETS = (1e-4, 1e-3, 1e-2)
"""Above the smallest default, so that 1e-9 is a fair demand on dense algebra."""


def _data(n: int, *, seed: int = 0, off_grid: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    X = CANDIDATES[torch.tensor(rng.permutation(len(CANDIDATES))[:n])].clone()
    X[:off_grid] += torch.tensor(rng.uniform(-2, 2, (off_grid, 2)))
    y = np.sin(X[:, 0].numpy() / 9) + np.cos(X[:, 1].numpy() / 13) + 3 + rng.normal(0, 0.1, n)
    return X, torch.tensor(y)


def _model(kernel: KernelName = "rbf", nuggets: tuple[float, ...] = NUGGETS) -> GridEnsembleGP:
    metrics = [plain_metric(CANDIDATES.numpy(), 5.0)]
    return GridEnsembleGP(CANDIDATES, metrics=metrics, kernel=kernel, nuggets=nuggets)


def _dense_correlation(A: Array, B: Array, lengthscale: float, kernel: KernelName) -> Array:
    r = np.linalg.norm(A[:, None] - B[None], axis=-1) / lengthscale
    if kernel == "rbf":
        return np.exp(-(r**2) / 2)
    return (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def _ratios(n: int, *, seed: int = 0) -> torch.Tensor:
    """Noise ratios of a beam that falls to a hundredth and comes back stronger."""
    return torch.tensor(10 ** np.random.default_rng(seed).uniform(-0.3, 2.0, n))


@pytest.mark.parametrize("ratios", [None, _ratios(30)], ids=["equal noise", "noise per point"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_posterior_likelihood_mean_and_amplitude_equal_dense_algebra(
    kernel: KernelName, ratios: torch.Tensor | None
) -> None:
    X, y = _data(30, off_grid=3)
    model = _model(kernel)
    model.condition(X, y, ratios)
    noise = np.ones(30) if ratios is None else ratios.numpy()
    posterior = model.posterior(model.candidate_X)
    A, b, C = X.numpy(), y.numpy(), CANDIDATES.numpy()
    ones = np.ones(len(b))
    for m in range(24):
        lengthscale, nugget = float(model.lengthscales[m]), float(model.nuggets[m])
        K = _dense_correlation(A, A, lengthscale, kernel) + nugget * np.diag(noise)
        k = _dense_correlation(A, C, lengthscale, kernel)
        constant = ones @ np.linalg.solve(K, b) / (ones @ np.linalg.solve(K, ones))
        amplitude2 = (b - constant) @ np.linalg.solve(K, b - constant) / len(b)
        mean = constant + k.T @ np.linalg.solve(K, b - constant)
        variance = amplitude2 * (1 - np.einsum("nc,nc->c", k, np.linalg.solve(K, k)))
        evidence = multivariate_normal(constant * ones, amplitude2 * K).logpdf(b)
        assert_allclose(model.constant[m], constant, rtol=1e-9)
        assert_allclose(model.amplitude_variance[m], amplitude2, rtol=1e-9)
        assert_allclose(model.log_likelihood[m], evidence, rtol=1e-9)
        assert_allclose(posterior.mean[:, m, 0, 0], mean, rtol=1e-9, atol=1e-9)
        assert_allclose(posterior.variance[:, m, 0, 0], variance, rtol=1e-7, atol=1e-9)


def test_weights_are_likelihood_times_a_prior_around_the_middle_of_the_range() -> None:
    model = _model()
    model.condition(*_data(12))
    middle = np.sqrt(5.0 * 0.25 * 55.0)
    prior = np.exp(-0.5 * (np.log(model.lengthscales.numpy() / middle) / 0.7) ** 2)
    likelihood = np.exp(model.log_likelihood.numpy() - model.log_likelihood.numpy().max())
    expected = prior * likelihood / (prior * likelihood).sum()
    assert_allclose(model.log_weights.exp(), expected, rtol=1e-12)


@pytest.mark.parametrize("ratios", [None, _ratios(25)], ids=["equal noise", "noise per point"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_posterior_equals_gpytorchs_exact_prediction(
    kernel: KernelName, ratios: torch.Tensor | None
) -> None:
    model = _model(kernel)
    X, y = _data(25)
    model.condition(X, y, ratios)
    grid = model.posterior(model.candidate_X)
    theirs = model(CANDIDATES.expand(24, -1, -1))
    assert_allclose(grid.mean[:, :, 0, 0].T, theirs.mean, rtol=1e-8)
    assert_allclose(grid.variance[:, :, 0, 0].T, theirs.variance, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("ratios", [None, _ratios(25)], ids=["equal noise", "noise per point"])
def test_a_joint_posterior_of_several_points_comes_from_gpytorch(
    ratios: torch.Tensor | None,
) -> None:
    model = _model()
    model.condition(*_data(25), ratios)
    pair = CANDIDATES[:2] + 1.0
    joint = model.posterior(pair[None])
    assert joint.mean.shape == (1, 24, 2, 1)
    mean, variance = model.member_moments(pair)
    assert_allclose(joint.mean[0, :, :, 0], mean, rtol=1e-8)
    assert_allclose(joint.variance[0, :, :, 0], variance, rtol=1e-6, atol=1e-9)


def test_prediction_off_the_grid_agrees_with_the_cached_one_on_it() -> None:
    model = _model()
    model.condition(*_data(25))
    cached = model.member_moments(CANDIDATES)
    dense = model.member_moments(CANDIDATES[:50] + 1e-12)
    assert_allclose(dense[0], cached[0][:, :50], rtol=1e-10)
    assert_allclose(dense[1], cached[1][:, :50], rtol=1e-7, atol=1e-10)
    some = model.member_moments(CANDIDATES[7:9])
    assert torch.equal(torch.stack(some), torch.stack(cached)[..., 7:9])


@pytest.mark.parametrize("ratios", [None, _ratios(10)], ids=["equal noise", "noise per point"])
def test_observation_noise_adds_the_members_noise_variance_at_the_nominal_beam(
    ratios: torch.Tensor | None,
) -> None:
    model = _model()
    model.condition(*_data(10), ratios)
    plain = model.posterior(model.candidate_X).variance
    noisy = model.posterior(model.candidate_X, observation_noise=True).variance
    assert_allclose((noisy - plain)[5, :, 0, 0], model.noise_variance, rtol=1e-9)


def test_adding_points_one_by_one_equals_taking_them_at_once_bit_for_bit() -> None:
    X, y = _data(70, off_grid=5)
    step, batch = _model(), _model()
    for n in range(1, 71):
        step.condition(X[:n], y[:n])
    batch.condition(X, y)
    ours, theirs = step.member_moments(CANDIDATES), batch.member_moments(CANDIDATES)
    assert torch.equal(torch.stack(ours), torch.stack(theirs))
    assert torch.equal(step.log_weights, batch.log_weights)


def test_ratios_of_one_are_the_arithmetic_without_ratios_bit_for_bit() -> None:
    X, y = _data(40, off_grid=4)
    without, ones = _model(), _model()
    without.condition(X, y)
    ones.condition(X, y, torch.ones(40, dtype=torch.float64))
    ours, theirs = without.member_moments(CANDIDATES), ones.member_moments(CANDIDATES)
    assert torch.equal(torch.stack(ours), torch.stack(theirs))
    assert torch.equal(without.log_weights, ones.log_weights)


def test_ratios_that_change_later_equal_those_known_from_the_start_bit_for_bit() -> None:
    X, y = _data(70)
    ratios = _ratios(70)
    corrected, known, step = _model(), _model(), _model()
    corrected.condition(X, y)
    corrected.condition(X, y, ratios)
    known.condition(X, y, ratios)
    for n in range(1, 71):
        step.condition(X[:n], y[:n], ratios[:n])
    expected = torch.stack(known.member_moments(CANDIDATES))
    assert torch.equal(torch.stack(corrected.member_moments(CANDIDATES)), expected)
    assert torch.equal(torch.stack(step.member_moments(CANDIDATES)), expected)


def test_labelling_anew_equals_fitting_anew_bit_for_bit_and_keeps_the_factors() -> None:
    X, y = _data(20)
    relabelled, refitted = _model(), _model()
    relabelled.condition(X, y)
    before = relabelled.factors
    relabelled.condition(X, y.exp())
    refitted.condition(X, y.exp())
    assert relabelled.factors is before
    ours, theirs = relabelled.member_moments(CANDIDATES), refitted.member_moments(CANDIDATES)
    assert torch.equal(torch.stack(ours), torch.stack(theirs))


def test_removing_a_point_equals_never_having_measured_it() -> None:
    X, y = _data(20)
    kept = torch.arange(20) != 7
    model, never = _model(), _model()
    model.condition(X, y)
    model.condition(X[kept], y[kept])
    never.condition(X[kept], y[kept])
    assert torch.equal(model.log_weights, never.log_weights)


def test_a_nugget_of_1e_8_bears_a_full_grid_and_repeated_points() -> None:
    model = _model(nuggets=(1e-8, 1e-4, 1e-2))
    X, y = _data(len(CANDIDATES))
    X[1::2] = X[:-1:2]
    model.condition(X, y)
    mean, variance = model.member_moments(CANDIDATES)
    assert bool(torch.isfinite(mean).all())
    assert bool((variance > 0).all())


def test_a_flat_map_gives_finite_weights() -> None:
    model = _model()
    X, _ = _data(8)
    for level in (0.0, 5.0):
        model.condition(X, torch.full((8,), level, dtype=torch.float64))
        assert bool(torch.isfinite(model.log_weights).all())


def test_factors_grow_past_their_first_block_without_a_trace() -> None:
    X, y = _data(40)
    settings = {
        "lengthscales": torch.tensor([5.0, 20.0], dtype=torch.float64),
        "nuggets": torch.tensor([1e-3, 1e-2], dtype=torch.float64),
    }
    small = GrowingFactors(CANDIDATES, **settings, kernel="rbf", block=8)
    large = GrowingFactors(CANDIDATES, **settings, kernel="rbf", block=64)
    for factors in (small, large):
        for x in X:
            factors.add_point(x)
        factors.label(y)
    assert_allclose(small.L, large.L, rtol=1e-14)
    assert_allclose(small.VtW, large.VtW, rtol=1e-12, atol=1e-12)
    K = small.rows_of(X) + settings["nuggets"][:, None, None] * torch.eye(40, dtype=torch.float64)
    assert_allclose(small.L @ small.L.mT, K, rtol=1e-10, atol=1e-12)
    assert_allclose(small.log_det, torch.logdet(K), rtol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_correlation_is_one_at_distance_zero_and_falls(kernel: KernelName) -> None:
    values = correlation(torch.tensor([0.0, 1.0, 4.0, 1e4]), torch.tensor(2.0), kernel)
    assert values[0] == 1.0
    assert bool((values.diff() < 0).all())
