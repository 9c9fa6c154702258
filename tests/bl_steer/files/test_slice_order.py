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


@pytest.mark.parametrize("form", ["slice_{k:03d}_{d}", "{d}_slice_{k:03d}", "{d}_{k}"])
@pytest.mark.parametrize("detectors", [("ESB", "SE2"), ("BSE", "SE"), ("CBS", "ETD", "TLD")])
def test_slices_of_several_detectors_are_no_stack(
    form: str, detectors: tuple[str, ...], tmp_path: Path
) -> None:
    names = [form.format(k=k, d=d) for k in range(5) for d in detectors]
    with pytest.raises(ValueError, match=r"got 5 such as .* and 5 such as .*two detectors; give"):
        open_stack(saved(tmp_path / "slices", names))


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


def test_slices_that_cannot_be_read_are_gaps_in_depth_where_there_may_be_some(
    tmp_path: Path,
) -> None:
    for number in range(1, 8):
        tifffile.imwrite(tmp_path / f"s{number}.tif", np.full((8, 9), number, np.uint8))
    for number in (2, 4, 6):
        (tmp_path / f"s{number}.tif").write_bytes(b"II*\0")
    with pytest.raises(ValueError, match=r"got 3 that are not: .*s2\.tif"):
        open_stack(tmp_path)
    stored = open_stack(tmp_path, leave_out_short=True)
    assert stored.numbers == [1, 3, 5, 7]  # every second one, and yet no step of two
    assert [note.count("the slice is taken as missing") for note in stored.notes] == [1, 1, 1]
    (tmp_path / "s1.tif").write_bytes(b"II*\0")
    with pytest.raises(ValueError, match="got 4 that are not"):
        open_stack(tmp_path, leave_out_short=True)


TIMES = ["14-05-00", "14-06-30", "14-08-00", "14-09-30", "14-11-00", "14-12-30", "14-14-00"]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ([f"2026-11-30 {time}" for time in TIMES], "they are times"),
        ([f"cell_20261130{time.replace('-', '')}" for time in TIMES], "they are times"),
        ([f"img_{t // 60:02}{t % 60:02}00" for t in range(625, 695, 5)], "they are times"),
        ([f"img_{t // 60:02}{t % 60:02}" for t in range(625, 695, 5)], "they are times"),
        ([f"img_{t // 60:02}-{t % 60:02}-00" for t in range(650, 664)], "they are times"),
        (
            [f"{t // 60:02}{t % 60:02}" for t in (1000, 1006, 1011, 1015, 1022, 1025, 1031)],
            "they are times",
        ),
        ([f"z{nm}nm" for nm in (0, 48, 103, 149, 201, 252, 299)], "as heights do"),
        ([f"z0.{um}um" for um in ("000", "048", "103", "149", "201", "252")], "as heights do"),
    ],
)
def test_times_and_heights_in_names_are_no_numbers_of_slices(
    names: list[str], what: str, tmp_path: Path
) -> None:
    stored = open_stack(saved(tmp_path / "slices", names), leave_out_short=True)
    assert np.asarray(stored.array)[:, 0, 0].tolist() == list(range(len(names)))
    assert list(stored.numbers or range(len(names))) == list(range(len(names)))
    (note,) = stored.notes
    assert what in note
    assert "taken as one pitch apart, and none as missing" in note
    assert not stored.gaps


@pytest.mark.parametrize(
    ("names", "how"),
    [
        (
            [f"img_{t // 60 % 24:02}{t % 60:02}00" for t in range(1330, 1610, 20)],
            "times that go on past midnight",
        ),
        (
            [f"{(28 + d) % 31 + 1:02}-{10 + (d > 2)}-2026 s" for d in range(-2, 8)],
            "dates, the day first",
        ),
    ],
)
def test_dates_and_times_tell_the_order_past_midnight_and_the_end_of_a_month(
    names: list[str], how: str, tmp_path: Path
) -> None:
    stored = open_stack(saved(tmp_path / "slices", names), leave_out_short=True)
    assert np.asarray(stored.array)[:, 0, 0].tolist() == list(range(len(names)))
    order = next(note for note in stored.notes if how in note)
    assert f"taken in that order, {names[0]}.tif … {names[-1]}.tif" in order


@pytest.mark.parametrize(
    "numbers",
    [
        [955, 956, 957, 958, 960, 1001],
        [1050, 1051, 1059, 1060, 1100],
        [1, 2, 3, 100, 101, 102, 103],
    ],
)
def test_numbers_of_four_digits_that_are_no_times_still_count(
    numbers: list[int], tmp_path: Path
) -> None:
    names = [f"s{number:04}" for number in numbers]
    stored = open_stack(saved(tmp_path / "slices", names), leave_out_short=True)
    assert stored.numbers == numbers


def test_heights_in_steps_of_a_hundred_are_no_times(tmp_path: Path) -> None:
    names = [f"s{nm:04}" for nm in range(100, 1500, 100) if nm != 700]
    stored = open_stack(saved(tmp_path / "slices", names), leave_out_short=True)
    assert stored.numbers == [1, 2, 3, 4, 5, 6, *range(8, 15)]


def test_numbers_that_several_series_lack_are_told(tmp_path: Path) -> None:
    names = [f"r{r}_s{z}" for r in range(2) for z in range(7) if (r, z) not in {(0, 4), (1, 3)}]
    (note,) = open_stack(saved(tmp_path / "slices", names)).notes
    assert (
        "numbers are missing between r0_s3.tif and r0_s5.tif, r1_s2.tif and r1_s4.tif, but no gaps "
        "are left" in note
    )


def test_numbers_beside_times_still_tell_which_slices_are_missing(tmp_path: Path) -> None:
    lost = [f"s{n}_20261130{t.replace('-', '')}" for n, t in zip((1, 2, 4, 5), TIMES, strict=False)]
    stored = open_stack(saved(tmp_path / "slices", lost), leave_out_short=True)
    assert stored.numbers == [1, 2, 4, 5]
    assert not stored.notes


def test_a_slice_whose_link_leads_nowhere_is_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "slices", [f"s{number}" for number in range(4)])
    (folder / "s4.tif").symlink_to(tmp_path / "moved.tif")
    stored = open_stack(folder, leave_out_short=True)
    assert stored.left_out == {4: "s4.tif"}
    (note,) = stored.notes
    assert "s4.tif" in note
    assert "does not exist" in note
    with pytest.raises(ValueError, match=r"s4\.tif.* does not exist"):
        open_stack(folder)
