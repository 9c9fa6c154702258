"""What is refused before a reconstruction, and what its user is told."""

from __future__ import annotations

import numpy as np

from bl_steer.analysis.reconstruction.checks import (
    FEWEST,
    gap_warnings,
    thin_warnings,
    validation_warnings,
)
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.protocols import Table


def depths(missing: set[int], n: int = 40) -> EvenDepths:
    return EvenDepths.of([40.0 * k for k in range(n) if k not in missing], 4)


def test_gaps_are_told_by_their_depths() -> None:
    assert not list(gap_warnings(depths(set())))
    (warning,) = gap_warnings(depths({3, 10, 11}))
    assert "between the depths 80 to 160, 360 to 480 nm: the planes" in warning


def test_of_many_gaps_the_first_five_are_named() -> None:
    (warning,) = gap_warnings(depths(set(range(2, 16, 2))))
    assert warning.count(" to ") == 5
    assert "nm and 2 more: the planes" in warning


def test_few_slices_cannot_be_left_out() -> None:
    assert list(validation_warnings(FEWEST - 1)) == [
        "4 slices are too few to leave some out and see"
    ]
    assert not list(validation_warnings(FEWEST))


def test_phases_with_thin_parts_are_named_with_their_share() -> None:
    thin: Table = {
        "phase": np.array(["oxide", "carbon", "void"]),
        "share": np.array([0.02, 0.314, 0.05]),
    }
    (warning,) = thin_warnings(thin, 40.0)
    assert "thinner than the pitch of 40 nm" in warning
    assert warning.endswith("; in the plane, 31 % of carbon, 5 % of void lies in parts so thin")
    (plain,) = thin_warnings({**thin, "share": np.zeros(3)}, 40.0)
    assert plain.endswith("a guess by the likeness of the plane")
