"""Single slices become one stack in the order that their names tell, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.files import open_stack
from bl_steer.files.formats import SUFFIXES
from bl_steer.server.jobs.inputs import kinds, read_inputs


def slices_in(folder: Path, numbers: list[int]) -> list[Path]:
    paths = []
    for number in numbers:
        path = folder / f"{len(paths):04d}" / f"s{number}.png"  # as a job finds them
        path.parent.mkdir()
        Image.fromarray(np.full((12, 14), number, np.uint8)).save(path)
        paths.append(path)
    return paths


def test_slices_lie_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    given = slices_in(tmp_path, [1, 10, 2, 3, 4, 5, 6, 7, 8, 9])
    inputs = read_inputs("superres", given, tmp_path)
    assert inputs.arrays["slices"][:, 0, 0].tolist() == list(range(1, 11))
    assert inputs.source["files"] == [f"s{number}.png" for number in range(1, 11)]
    assert not [note for note in inputs.notes if "number" in note]


def test_a_slice_that_is_missing_is_told(tmp_path: Path) -> None:
    inputs = read_inputs("superres", slices_in(tmp_path, [4, 2, 1]), tmp_path)
    assert any("lack the number 3" in note for note in inputs.notes)


def test_stacks_are_not_joined(tmp_path: Path) -> None:
    paths = [tmp_path / "grey.tif", tmp_path / "labels.tif"]
    for path in paths:
        tifffile.imwrite(path, np.zeros((5, 12, 14), np.uint8), photometric="minisblack")
    with pytest.raises(ValueError, match=r"shape \(5, 12, 14\) in grey\.tif; give a stack"):
        read_inputs("superres", paths, tmp_path)


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        (np.uint16, (12, 14), "of one type, got uint16 in "),
        (np.uint8, (12, 15), r"of one shape, got \(12, 15\) in "),
    ],
)
def test_slices_that_differ_are_refused(
    tmp_path: Path, dtype: type, shape: tuple[int, int], message: str
) -> None:
    paths = slices_in(tmp_path, [1, 2])
    Image.fromarray(np.ones(shape, dtype)).save(paths[1])
    with pytest.raises(ValueError, match=message):
        read_inputs("superres", paths, tmp_path)


def test_slices_of_one_name_have_no_order(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got s1\.png more than once"):
        read_inputs("superres", slices_in(tmp_path, [1, 1]), tmp_path)


@pytest.mark.parametrize("analysis", ["segment", "structure", "superres"])
def test_an_analysis_of_images_reads_no_table(tmp_path: Path, analysis: str) -> None:
    assert analysis in kinds()
    table = tmp_path / "points.npz"  # a suffix that all of them take
    np.savez(table, x=np.arange(4.0), y=np.arange(4.0), counts=np.arange(4.0))
    with pytest.raises(ValueError, match="must"):
        read_inputs(analysis, [table], tmp_path)


@pytest.mark.parametrize("analysis", ["components", "advise"])
def test_an_analysis_of_points_reads_a_table(tmp_path: Path, analysis: str) -> None:
    table = tmp_path / "points.csv"
    rows = [f"{x},{y},{x + y}" for y in range(3) for x in range(3)]
    table.write_text("\n".join(["x (um),y (um),counts", *rows]))
    assert read_inputs(analysis, [table], tmp_path).arrays


def test_an_analysis_that_takes_no_uploads_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one of segment, .*, got 'align-slices'"):
        read_inputs("align-slices", [tmp_path / "points.csv"], tmp_path)


def test_single_slices_are_refused_for_the_same_names_as_a_folder_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    paths = [folder / name for name in ("s1.png", "s2.png", "last.png")]
    for path in paths:
        Image.fromarray(np.zeros((12, 14), np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"differ in their numbers alone.*got last\.") as apart:
        read_inputs("superres", paths, tmp_path)
    with pytest.raises(ValueError, match="got last") as together:
        open_stack(folder)
    assert str(apart.value) == str(together.value).replace(f" in {folder}", "")


def test_single_slices_are_decoded_as_those_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    paths = [folder / f"s{number}.png" for number in (1, 2)]
    for path in paths:
        Image.fromarray(np.full((12, 14, 3), 90, np.uint8)).save(path, dpi=(2.54e6, 2.54e6))
    apart = read_inputs("superres", paths, tmp_path)
    together = open_stack(folder)
    np.testing.assert_array_equal(apart.arrays["slices"], together.array)
    assert together.known == {"pixel_size_nm": pytest.approx(10.0, rel=1e-3)}
    assert apart.metadata == {**together.known, "slice_files": ["s1.png", "s2.png"]}
    Image.fromarray(np.full((12, 14, 3), (255, 0, 0), np.uint8)).save(paths[1])
    messages = []
    for read in (lambda: read_inputs("superres", paths, tmp_path), lambda: open_stack(folder)):
        with pytest.raises(ValueError, match="one value a pixel, got colours; convert") as told:
            read()
        messages.append(str(told.value))
    assert messages[0] == messages[1]


def test_every_picture_of_a_folder_may_be_uploaded_as_a_slice() -> None:
    assert set(SUFFIXES) <= set(kinds()["superres"].suffixes)


def with_text_files(folder: Path) -> list[Path]:
    """Return images with the text files of a JEOL, each in a folder of its own, as a job does."""
    paths = []
    for number in range(1, 5):
        for name in (f"s_{number}.tif", f"s_{number}.txt"):
            path = folder / f"{len(paths):04d}" / name
            path.parent.mkdir(parents=True)
            paths.append(path)
        grey = np.random.default_rng(number).integers(0, 250, (48, 64)).astype(np.uint8)
        tifffile.imwrite(paths[-2], grey, photometric="minisblack")
        marks = "$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER 1um\n"
        paths[-1].write_text(f"$CM_FORMAT JEOL-SEM\n$CM_FULL_SIZE 64 48\n{marks}")
    return paths


@pytest.mark.parametrize("analysis", ["segment", "reconstruct", "superres"])
def test_text_files_of_microscopes_are_read_with_their_images(
    analysis: str, tmp_path: Path
) -> None:
    inputs = read_inputs(analysis, with_text_files(tmp_path / "in"), tmp_path)
    sizes = inputs.metadata["pixel_size_nm"]
    assert sizes == ([10.0] * 4 if analysis == "segment" else 10.0)
    files = [Path(file).name for file in inputs.source["files"]]
    assert files == [f"s_{number}.tif" for number in range(1, 5)]


def test_text_files_alone_are_no_images_and_others_are_named(tmp_path: Path) -> None:
    paths = with_text_files(tmp_path / "in")
    with pytest.raises(ValueError, match="must have 1 to 64 files, got 0"):
        read_inputs("segment", paths[1::2], tmp_path)
    inputs = read_inputs("segment", [*paths[:2], paths[5]], tmp_path)
    assert "s_3.txt has the name of no image, and is not read" in inputs.notes
