"""Slices that have nothing in common, that are missing, or that drift unseen."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.analysis.slices.analysis import AlignParams, AlignSlices
from bl_steer.analysis.slices.checks import check_common_part, drift_warnings, missing_warnings
from bl_steer.analysis.slices.from_files import inputs_from_files
from bl_steer.protocols import Inputs


@pytest.mark.parametrize(("rows", "columns"), [((0, 7), (0, 64)), ((0, 64), (60, 64))])
def test_slices_with_too_little_in_common_are_refused(
    rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=r"drifts of up to 57 pixels in images of \(64, 64\)"):
        check_common_part(
            slice(*rows),
            slice(*columns),
            displacement_px=np.array([[0.0, 0.0], [-57.2, 3.0]]),
            shape=(64, 64),
        )


def test_eight_pixels_in_common_are_enough() -> None:
    check_common_part(slice(10, 18), slice(0, 8), displacement_px=np.zeros((2, 2)), shape=(64, 64))


def test_drift_is_doubted_without_marks_alone() -> None:
    assert not list(drift_warnings(by_marks=True, error_px=math.nan, wander_px=math.nan))
    (warning,) = drift_warnings(by_marks=False, error_px=3.21, wander_px=0.94)
    assert "errors of about 3.2 px rms, 0.9 px apart from a steady drift" in warning
    (warning,) = drift_warnings(by_marks=False, error_px=math.nan, wander_px=math.nan)
    assert warning.startswith("without tracking marks, drift cannot be told from features")


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(0, 40))
def test_missing_slices_are_those_that_a_set_lacks(numbers: set[int], n_slices: int) -> None:
    ascending = np.array(sorted(numbers))
    expected = set(range(min(numbers), max(n_slices, max(numbers) + 1))) - numbers
    warnings = list(missing_warnings(ascending, n_slices))
    if expected:
        assert warnings == [f"slices are missing: {', '.join(map(str, sorted(expected)))}"]
    else:
        assert not warnings


def test_slices_without_numbers_miss_nothing() -> None:
    assert not list(missing_warnings(np.array([], int), 10))


def test_an_empty_stack_is_refused() -> None:
    inputs = Inputs({"slices": np.zeros((0, 64, 64))}, {"pixel_size_nm": 10.0, "pitch_nm": 40.0})
    with pytest.raises(ValueError, match="to align, got none"):
        AlignSlices().run(inputs, AlignParams())


def test_bad_slices_are_named_by_their_files_in_reverse_too(tmp_path: Path) -> None:
    for number in range(1, 5):
        face = np.random.default_rng(number).integers(0, 255, (48, 48), dtype=np.uint8)
        tifffile.imwrite(tmp_path / f"Slice {number}.tiff", face * (number != 2))
    inputs = inputs_from_files([tmp_path])
    for reverse, number in ((False, 2), (True, 3)):
        params = AlignParams(reverse=reverse, pixel_size_nm=10.0, pitch_nm=40.0)
        told = AlignSlices().run(inputs, params).warnings
        assert any(f"slice {number} (Slice 2.tiff) is blank" in text for text in told)
