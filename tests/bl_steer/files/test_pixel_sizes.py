"""What files state of pixels and voxels: read, used, and told where it contradicts or fits not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from bl_steer.analysis.segmentation.from_files import inputs_from_files
from bl_steer.analysis.structure.from_files import measure_structure
from bl_steer.analysis.superresolution.from_files import inputs_from_files as slices_from_files
from bl_steer.files.images import read_micrographs
from bl_steer.files.stacks import open_stack
from bl_steer.files.volumes.ome_zarr import described

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
    notes = slices_from_files([tmp_path]).notes
    assert sum("14 nm high" in note for note in notes) == 1


def test_what_a_header_rounds_is_square(tmp_path: Path) -> None:
    path = tmp_path / "square.tif"
    tifffile.imwrite(path, GREY, resolution=(1e6, 0.998e6), resolutionunit="CENTIMETER")
    assert read_micrographs(path).notes == ()


STACKS: dict[str, dict[str, Any]] = {
    "imagej": {
        "imagej": True,
        "resolution": (100, 100),
        "metadata": {"spacing": 0.05, "unit": "um", "axes": "ZYX"},
    },
    "ome": {
        "ome": True,
        "metadata": {
            "axes": "ZYX",
            "PhysicalSizeX": 10,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 10,
            "PhysicalSizeYUnit": "nm",
            "PhysicalSizeZ": 50,
            "PhysicalSizeZUnit": "nm",
        },
    },
}


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    labels = (np.indices((8, 24, 24)).sum(axis=0) // 6 % 3).astype(np.uint8)
    path = tmp_path / "labels.tif"
    tifffile.imwrite(path, labels, photometric="minisblack", **STACKS[request.param])
    return path


def test_the_voxel_that_a_stack_states_is_used(stack: Path) -> None:
    assert open_stack(stack).known["voxel_size_nm"] == pytest.approx([50.0, 10.0, 10.0])
    stated = measure_structure(stack, params={}, out=None)
    told = measure_structure(stack, params={"voxel_size_nm": (50.0, 10.0, 10.0)}, out=None)
    assert stated["digest"] == told["digest"]
    assert not any("check which is right" in text for text in stated["warnings"] + told["warnings"])


def test_a_voxel_that_contradicts_the_files_is_told_with_both(stack: Path) -> None:
    report = measure_structure(stack, params={"voxel_size_nm": (20.0, 10.0, 10.0)}, out=None)
    assert (
        "the file states a voxel of 50 × 10 × 10 nm; 20 × 10 × 10 nm was given and is used: check "
        "which is right"
    ) in report["warnings"]


def test_a_pixel_that_contradicts_the_files_is_told_whoever_gives_it(tmp_path: Path) -> None:
    path = tmp_path / "micrograph.tif"
    tifffile.imwrite(path, GREY, resolution=(1e6, 1e6), resolutionunit="CENTIMETER")
    inputs = inputs_from_files([path], {"pixel_size_nm": 20.0})
    assert list(inputs.notes) == [
        "micrograph.tif states a pixel of 10 nm; 20 nm was given and is used: check which is right"
    ]


@pytest.mark.parametrize("compression", ["lzw", "packbits", "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_compressed_stack_is_that_of_the_plain_file(
    compression: str, dtype: Any, tmp_path: Path
) -> None:
    labels = (np.indices((4, 24, 24)).sum(axis=0) // 6 % 3).astype(dtype)
    for name, codec in (("plain", None), ("packed", compression)):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, labels, photometric="minisblack", compression=codec)
    for name in ("plain", "packed"):
        np.testing.assert_array_equal(open_stack(tmp_path / f"{name}.tif").array, labels)
        fields = read_micrographs(tmp_path / f"{name}.tif").fields
        np.testing.assert_array_equal(np.stack(fields), labels)


def test_edges_in_a_unit_that_is_no_length_are_asked_for_by_file_and_value(tmp_path: Path) -> None:
    labels = np.zeros((4, 6, 5), np.uint8)
    about = {"unit": "furlong", "spacing": 4.0}
    tifffile.imwrite(tmp_path / "t.tif", labels, imagej=True, metadata=about, resolution=(2, 1))
    group = zarr.open_group(str(tmp_path / "o.zarr"), mode="w")
    group.create_array("0", data=labels)
    group.attrs.update(described("0", (40.0, 10.0, 20.0)))
    ome = dict(group.attrs["ome"])
    ome["multiscales"][0]["axes"] = [{"name": name, "type": "space"} for name in "zyx"]
    group.attrs["ome"] = ome
    for name, said in (
        ("t.tif", "edges of 4, 1, 0.5 along z, y, x, in a unit that is not known, furlong"),
        ("o.zarr", "edges of 40, 10, 20 along z, y, x, without a unit"),
    ):
        assert open_stack(tmp_path / name).known["stated_voxel"] == f"{name} states {said}"
    about["unit"] = "pixel"  # of ImageJ where nothing was calibrated
    tifffile.imwrite(tmp_path / "p.tif", labels, imagej=True, metadata=about, resolution=(2, 1))
    assert "stated_voxel" not in open_stack(tmp_path / "p.tif").known
