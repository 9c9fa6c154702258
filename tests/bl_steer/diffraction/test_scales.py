"""Monitor, time and attenuation: once, and only where they can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.diffraction import frame_scales


def test_each_correction_is_applied_once() -> None:
    scales = frame_scales(
        3, monitor=[100, 200, 400], count_time_s=[1.0, 1.0, 2.0], attenuation=[1.0, 10.0, 1.0]
    )
    np.testing.assert_allclose(scales, [2.0, 10.0, 0.25])
    np.testing.assert_array_equal(frame_scales(2), [1.0, 1.0])
    assert frame_scales(1, monitor=50, nominal=100.0)[0] == 2.0


@pytest.mark.parametrize(
    ("name", "value"), [("monitor", 100.0), ("time", 2.0), ("attenuation", [1.0, 56.0])]
)
def test_a_correction_that_the_counts_have_already_is_refused(name: str, value: Any) -> None:
    option = "count_time_s" if name == "time" else name
    with pytest.raises(ValueError, match=f"the {name} must be applied once"):
        frame_scales(2, corrected=[name], **{option: value})
    others = [n for n in ("monitor", "time", "attenuation") if n != name]
    assert np.isfinite(frame_scales(2, corrected=others, **{option: value})).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"monitor": [1.0, 0.0]}, "the monitor must be positive and finite, got 0; leave out"),
        ({"count_time_s": [1.0, -1.0]}, "the time must be positive and finite, got -1"),
        ({"attenuation": 0.1}, "the attenuation must be finite and at least 1, got 0.1; give 1 /"),
        ({"attenuation": [1.0, np.inf]}, "the attenuation must be finite and at least 1, got inf"),
        ({"monitor": [1.0, 2.0, 3.0]}, r"one for each of 2 frames, got the shape \(3,\)"),
        ({"corrected": ["flat"]}, "corrected must name some of monitor, .* got flat"),
    ],
)
def test_values_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frame_scales(2, **options)
