"""The order that the names of slices tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bl_steer.files.stacks import open_slices, open_stack


def saved(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        tifffile.imwrite(folder / f"{name}.tif", np.full((5, 6), number, np.uint8))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["z0", "z0.5", "z1", "z1.5", "z2", "z10"],
        ["z0.25", "z0.5", "z0.75", "z1.125"],
        ["z0,25", "z0,5", "z1"],
        [f"2026-03-05_z{number}" for number in range(-12, 12)],
        ["z-1.5", "z-1", "z0.5"],
        ["v1.8", "v1.9", "v1.10", "v1.11"],
        ["37s_scan_1", "14s_scan_2", "51s_scan_3"],
        ["r0_s0", "r0_s1", "r1_s0", "r1_s1"],
    ],
)
def test_numbers_tell_the_order(names: list[str], tmp_path: Path) -> None:
    stored = open_stack(saved(tmp_path / "slices", names))
    assert np.asarray(stored.array)[:, 0, 0].tolist() == list(range(len(names)))
    assert len(stored.notes) == names[0].startswith("37s")
    assert not stored.gaps


def test_two_slices_of_one_number_are_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "slices", ["s0", "s01", "s1", "s2"])
    for read in (lambda: open_stack(folder), lambda: open_slices(list(folder.iterdir()))):
        with pytest.raises(ValueError, match=r"of their own, .* got s0?1\.tif and s0?1\.tif"):
            read()
