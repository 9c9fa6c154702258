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
    told = names[0].startswith(("37s", "r0", "z-", "2026-03-05_z-"))
    assert len(stored.notes) == told
    assert not stored.gaps


def test_two_slices_of_one_number_are_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "slices", ["s0", "s01", "s1", "s2"])
    for read in (lambda: open_stack(folder), lambda: open_slices(list(folder.iterdir()))):
        with pytest.raises(ValueError, match=r"of their own, .* got s0?1\.tif and s0?1\.tif"):
            read()


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["z0", "z-10", "z-20"], "downwards, z0.tif … z-20.tif"),
        (["z-0.5", "z-1.25", "z-1.5"], "downwards, z-0.5.tif … z-1.5.tif"),
        (["z-1", "z0", "z0.5"], "upwards, z-1.tif … z0.5.tif"),
    ],
)
def test_how_numbers_with_signs_were_taken_is_told(
    names: list[str], taken: str, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "slices", names)
    for stored in (open_stack(folder), open_slices(list(folder.iterdir()))):
        assert np.asarray(stored.array)[:, 0, 0].tolist() == [0, 1, 2]
        (note,) = stored.notes
        assert f"have signs and are taken {taken}, as if the first were nearest" in note
        assert "number the files from the surface down" in note


def test_a_dash_before_numbers_gives_the_same_order(tmp_path: Path) -> None:
    stored = open_stack(saved(tmp_path / "slices", ["z-10", "z-20", "z-30"]))
    assert np.asarray(stored.array)[:, 0, 0].tolist() == [0, 1, 2]


def test_series_of_several_places_are_told(tmp_path: Path) -> None:
    names = [f"r{place}_s{z}" for place in range(3) for z in range(4)]
    (note,) = open_stack(saved(tmp_path / "slices", names)).notes
    assert "count 3 times, r0_s0.tif … r0_s3.tif and r1_s0.tif … r1_s3.tif and 1 more" in note
    assert "give its slices by themselves" in note
    one = [f"37s_scan_{z}" for z in range(3)]
    assert not open_stack(saved(tmp_path / "one", one)).notes
