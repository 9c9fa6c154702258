"""The batched fit against the film that the patterns were drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.film import PeakShape, fit_patterns
from bl_steer.analysis.film.pattern_model import PatternModel, Patterns
from bl_steer.analysis.film.pixels import PixelLattice
from bl_steer.analysis.film.scoring import fitted
from bl_steer.diffraction import FrameAxes, Reflection, film_of_peaks, peak_position

Measured = Callable[[str, float], Any]
BOTH = (Reflection.parse("0,2,2"), Reflection.parse("0,-2,2"))
BRIGHT, DIM = ("multi-domain", 10.0), ("noisy", 50.0)


@pytest.mark.parametrize("film", [BRIGHT, DIM], ids=["bright", "dim"])
def test_composition_relaxation_and_tilt_are_right_and_their_intervals_cover_them(
    film: tuple[str, float], measured: Measured
) -> None:
    maps = measured(*film)
    enough = maps.counts >= 200
    q = np.stack([fit.position[:, 1] for fit in maps.fits], axis=1)[enough]
    covariance = np.stack([fit.covariance[:, 1, 1:, 1:] for fit in maps.fits], axis=1)[enough]
    states = film_of_peaks(q, covariance, BOTH, {})
    error = np.abs(states.values[:, :3] - maps.truth[enough])
    assert (np.median(error, axis=0) <= [0.005, 0.02, 0.01]).all()
    sd = np.sqrt(np.einsum("nii->ni", states.covariance)[:, :3])
    covered = (error <= 1.96 * sd).mean(axis=0)
    assert ((covered >= 0.90) & (covered <= 0.98)).all(), covered
    counts = maps.fits[0].counts[enough, 1] / maps.counts[enough]
    assert np.median(counts) == pytest.approx(1.0, abs=0.03)


def test_shapes_and_the_place_of_the_substrate_are_learned(measured: Measured) -> None:
    fit = measured(*BRIGHT).fits[0]
    matrix, rich, substrate = (np.sqrt(np.linalg.eigvalsh(s.covariance)) for s in fit.shapes)
    np.testing.assert_allclose(rich, [0.005 * 1.06, 0.0095 * 1.08], rtol=0.01)
    np.testing.assert_allclose(substrate, [0.005 * 0.70, 0.0095 * 0.55], rtol=0.01)
    assert (matrix > [0.005 * 1.1, 0.0095 * 1.05]).all()  # two sublayers apart
    np.testing.assert_allclose(fit.substrate, peak_position(0.0, 1.0), atol=3e-5)
    assert np.median(fit.misfit) == pytest.approx(1.0, abs=0.02)


def voigt_patterns(n: int, counts: float, seed: int) -> tuple[FrameAxes, Any, Any]:
    """Peaks with the tails of a Lorentzian, at places that differ from pattern to pattern."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(2.24, 2.345, 33)
    axes = FrameAxes(axis, axis.copy())
    centre = np.array(peak_position(0.35, 0.9)) + rng.normal(0.0, 0.004, (n, 2))
    offset = np.stack(axes.mesh(), axis=-1) - centre[:, None]
    square = (offset**2).sum(axis=2) / 0.006**2
    density = 0.6 * np.exp(-0.5 * square) + 0.4 * (1.0 + square) ** -1.5
    pixel = (axis[1] - axis[0]) ** 2 / (2.0 * np.pi * 0.006**2)
    return axes, centre, rng.poisson(counts * pixel * density + 0.3)


def test_the_errors_hold_for_tails_that_the_model_does_not_have() -> None:
    axes, centre, counts = voigt_patterns(400, 30_000.0, seed=2)
    values = counts.astype(np.float32)
    start = np.array([peak_position(0.35, 0.9)])
    fit = fit_patterns(Patterns(values, np.ones_like(values)), axes, start, width=0.006)
    covered = coverage(fit.position[:, 0] - centre, fit.covariance[:, 0])
    assert fit.model_error > 0.01
    assert covered.min() >= 0.95
    assert np.median(np.abs(fit.position[:, 0] - centre)) < 1e-4


