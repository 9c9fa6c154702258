"""Labels as programs save them, to ``structure`` and ``superres``: taken alike, or told alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.analysis import digest_of, find_analysis, make_params, structure, superresolution
from bl_steer.analysis.slices import inputs_from_files as slices_from_files
from bl_steer.cli import main
from bl_steer.files.stacks import open_stack
from bl_steer.protocols import AnalysisResult, Inputs

LABELS = np.kron(np.random.default_rng(3).integers(0, 2, (4, 5, 6)), np.ones((1, 8, 8)))
LABELS = LABELS.astype(np.uint8)
VOXEL = (40.0, 10.0, 10.0)
LITTLE = {"factor": 2, "blocks": 1, "channels": 4, "steps": 1, "pitch_nm": 40, "pixel_size_nm": 10}


def measured(inputs: Inputs, phases: str = "void,solid") -> AnalysisResult:
    analysis = find_analysis("structure")
    params = {"voxel_size_nm": VOXEL, "phases": phases, "blocks": 1, "n_bootstrap": 100}
    return analysis.run(inputs, make_params(analysis, params))


def super_resolved(inputs: Inputs) -> AnalysisResult:
    analysis = find_analysis("superres")
    return analysis.run(inputs, make_params(analysis, {**LITTLE, "n_phases": 2}))


def test_two_phases_as_0_and_255_have_the_names_of_0_and_1(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "white.tif", LABELS * 255, photometric="minisblack")
    found = measured(structure.inputs_from_file(tmp_path / "white.tif"))
    wanted = measured(Inputs({"labels": LABELS}))
    for name, table in wanted.tables.items():
        for key, column in table.items():
            if key == "label":
                continue
            np.testing.assert_array_equal(found.tables[name][key], column)
    assert found.warnings[0] == "labels 0 and 255 are read as the phases void and solid"
    named = structure.LabelVolume.of(LABELS * 255, VOXEL, {0: "void", 255: "solid"})
    assert named.names == {0: "void", 255: "solid"}


@pytest.mark.parametrize("numbers", ["bool", "0 and 255", "real"])
def test_superres_takes_two_phases_however_they_are_saved(numbers: str) -> None:
    saved = {"bool": LABELS > 0, "0 and 255": LABELS * np.uint8(255), "real": LABELS * 1.0}[numbers]
    found, wanted = (super_resolved(Inputs({"slices": s})) for s in (saved, LABELS))
    assert digest_of(found) == digest_of(wanted)


def jpegs(folder: Path, labels: Any) -> Path:
    folder.mkdir()
    for z, plane in enumerate(labels):
        Image.fromarray(plane).save(folder / f"s{z}.jpg", quality=100)
    return folder


def test_labels_from_jpeg_are_told(tmp_path: Path) -> None:
    """Where JPEG has kept all numbers as where it has changed some, and what is wrong then."""
    even = jpegs(tmp_path / "even", np.repeat(np.repeat(LABELS[:, ::8, ::8], 16, 1), 16, 2) * 255)
    blurred = jpegs(tmp_path / "blurred", np.roll(LABELS, 3, axis=(1, 2)) * 255)
    assert any("JPEG changes" in w for w in measured(structure.inputs_from_file(even)).warnings)
    found = super_resolved(superresolution.inputs_from_files([even]))
    assert any("the labels are from JPEG" in warning for warning in found.warnings)
    with pytest.raises(ValueError, match="JPEG changes numbers"):
        measured(structure.inputs_from_file(blurred))
    with pytest.raises(ValueError, match="JPEG changes numbers"):
        super_resolved(superresolution.inputs_from_files([blurred]))


def dream3d(path: Path, version: int, unit: str = "") -> Path:
    with h5py.File(path, "w") as file:
        cells = file.create_group("DataContainers/Image")
        geometry = cells if version > 6 else cells.create_group("_SIMPL_GEOMETRY")
        place: Any = geometry.attrs if version > 6 else geometry
        line = "_" if version > 6 else ""
        place[f"{line}DIMENSIONS"] = np.array(LABELS.shape[::-1], np.int64)
        place[f"{line}SPACING"] = np.array([0.25, 0.25, 0.5], np.float32)
        place[f"{line}ORIGIN"] = np.zeros(3, np.float32)
        geometry.attrs["UnitDimensionality"] = 3
        if unit:
            geometry.attrs["Units"] = unit
        cells.create_group("CellData")["FeatureIds"] = LABELS[..., None].astype(np.int32)
        cells.create_group("CellEnsembleData")["PhaseName"] = np.array([b"a", b"b"])
    return path


@pytest.mark.parametrize("version", [6, 7])
def test_the_spacing_of_dream3d_is_used_or_its_unit_asked_for(
    version: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = open_stack(dream3d(tmp_path / "told.dream3d", version, "µm"), "labels")
    assert told.known["voxel_size_nm"] == [500.0, 250.0, 250.0]
    np.testing.assert_array_equal(told.array, LABELS)
    untold = dream3d(tmp_path / "untold.dream3d", version)
    asked = "untold.dream3d states edges of 0.5, 0.25, 0.25 along z, y, x, without a unit"
    assert main(["structure", str(untold)]) == 2
    assert asked in capsys.readouterr().err
    for command in (["superres", "check"], ["slices"]):
        assert main([*command, str(untold)]) == 2
        line = capsys.readouterr().err
        assert asked in line
        assert "give both in nm" in line
        assert "--pixel-size-nm and --pitch-nm" in line
    part = untold / "DataContainers" / "Image" / "CellData" / "FeatureIds"
    assert structure.inputs_from_file(part).metadata["stated_voxel"] == asked


def test_slices_whose_numbers_fall_are_turned_by_reverse(tmp_path: Path) -> None:
    for z in range(3):
        tifffile.imwrite(tmp_path / f"z{-10 * z}.tif", LABELS[z] * 50)
    readers = (slices_from_files, superresolution.inputs_from_files)
    notes = [note for read in readers for note in read([tmp_path]).notes]
    assert ["give reverse=True" in note for note in notes if "downwards" in note] == [True, False]
