"""The outcome warp and its way back to the objective's units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from bl_steer.agents.warp import WarpName, unwarped_moments, warped
from bl_steer.protocols import Array

outcomes = arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e6, 1e6))


@given(outcomes)
def test_certain_predictions_come_back_as_the_outcomes_negative_ones_too(y: Array) -> None:
    z, offset = warped(y, "sqrt")
    back, sd = unwarped_moments(
        z[None], np.zeros((1, len(y))), np.ones(1), offset=offset, kind="sqrt"
    )
    assert_allclose(back, y, rtol=1e-9, atol=1e-6)
    assert (sd == 0).all()


@given(outcomes)
def test_the_warp_keeps_the_order_of_outcomes(y: Array) -> None:
    z, _ = warped(y, "sqrt")
    assert (np.diff(z[np.argsort(y)]) >= 0).all()
    assert (z >= 0).all()


@pytest.mark.parametrize("kind", ["sqrt", "none"])
def test_moments_of_the_mixture_equal_those_of_its_samples(kind: WarpName) -> None:
    rng = np.random.default_rng(1)
    mean, variance = np.array([[2.0], [3.0]]), np.array([[0.25], [1.0]])
    weights = np.array([0.3, 0.7])
    member = rng.choice(2, size=400_000, p=weights)
    z = rng.normal(mean[member, 0], np.sqrt(variance[member, 0]))
    samples = (z**2 if kind == "sqrt" else z) - 1.5
    m, s = unwarped_moments(mean, variance, weights, offset=-1.5, kind=kind)
    assert_allclose([m[0], s[0]], [samples.mean(), samples.std()], rtol=0.01)
