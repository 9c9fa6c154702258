"""A folder whose slices are of several formats is read as a whole, or refused; never in half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.files.stacks import open_stack


def saved(folder: Path, names: list[str], dtype: type = np.uint8) -> Path:
    for number, name in enumerate(names):
        plane: Any = np.full((5, 6), number, dtype)
        plane[0, 0] = 100
        if name.endswith(".tif"):
            tifffile.imwrite(folder / name, plane)
        else:
            Image.fromarray(plane).save(folder / name)
    return folder


def test_a_series_that_changes_its_format_midway_is_one_stack(tmp_path: Path) -> None:
    saved(tmp_path, ["s1.tif", "s2.tif", "s3.png", "s4.png", "s5.png", "figure.png"])
    stored = open_stack(tmp_path)
    assert stored.array[:, 1, 1].tolist() == [0, 1, 2, 3, 4]
    formats, left_out = stored.notes
    assert "of several formats, 2 .tif files and 3 .png files, whose numbers go on" in formats
    assert "1 other images, such as figure.png, are left out" in left_out


def test_previews_beside_slices_are_left_out(tmp_path: Path) -> None:
    saved(tmp_path, ["s1.tif", "s2.tif", "s1.png", "s2.png"])
    stored = open_stack(tmp_path)
    assert stored.names == ["s1.tif", "s2.tif"]
    assert "2 other images, such as s1.png, are left out" in stored.notes[0]


@pytest.mark.parametrize(
    "names",
    [
        ["s1.tif", "s2.tif", "s3.tif", "s2.png", "s3.png", "s4.png"],
        ["mean.tif", "s1.png", "s2.png", "s3.png"],
    ],
    ids=["some are there twice", "a longer series of another name"],
)
def test_what_could_be_half_of_a_stack_is_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be told from other images, got . \.tif files and"):
        open_stack(saved(tmp_path, names))


def test_formats_that_hold_other_types_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, ["s1.tif", "s2.tif"], np.uint16)
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "s3.png")
    with pytest.raises(ValueError, match=r"slices must be of one type, got uint8 in s3\.png"):
        open_stack(tmp_path)
