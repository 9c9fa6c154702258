"""Pixels that are no squares: each kind of file says so, and whoever reads it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.analysis.segmentation.from_files import inputs_from_files
from bl_steer.files.images import read_micrographs
from bl_steer.files.stacks import open_stack

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6)
PER_CM = 1e7
KINDS: dict[str, dict[str, Any]] = {
    "tags.tif": {"resolution": (PER_CM / 10, PER_CM / 14), "resolutionunit": "CENTIMETER"},
    "imagej.tif": {"imagej": True, "resolution": (100, 1e3 / 14), "metadata": {"unit": "um"}},
    "ome.ome.tif": {
        "metadata": {
            "axes": "YX",
            "PhysicalSizeX": 0.010,
            "PhysicalSizeY": 0.014,
        }
    },
    "picture.png": {"dpi": (2.54e7 / 10, 2.54e7 / 14)},
}


def saved(path: Path) -> Path:
    if path.suffix == ".png":
        Image.fromarray(GREY).save(path, **KINDS[path.name])
    else:
        tifffile.imwrite(path, GREY, **KINDS[path.name])
    return path


@pytest.mark.parametrize("name", KINDS)
def test_pixels_that_are_no_squares_are_told(name: str, tmp_path: Path) -> None:
    read = read_micrographs(saved(tmp_path / name))
    assert read.pixel_size_nm == pytest.approx(10.0, rel=1e-3)
    assert "pixel_height_nm" not in read.metadata
    assert any("10 nm wide and 14 nm high" in note for note in read.notes)
    assert any("14 nm high" in note for note in inputs_from_files([tmp_path / name]).notes)


@pytest.mark.parametrize("name", KINDS)
def test_slices_and_stacks_tell_it_once(name: str, tmp_path: Path) -> None:
    for number in range(3):
        saved(tmp_path / name).rename(tmp_path / f"slice_{number}{Path(name).suffix}")
    notes = open_stack(tmp_path).notes
    assert sum("14 nm high" in note for note in notes) == 1


def test_a_stack_of_pages_tells_it(tmp_path: Path) -> None:
    stack = np.stack([GREY] * 3)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack", **KINDS["tags.tif"])
    assert ["14 nm high" in note for note in open_stack(tmp_path / "stack.tif").notes] == [True]


def test_what_a_header_rounds_is_square(tmp_path: Path) -> None:
    path = tmp_path / "square.tif"
    tifffile.imwrite(path, GREY, resolution=(1e6, 0.998e6), resolutionunit="CENTIMETER")
    assert read_micrographs(path).notes == ()
