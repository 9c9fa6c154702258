"""Columns that are parted by blanks, as NumPy, SPEC and gnuplot write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.files.maps.points import point_inputs
from bl_steer.files.maps.tables import read_table

POINTS = np.c_[np.arange(6.0), np.arange(6.0) % 3, 100.0 + np.arange(6.0) ** 2]


@pytest.mark.parametrize("header", ["", "x y value", "x_um y_um counts"])
@pytest.mark.parametrize("form", ["%.18e", "%10.3f"])
def test_what_numpy_writes_is_read(tmp_path: Path, header: str, form: str) -> None:
    path = tmp_path / "points.txt"
    np.savetxt(path, POINTS, header=header, fmt=form)
    inputs = point_inputs(path)
    for column, name in zip(POINTS.T, ("x", "y", "value"), strict=True):
        np.testing.assert_allclose(inputs.arrays[name], column)


def test_a_first_line_without_a_mark_names_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "points.dat"
    np.savetxt(path, POINTS, header="x  y  value", comments="", fmt="%g")
    assert list(read_table(path)) == ["x", "y", "value"]


def test_a_row_that_is_cut_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "points.txt"
    path.write_text("# x y value\n1 2 3\n4 5\n7 8 9\n")
    with pytest.raises(ValueError, match=r"2 values instead of 3 in line 3 of points\.txt"):
        read_table(path)


def test_one_column_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "values.txt"
    path.write_text("1.0\n2.0\n")
    assert list(read_table(path)) == ["1"]
