"""Grey levels of the phases, and how slices are made alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.analysis.slices.levels import gain_and_offset, phase_levels


def test_levels_do_not_depend_on_fractions_and_undo_gain_and_offset() -> None:
    rng = np.random.default_rng(2)
    grey = np.array([30.0, 100.0, 200.0])
    first, second = (
        grey[np.sort(rng.choice(3, size=(64, 64), p=p), axis=1)] + rng.normal(0, 5, (64, 64))
        for p in ([0.5, 0.2, 0.3], [0.2, 0.3, 0.5])
    )
    gain, offset = gain_and_offset(phase_levels(0.8 * second + 12.0), phase_levels(first))
    assert gain == pytest.approx(1.0 / 0.8, rel=0.03)
    assert offset == pytest.approx(-15.0, abs=3.0)


@given(gain=st.floats(0.1, 10.0), offset=st.floats(-100.0, 100.0))
def test_gain_and_offset_are_those_that_were_put_in(gain: float, offset: float) -> None:
    levels = np.array([30.0, 100.0, 200.0])
    fitted_gain, fitted_offset = gain_and_offset(levels, gain * levels + offset)
    assert fitted_gain == pytest.approx(gain)
    assert fitted_offset == pytest.approx(offset, abs=1e-6)


@pytest.mark.parametrize("n_phases", [2, 3, 4])
def test_levels_are_the_grey_values_of_the_phases(n_phases: int) -> None:
    grey = np.linspace(20.0, 220.0, n_phases)
    image = grey[np.arange(96) * n_phases // 96][:, None].repeat(96, 1)
    np.testing.assert_allclose(phase_levels(image, n_phases=n_phases), grey, atol=1.0)


def test_a_slice_of_one_grey_level_is_refused() -> None:
    with pytest.raises(ValueError, match="must show 3 phases to be levelled, got an image"):
        phase_levels(np.full((32, 32), 9.0))
