"""Depths in the names of slices, and numbers that leave out others evenly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bl_steer.analysis.slices import SliceParams, prepare
from bl_steer.analysis.slices.from_files import inputs_from_files

FACE = np.random.default_rng(0).integers(20, 230, (24, 32)).astype(np.uint8)


def notes(folder: Path, names: list[str], pitch_nm: float | None) -> list[str]:
    """Return what is said of slices by their names."""
    for number, name in enumerate(names):
        tifffile.imwrite(folder / f"{name}.tif", np.roll(FACE, number, 0))
    params = SliceParams(pixel_size_nm=10.0, pitch_nm=pitch_nm, columns_deg=90.0, bar_px=0)
    return list(prepare(inputs_from_files([folder]), params).notes)


@pytest.mark.parametrize(
    "names",
    [
        [f"z{50 * k}nm" for k in range(12)],
        [f"z{0.05 * k:.2f}um" for k in range(12)],
        [f"cell2_{k:03d}_z{50 * k} nm" for k in range(12)],
        [f"z{0.05 * k:.2f}µm_10nm" for k in range(12) if k not in (3, 7)],
    ],
)
def test_a_pitch_that_contradicts_the_depths_in_names_is_named(
    tmp_path: Path, names: list[str]
) -> None:
    (note,) = notes(tmp_path, names, 100.0)
    assert "tell depths 50 nm apart, and a pitch of 100 nm is used" in note
    assert "2 times those of the names" in note
    assert not notes(tmp_path, names, 50.0)
    with pytest.raises(ValueError, match=r"must have pitch_nm.*\(their names tell depths 50 nm"):
        notes(tmp_path, names, None)


@pytest.mark.parametrize(
    "names", [[f"s{k}_10nm" for k in range(6)], [f"s{k}_nmc" for k in range(0, 6)],
              ["z33.3nm", "z66.7nm", "z100.0nm"]],
)  # fmt: skip
def test_names_that_tell_no_other_pitch_are_no_matter(tmp_path: Path, names: list[str]) -> None:
    assert not notes(tmp_path, names, 33.3)


def test_numbers_that_leave_out_every_other_are_told_once(tmp_path: Path) -> None:
    (note,) = notes(tmp_path, [f"s{2 * k:03d}" for k in range(12)], 50.0)
    assert "go by 2, s000.tif … s022.tif: they are taken as successive slices" in note
