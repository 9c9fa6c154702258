"""Grey levels of the phases, and how slices are made alike."""

from __future__ import annotations

import numpy as np
import pytest

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
