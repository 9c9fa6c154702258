from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from matplotlib.figure import Figure
from matplotlib.font_manager import findSystemFonts
from PIL import Image

from bl_steer.analysis.segmentation.files import inputs_from_files, write_result
from bl_steer.plotting.fonts import JAPANESE
from bl_steer.protocols import AnalysisResult


def test_files_and_folders_become_fields_in_order(tmp_path: Path) -> None:
    for number in (2, 10):
        Image.fromarray(np.full((8, 9), number, np.uint8)).save(tmp_path / f"slice_{number}.png")
    alone = tmp_path.parent / f"{tmp_path.name}.tif"
    tifffile.imwrite(alone, np.full((2, 7, 8), 3, np.uint16), photometric="minisblack")
    inputs, _ = inputs_from_files([tmp_path, alone], {"pixel_size_nm": 5.0})
    assert [int(array[0, 0]) for array in inputs.arrays.values()] == [2, 10, 3, 3]
    assert list(inputs.arrays) == ["field_000", "field_001", "field_002", "field_003"]
    assert inputs.metadata["pixel_size_nm"] == [5.0] * 4


def test_masks_beside_their_micrographs_are_left_out_and_told(tmp_path: Path) -> None:
    for name in ("a.png", "a_mask.png", "b_mask.png"):
        Image.fromarray(np.full((8, 9), 1, np.uint8)).save(tmp_path / name)
    inputs, notes = inputs_from_files([tmp_path])
    assert [Path(file).name for file in inputs.source["files"]] == ["a.png", "b_mask.png"]
    assert any("1 masks" in note and "a_mask.png, are not segmented" in note for note in notes)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold images, got none"):
        inputs_from_files([tmp_path])


def test_a_result_is_written_in_common_forms(tmp_path: Path) -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    result = AnalysisResult(
        tables={"fractions": {"phase": np.array(["oxide"]), "fraction": np.array([0.25])}},
        arrays={"a_labels": labels, "a_uncertainty": np.ones((3, 4), np.float16)},
        provenance={},
    )
    written = write_result(result, tmp_path / "out")
    assert {path.name for path in written} == {
        "fractions.csv",
        "a_labels.tif",
        "a_uncertainty.npy",
    }
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "a_labels.tif"), labels)
    assert (tmp_path / "out" / "fractions.csv").read_text().splitlines() == [
        "phase,fraction",
        "oxide,0.25",
    ]


@pytest.mark.parametrize("size", ["abc", -3.0, 0.0, float("nan")])
def test_a_pixel_size_that_is_none_is_refused(tmp_path: Path, size: object) -> None:
    with pytest.raises(ValueError, match="pixel_size_nm must be a positive number of nm, got"):
        inputs_from_files([tmp_path], {"pixel_size_nm": size})


def test_all_bad_files_are_told_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.tif").write_bytes(b"no image")
    np.save(tmp_path / "good.npy", np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"got 2 that are not: a\.tif .*; b\.tif "):
        inputs_from_files([tmp_path])


@pytest.mark.skipif(
    not any(Path(path).stem in JAPANESE.values() for path in findSystemFonts()),
    reason="the machine has no Japanese font",
)
def test_figures_show_japanese(tmp_path: Path) -> None:
    def draw() -> Figure:
        figure = Figure()
        figure.text(0.5, 0.5, "酸化物")
        return figure

    # A letter that no font has is a warning, and so an error here.
    (path,) = write_result(AnalysisResult({}, {}, {}, {"phases": draw}), tmp_path)
    assert path.name == "phases.png"
