import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from bl_steer.features.nnls import nonnegative_coefficients


@given(st.integers(0, 10_000), st.integers(1, 7), st.booleans())
@settings(max_examples=60, deadline=None)
def test_coefficients_are_those_of_scipy(seed: int, n_components: int, overlapping: bool) -> None:
    rng = np.random.default_rng(seed)
    components = rng.uniform(0.0, 1.0, (n_components, 12)) ** (1 if overlapping else 6)
    patterns = rng.normal(0.3, 1.0, (15, 12)) * rng.choice([1e-3, 1.0, 1e4])
    found = nonnegative_coefficients(patterns, components)
    expected = np.array([nnls(components.T, pattern)[0] for pattern in patterns])
    scale = np.abs(patterns).max()
    assert (found >= 0).all()
    np.testing.assert_allclose(
        found @ components, expected @ components, rtol=1e-6, atol=1e-6 * scale
    )


def test_equal_and_empty_components_are_solved() -> None:
    component = np.array([1.0, 2.0, 3.0])
    components = np.stack([component, component, np.zeros(3)])
    found = nonnegative_coefficients(np.stack([5 * component, 0 * component]), components)
    np.testing.assert_allclose(found @ components, [5 * component, 0 * component], rtol=1e-6)