def test_the_models_own_error_is_in_the_errors(measured: Measured) -> None:
    """Two sublayers of 50,000 counts at one peak: noise alone covers too little."""
    maps = measured(*BRIGHT)
    pairs = list(zip(maps.fits, maps.matrix, strict=True))
    by_noise = [coverage(f.position[:, 0] - true, f.noise[:, 0]) for f, true in pairs]
    whole = [coverage(f.position[:, 0] - true, f.covariance[:, 0]) for f, true in pairs]
    assert np.mean(by_noise) < 0.92
    assert 0.925 < np.mean(whole) < 0.98


def coverage(error: Any, covariance: Any) -> Any:
    """Return the share of q_par and q_perp within their 95 % intervals."""
    sd = np.sqrt(np.einsum("nii->ni", covariance)[:, 1:])
    return (np.abs(error) <= 1.96 * sd).mean(axis=0)


def test_the_shape_keeps_one_count_and_its_centroid_whatever_its_corrections() -> None:
    change = np.array([0.1, 0.05, -0.05, 0.1, -0.05, 0.1, 0.05, 0.02, 0.01, 0.03, 0.02, -0.02, 0.3])
    shape = PeakShape.gaussian(np.array([[4e-5, 1e-5], [1e-5, 6e-5]])).corrected(change)
    axis = np.linspace(-0.15, 0.15, 601)
    along, normal = np.meshgrid(axis, axis)
    density = shape.density(along, normal) * (axis[1] - axis[0]) ** 2
    assert density.sum() == pytest.approx(1.0, abs=1e-6)
    assert (density * along).sum() == pytest.approx(0.0, abs=1e-9)
    assert (density * normal).sum() == pytest.approx(0.0, abs=1e-9)


def test_expected_values_and_slopes_are_those_of_the_shapes() -> None:
    axis = np.linspace(2.24, 2.345, 33)
    pixels = PixelLattice.of(FrameAxes(axis, axis[:25]))
    shape = PeakShape.gaussian(np.diag([4e-5, 6e-5]))
    model = PatternModel.of([shape, shape], np.array([20.0, 11.0]), pixels)

    def drawn(counts: float, column: float, row: float) -> Any:
        offset = pixels.mesh() - pixels.to_q(np.array([column, row]))
        return counts * pixels.area * shape.density(offset[:, 0], offset[:, 1])

    expected, slopes = model.evaluate(np.array([[5000.0, 12.31, 9.77, 3000.0, 2.0]]))
    exact = drawn(5000.0, 12.31, 9.77) + drawn(3000.0, 20.0, 11.0) + 2.0
    np.testing.assert_allclose(expected[0], exact, atol=2e-3 * exact.max())
    right = (drawn(5000.0, 12.32, 9.77) - drawn(5000.0, 12.30, 9.77)) / 0.02
    down = (drawn(5000.0, 12.31, 9.78) - drawn(5000.0, 12.31, 9.76)) / 0.02
    for slope, true in zip(slopes[0, 1:3], (right, down), strict=True):
        np.testing.assert_allclose(slope, true, atol=0.06 * np.abs(true).max())


def test_cells_without_a_measurement_do_not_count() -> None:
    axes, centre, counts = voigt_patterns(30, 3000.0, seed=3)
    model = PatternModel.of([PeakShape.gaussian(np.eye(2) * 0.006**2)], None, PixelLattice.of(axes))
    inside = np.ones(counts.shape, dtype=np.float32)
    inside[:, ::3] = 0.0
    start = np.column_stack([np.full(30, 2e3), model.pixels.to_pixels(centre), np.full(30, 0.3)])
    spoiled = np.where(inside > 0, counts, 1e4).astype(np.float32) * inside
    params = fitted(model, Patterns(spoiled, inside), start, iterations=30)
    assert np.median(params[:, 0]) == pytest.approx(3000.0, rel=0.25)
    assert np.abs(model.pixels.to_q(params[:, 1:3]) - centre).max() < 1e-3
