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
from bl_steer.analysis.slices.checks import (
    check_common_part,
    drift_warnings,
    lean_warnings,
    missing_warnings,
)
from bl_steer.analysis.slices.from_files import inputs_from_files
from bl_steer.protocols import Inputs


@pytest.mark.parametrize(("rows", "columns"), [((0, 7), (0, 64)), ((0, 64), (60, 64))])
def test_slices_with_too_little_in_common_are_refused(
    rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="drifts of up to 57 pixels in images of 64 rows"):
        check_common_part(
            slice(*rows),
            slice(*columns),
            displacement_px=np.array([[0.0, 0.0], [-57.2, 3.0]]),
            shape=(64, 64),
        )


def test_eight_pixels_in_common_are_enough() -> None:
    check_common_part(slice(10, 18), slice(0, 8), displacement_px=np.zeros((2, 2)), shape=(64, 64))


def test_drift_is_doubted_without_marks_alone() -> None:
    unknown = dict.fromkeys(("error_px", "wander_px", "lean_px"), math.nan)
    assert not list(drift_warnings(by_marks=True, **unknown))
    (warning,) = drift_warnings(by_marks=False, error_px=3.21, wander_px=0.94, lean_px=0.6)
    assert "errors of about 3.2 px rms, 0.9 px apart from a steady drift" in warning
    assert "steady drift, of which up to 1.2 px a slice may be taken for a lean" in warning
    (warning,) = drift_warnings(by_marks=False, **unknown)
    assert warning.startswith("without tracking marks, drift cannot be told from features")


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(0, 40))
def test_missing_slices_are_those_that_a_set_lacks(numbers: set[int], n_slices: int) -> None:
    ascending = np.array(sorted(numbers))
    expected = set(range(min(numbers), max(n_slices, max(numbers) + 1))) - numbers
    warnings = list(missing_warnings(ascending, n_slices))
    named: set[int] = set()
    for warning in warnings:
        assert warning.startswith("slices are missing: ")
        for run in warning.removeprefix("slices are missing: ").split(" and more")[0].split(", "):
            first, *last = map(int, run.split(" … "))
            named |= set(range(first, (last or [first])[0] + 1))
        assert named == expected or f"and more, {len(expected)} in all" in warning
    assert named <= expected
    assert bool(warnings) == bool(expected)


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


def test_the_table_has_the_file_of_each_slice_and_of_those_that_are_not_used(
    tmp_path: Path,
) -> None:
    """The second is blank, the fourth broken off, the sixth no image; the seventh is lost."""
    for number in (1, 2, 3, 4, 5, 6, 8):
        face = np.random.default_rng(number).integers(0, 255, (48, 48), dtype=np.uint8)
        rows = 30 if number == 4 else 48
        tifffile.imwrite(tmp_path / f"s{number}.tif", face[:rows] * (number != 2))
    (tmp_path / "s6.tif").write_bytes(b"II*\0")
    inputs = inputs_from_files([tmp_path])
    used = [0, -1, 1, -1, 2, -1, -1, 3]
    files = [f"s{number}.tif" * (number != 7) for number in range(1, 9)]
    for reverse, step in ((False, 1), (True, -1)):
        params = AlignParams(reverse=reverse, pixel_size_nm=10.0, pitch_nm=40.0)
        table = AlignSlices().run(inputs, params).tables["slices"]
        assert list(table)[:3] == ["slice", "file", "plane"]
        assert table["file"].tolist() == files[::step]
        assert (table["plane"] >= 0).tolist() == [plane >= 0 for plane in used[::step]]


def test_a_slice_that_jumps_against_the_marks_is_named() -> None:
    leans = np.random.default_rng(0).normal(0.0, 2.0, (9, 2))
    numbers = np.arange(3, 13)
    assert not list(lean_warnings(numbers, leans, 10.0))
    leans[4] += (0.0, 30.0)
    (warning,) = lean_warnings(numbers, leans, 10.0, [f"{number}.tif" for number in numbers])
    assert "by more than 15 px to slices 8 (8.tif)" in warning
