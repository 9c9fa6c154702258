"""Results as volumes for other programs: one file each, with the voxel, at every door."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from bl_steer.analysis import superresolution
from bl_steer.analysis.reconstruction.from_files import write_volumes
from bl_steer.cli import main
from bl_steer.files import open_stack
from bl_steer.files.formats import FORMS
from bl_steer.protocols import AnalysisResult
from bl_steer.server.jobs.process import Task, carry_out
from tests.bl_steer.analysis.test_files_at_every_door import LEARN_LITTLE

RNG = np.random.default_rng(5)
PLANES = RNG.integers(0, 256, (4, 48, 56), dtype=np.uint8)


def test_segment_writes_one_stack_of_labels_in_place_of_files_of_each_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fields").mkdir()
    noise = RNG.integers(0, 256, (2, 96, 112), dtype=np.uint8)
    for number, field in enumerate(noise):
        tifffile.imwrite(f"fields/s{number}.tif", field, photometric="minisblack")
    run = ["segment", "run", "fields", "--pixel-size-nm", "10", "--json", "r.json"]
    assert main([*run, "--out", "files"]) == 0
    digest = json.loads(Path("r.json").read_text())["digest"]
    assert main([*run, "--out", "stack", "--format", "nrrd"]) == 0
    report = json.loads(Path("r.json").read_text())
    assert report["digest"] == digest
    names = sorted(path.name for path in Path("stack").iterdir())
    assert names == ["fields.csv", "fractions.csv", "labels.nrrd", "sample.csv", "uncertainty.nrrd"]
    stored = open_stack("stack/labels.nrrd")
    for number, plane in enumerate(stored.array):
        alone = tifffile.imread(f"files/field_00{number}_labels.tif")
        np.testing.assert_array_equal(plane, alone)
    assert stored.known["phases"] == ["oxide", "carbon", "void"]
    assert "pitch_nm" not in stored.known, "nobody said how far apart the fields lie"
    tifffile.imwrite("fields/s2.tif", noise[0, :90], photometric="minisblack")
    assert main([*run, "--out", "uneven", "--format", "ome-tiff"]) == 2
    assert "of one shape to make a stack, got 90 × 112 and 96 × 112" in capsys.readouterr().err


def test_the_labels_of_a_zarr_stack_are_an_ome_zarr_and_its_pixel_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    noise = RNG.integers(0, 256, (2, 96, 112), dtype=np.uint8)
    zarr.save_array("stack.zarr", noise)
    zarr.open_array("stack.zarr", mode="a").attrs["voxel_size_nm"] = [50, 20, 20]
    run = ["segment", "run", "stack.zarr", "--json", "r.json"]
    assert main([*run, "--out", "out"]) == 0
    stored = open_stack("out/labels.zarr")
    assert stored.known["voxel_size_nm"] == [50, 20, 20]
    assert stored.known["phases"] == ["oxide", "carbon", "void"]
    assert main([*run, "--out", "told", "--pixel-size-nm", "20"]) == 0
    labels = (open_stack(f"{out}/labels.zarr").array[:] for out in ("out", "told"))
    np.testing.assert_array_equal(*labels)
    assert main([*run, "--out", "other", "--pixel-size-nm", "10"]) == 0
    warnings = json.loads(Path("r.json").read_text())["warnings"]
    assert sum("states a pixel of 20 nm; 10 nm was given" in warning for warning in warnings) == 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A super-resolution that has learnt for one step."""
    folder = tmp_path_factory.mktemp("model")
    settings = superresolution.TrainingSettings.model_validate(
        {**LEARN_LITTLE, "decimation": superresolution.Decimation(pitch_px=4.0)}
    )
    superresolution.train_model(PLANES, settings, folder=folder)
    return folder


@pytest.mark.parametrize("form", [[], ["--format", "ome-tiff"], ["--format", "ome-zarr"]])
def test_super_resolved_volumes_have_their_voxel_in_every_form(
    form: list[str], model: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "stack.npy", PLANES)
    run = ["superres", "run", str(tmp_path / "stack.npy"), "--pitch-nm", "40"]
    run += ["--pixel-size-nm", "10", "--model", str(model), "--out", str(tmp_path / "out")]
    assert main([*run, *form]) == 0
    ending = {"ome-tiff": ".ome.tif", "ome-zarr": ".ome.zarr"}.get("".join(form[1:]), ".tif")
    for name in ("volume", "uncertainty"):
        stored = open_stack(tmp_path / "out" / f"{name}{ending}")
        assert stored.known["voxel_size_nm"] == [20, 10, 10]
        assert stored.array.shape == (7, 48, 56)
    volume = open_stack(tmp_path / "out" / f"volume{ending}").array
    np.testing.assert_array_equal(np.asarray(volume[:])[::2], PLANES)


def test_a_zarr_becomes_an_ome_zarr_and_what_it_states_is_held_against_what_is_told(
    model: Path, tmp_path: Path
) -> None:
    stack = tmp_path / "stack.zarr"
    zarr.save_array(str(stack), PLANES)
    zarr.open_array(str(stack), mode="a").attrs["voxel_size_nm"] = [100, 10, 10]
    run = ["superres", "run", str(stack), "--pitch-nm", "40", "--pixel-size-nm", "10"]
    run += ["--model", str(model), "--out", str(tmp_path / "out")]
    assert main([*run, "--json", str(tmp_path / "r.json")]) == 0
    assert open_stack(tmp_path / "out" / "volume.zarr").known["voxel_size_nm"] == [20, 10, 10]
    told = json.loads((tmp_path / "r.json").read_text())["warnings"]
    assert sum("states a pitch of 100 nm; 40 nm was given" in warning for warning in told) == 1


def test_a_volume_of_the_server_has_its_voxel(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", PLANES)
    params = {"pitch_nm": 40.0, "pixel_size_nm": 10.0, "model": str(model), **LEARN_LITTLE}
    task = Task("superres", [str(tmp_path / "stack.npy")], params, str(tmp_path))
    assert carry_out(task, io.StringIO()).ok
    assert open_stack(tmp_path / "volume.tif").known["voxel_size_nm"] == [20, 10, 10]


def test_a_report_of_slices_has_its_volumes_in_the_form_that_is_asked_for(tmp_path: Path) -> None:
    arrays = dict.fromkeys(("volume", "uncertainty", "slices"), PLANES)
    voxels = {"volume": [20, 10, 10], "uncertainty": [20, 10, 10], "slices": [40, 10, 10]}
    result = AnalysisResult(
        {},
        {**arrays, "labels": PLANES % 3},
        {
            "voxels_nm": {**voxels, "labels": [40, 10, 10]},
            "phases": [{"name": name} for name in ("oxide", "carbon", "void")],
        },
    )
    for form, ending in FORMS.items():
        files = write_volumes(result, tmp_path, form)
        assert [path.name for path in files] == [
            f"{name}{ending}" for name in ("volume", "uncertainty", "slices", "labels")
        ]
        for path in files:
            name = path.name.removesuffix(ending)
            expected = result.provenance["voxels_nm"][name]
            assert open_stack(path).known["voxel_size_nm"] == expected
    assert open_stack(tmp_path / "labels.nrrd").known["phases"] == ["oxide", "carbon", "void"]
