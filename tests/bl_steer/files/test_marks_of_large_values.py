"""A value of the size that a map has is no mark, however large; a fill value is."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.files.maps.marks import like_marks

VALUES = np.round(50.0 + 900.0 * np.exp(-(np.linspace(-3.0, 3.0, 99) ** 2)))


@pytest.mark.parametrize("scale", [1e30, -1e30, 1e22])
def test_large_values_are_no_marks(scale: float) -> None:
    assert like_marks(VALUES * scale, "") == []


@pytest.mark.parametrize(("fill", "scale"), [(1e20, 1.0), (-1e36, 1.0), (9.96921e36, 1e22)])
def test_a_fill_value_far_above_them_is_one(fill: float, scale: float) -> None:
    (line,) = like_marks(np.append(VALUES * scale, fill), "")
    assert line.startswith(f"{fill:.10g} stands 1 times")
