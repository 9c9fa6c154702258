"""Tables of a factorisation, against sums by hand and a bootstrap written out."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.analysis.components import ComponentParams
from bl_steer.analysis.components.factorisation import (
    Factorisation,
    component_table,
    factorise,
    point_table,
)
from bl_steer.diffraction import FrameAxes

AXES = FrameAxes(np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 20.0]))
COMPONENTS = np.array([[4.0, 1.0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1.0, 9.0]])


def mixture(n: int = 30) -> np.ndarray:
    return np.random.default_rng(8).gamma(1.0, 40.0, (n, 2)) @ COMPONENTS


def test_two_disjoint_components_are_found_with_their_shares_and_peaks() -> None:
    patterns, params = mixture(), ComponentParams(n_components=2, n_bootstrap=100)
    fit = factorise(patterns, AXES, params)
    np.testing.assert_allclose(fit.fitted, patterns, atol=0.02 * patterns.max())
    table = component_table(fit, AXES, params)
    first, second = patterns[:, :2].sum(), patterns[:, 6:].sum()
    assert second > first
    expected = np.array([second, first]) / patterns.sum()
    np.testing.assert_allclose(table["share"], expected, atol=0.05)
    assert table["peak_qx"].tolist() == [4.0, 1.0]
    assert table["peak_qz"].tolist() == [20.0, 10.0]
    assert (table["share_low"] <= table["share"]).all()
    assert (table["share"] <= table["share_high"]).all()
    assert np.isnan(table["reference_cosine"]).all()
    assert not table["is_reference"].any()


def test_the_component_of_the_reference_is_named() -> None:
    params = ComponentParams(n_components=2, n_bootstrap=100, reference="box:0.5,2.5,5,15")
    table = component_table(factorise(mixture(), AXES, params), AXES, params)
    assert table["is_reference"].tolist() == [False, True]
    reference = np.array([1.0, 1.0, 0, 0, 0, 0, 0, 0]) / np.sqrt(2.0)
    assert table["reference_cosine"][1] >= COMPONENTS[0] @ reference / np.linalg.norm(COMPONENTS[0])


def test_intervals_shrink_with_the_square_root_of_the_points() -> None:
    params = ComponentParams(n_components=2, n_bootstrap=400)

    def width(n: int) -> float:
        coefficients = np.random.default_rng(1).gamma(2.0, 40.0, (n, 2))
        fit = Factorisation(coefficients @ COMPONENTS, COMPONENTS, coefficients, np.full(2, np.nan))
        table = component_table(fit, AXES, params)
        return float((table["share_high"] - table["share_low"])[0])

    assert width(400) == pytest.approx(0.5 * width(100), rel=0.25)


def test_points_carry_their_coefficients_and_what_is_unexplained() -> None:
    coefficients = np.array([[2.0, 0.0], [0.0, 3.0]])
    fit = Factorisation(coefficients @ COMPONENTS, COMPONENTS, coefficients, np.full(2, np.nan))
    x, y = np.array([0.0, 1.0]), np.array([5.0, 6.0])
    table = point_table(fit, {"x": x, "y": y})
    assert list(table) == ["x", "y", "c0", "c1", "unexplained"]
    assert table["c0"].tolist() == [2.0, 0.0]
    assert table["c1"].tolist() == [0.0, 3.0]
    assert table["unexplained"].tolist() == [0.0, 0.0]
