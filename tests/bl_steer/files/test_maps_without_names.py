"""A table of numbers alone does not say which are places and which are values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.files.maps.any_map import read_any_map

X, Y = np.meshgrid(np.arange(0.0, 50.0, 5.0), np.arange(0.0, 30.0, 5.0))
VALUES = 100.0 + X + Y


@pytest.mark.parametrize("n_columns", [3, 10])
def test_columns_without_names_are_refused_with_the_remedy(tmp_path: Path, n_columns: int) -> None:
    path = tmp_path / "map.csv"
    points = np.c_[X.ravel(), Y.ravel(), VALUES.ravel()]
    np.savetxt(path, points if n_columns == 3 else VALUES, delimiter=",")
    with pytest.raises(ValueError, match=r"got no names in .*map\.csv.*write x,y,value into"):
        read_any_map(path)


def test_what_the_remedy_says_is_read(tmp_path: Path) -> None:
    points, matrix = tmp_path / "points.csv", tmp_path / "matrix.csv"
    columns = np.c_[X.ravel(), Y.ravel(), VALUES.ravel()]
    np.savetxt(points, columns, delimiter=",", header="x,y,value", comments="")
    rows = [",".join(["", *(f"{x:g}" for x in X[0])])]
    rows += [",".join(f"{v:g}" for v in (y, *row)) for y, row in zip(Y[:, 0], VALUES, strict=True)]
    matrix.write_text("\n".join(rows))
    for path in (points, matrix):
        read = read_any_map(path)
        expected = 100.0 + np.ravel(read.x) + np.ravel(read.y)
        np.testing.assert_array_equal(np.ravel(read.values), expected)
