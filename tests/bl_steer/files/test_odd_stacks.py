"""Stacks and images of which a file says more than its numbers: told, and never taken silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from bl_steer.analysis import find_analysis, make_params, structure, superresolution
from bl_steer.analysis.segmentation import inputs_from_files
from bl_steer.files import read_micrographs
from bl_steer.files.stacks import open_stack
from bl_steer.protocols import Inputs

GREY = np.random.default_rng(8).integers(0, 255, (40, 60)).astype(np.uint8)


def turned(path: Path, orientation: int) -> Path:
    if path.suffix == ".tif":
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, GREY, photometric="minisblack", extratags=tags, metadata=None)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(GREY).save(path, exif=exif)
    return path


@pytest.mark.parametrize("ending", [".tif", ".png", ".jpg"])
def test_what_is_to_be_shown_turned_is_told_wherever_it_is_read(
    ending: str, tmp_path: Path
) -> None:
    for name in ("s0", "s1"):
        turned(tmp_path / f"{name}{ending}", 3)
    told = "to be shown turned or mirrored (orientation 3)"
    assert any(told in note for note in read_micrographs(tmp_path / f"s0{ending}").notes)
    assert any(told in note for note in inputs_from_files([tmp_path]).notes)
    for read in (
        structure.inputs_from_file(tmp_path),
        superresolution.inputs_from_files([tmp_path]),
    ):
        assert sum(told in note for note in read.notes) == 1
    assert not any(
        "turned" in n for n in read_micrographs(turned(tmp_path / f"a{ending}", 1)).notes
    )


@pytest.mark.parametrize(("axes", "what"), [("TYX", "time points"), ("CYX", "channels")])
def test_pages_that_are_no_depths_are_told(axes: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    stack = np.stack([GREY] * 5)
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": axes}, photometric="minisblack")
    (note,) = open_stack(path).notes
    assert f"calls its 5 planes {what}, and they are taken as slices in depth" in note


@pytest.mark.parametrize("shape", [(64, 80, 12), (12, 64, 80), (64, 64, 17)])
def test_a_depth_that_may_be_the_last_axis_is_told(shape: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape, np.uint8))
    notes = open_stack(tmp_path / "a.npy").notes
    assert ["64 slices of 80 × 12 px" in note for note in notes] == [True] * (shape[2] == 12)


def test_255_beside_labels_is_told() -> None:
    labels = np.kron(np.random.default_rng(1).integers(0, 3, (3, 4, 5)), np.ones((2, 4, 4)))
    labels[0] = 255
    analysis = find_analysis("structure")
    for phases, told in (
        ("", True),
        ("0:a,1:b,2:c,255:d", False),
        ("0:a,1:b,2:c,7:e,255:d", False),
    ):
        params = {"voxel_size_nm": (10, 10, 10), "phases": phases, "n_bootstrap": 100}
        inputs = Inputs({"labels": labels.astype(np.uint8)})
        warnings = analysis.run(inputs, make_params(analysis, params)).warnings
        assert any("label 255 is measured as a phase beside 0 … 2" in w for w in warnings) == told
        assert any("no voxel of the volume is e:" in w for w in warnings) == (":e" in phases)


def test_a_thumbnail_before_the_stack_is_no_stack(tmp_path: Path) -> None:
    stack = np.stack([GREY // 100] * 4)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(stack[0, :10, :15], photometric="minisblack", subfiletype=1)
        file.write(stack, photometric="minisblack")
    stored = open_stack(tmp_path / "a.tif", "labels")
    np.testing.assert_array_equal(stored.array, stack)
    assert not stored.notes


def test_frames_that_are_left_out_are_told_of_labels_too(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY // (60 + n)) for n in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    notes = structure.inputs_from_file(tmp_path / "a.png").notes
    assert any(note.startswith("Only the first of 3 frames is read") for note in notes)


@pytest.mark.parametrize("voxel", ["10 nm", 10.0, [10, 10], [-40, 10, 10], [np.nan, 1, 1]])
def test_a_voxel_that_is_none_is_asked_for_in_the_words_of_the_file(
    voxel: Any, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", labels=np.stack([GREY // 100] * 4), voxel_size_nm=voxel)
    for name, inputs in (
        ("structure", structure.inputs_from_file(tmp_path / "a.npz")),
        ("superres", superresolution.inputs_from_files([tmp_path / "a.npz"])),
    ):
        analysis = find_analysis(name)
        with pytest.raises(ValueError, match=r"a\.npz states a voxel_size_nm of "):
            analysis.run(inputs, make_params(analysis, {}))


def test_a_pixel_alone_contradicts_a_told_voxel(tmp_path: Path) -> None:
    about: Any = {"resolution": (1e6, 1e6), "resolutionunit": "CENTIMETER", "metadata": None}
    tifffile.imwrite(
        tmp_path / "a.tif", np.stack([GREY // 100] * 4), photometric="minisblack", **about
    )
    analysis = find_analysis("structure")
    inputs = structure.inputs_from_file(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif states pixels of 10 nm, and no distance of"):
        analysis.run(inputs, make_params(analysis, {}))
    params = {"voxel_size_nm": (40, 20, 20), "n_bootstrap": 100}
    warnings = analysis.run(inputs, make_params(analysis, params)).warnings
    assert any("states a pixel of 10 nm; 20 nm was given" in warning for warning in warnings)


def test_the_element_size_of_hdf5_is_the_voxel(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t0/channel0"] = np.stack([GREY // 100] * 4)
        file["t0/channel0"].attrs["element_size_um"] = [0.04, 0.01, 0.01]
    assert open_stack(tmp_path / "a.h5").known["voxel_size_nm"] == [40.0, 10.0, 10.0]


def test_images_of_microscopes_that_are_not_read_are_named_with_the_way(tmp_path: Path) -> None:
    way = "it is a file of Zeiss: open it in Fiji, whose Bio-Formats reads it, and save it as TIFF"
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE" + bytes(40))
    for read in (read_micrographs, open_stack):
        with pytest.raises(ValueError, match=way):
            read(tmp_path / "a.czi")
    for read in (lambda folder: inputs_from_files([folder]), open_stack):
        with pytest.raises(ValueError, match=f"got none in .*an image in .*, a.czi, is .*{way}"):
            read(tmp_path)
    for number in range(3):
        tifffile.imwrite(tmp_path / f"s{number}.tif", np.full((9, 8), number, np.uint8))
    told = f"a.czi, is of a kind that is not read, and left out: {way}"
    for notes in (inputs_from_files([tmp_path]).notes, open_stack(tmp_path).notes):
        assert sum(told in note for note in notes) == 1


def test_a_slice_in_colours_says_so_once(tmp_path: Path) -> None:
    colours = np.zeros((20, 20, 3), np.uint8)
    colours[3:6, 4:9, 0] = 255
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"^\S*a\.png must hold one value a pixel, got colours"):
        open_stack(tmp_path / "a.png")


def test_axes_that_a_file_names_are_obeyed_or_it_is_refused(tmp_path: Path) -> None:
    labels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    for names, stored in (("zyx", labels), ("xyz", labels.T)):
        with h5py.File(tmp_path / f"{names}.h5", "w") as file:
            one = file.create_dataset("labels", data=stored)
            for axis, letter in zip(one.dims, names, strict=True):
                axis.label = letter
        assert np.array_equal(open_stack(tmp_path / f"{names}.h5").array, labels)
    for number, (form, option) in enumerate(
        (
            (3, {"dimension_names": list("xyz")}),
            (2, {"attributes": {"_ARRAY_DIMENSIONS": list("xyz")}}),
        )
    ):
        path = tmp_path / f"{number}.zarr"
        zarr.create_array(str(path), data=labels.T, zarr_format=form, **option)
        with pytest.raises(ValueError, match="axes z, y, x, in this order, got x, y, z; transpose"):
            open_stack(path)
    zarr.create_array(str(tmp_path / "s.zarr"), data=labels, dimension_names=["a", "y", "x"])
    assert np.array_equal(open_stack(tmp_path / "s.zarr").array, labels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_slices_whose_palettes_differ_are_refused(suffix: str, tmp_path: Path) -> None:
    labels = np.arange(60, dtype=np.uint8).reshape(6, 10) % 3
    colours = np.zeros((256, 3), np.uint8)
    colours[:3] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    for number, order in enumerate(([0, 1, 2], [0, 1, 2], [2, 1, 0])):
        path, own = tmp_path / f"s{number}{suffix}", np.array(order, np.uint8)
        mapped = colours.copy()
        mapped[own] = colours[:3]
        if suffix == ".tif":
            colormap = mapped.T.astype(np.uint16) * 257
            tifffile.imwrite(path, own[labels], photometric="palette", colormap=colormap)
        else:
            image = Image.fromarray(own[labels], mode="P")
            image.putpalette(mapped.ravel().tolist())
            image.save(path)
    with pytest.raises(ValueError, match=r"one palette .* for 0 in s0.* in s2"):
        open_stack(tmp_path)
    (tmp_path / f"s2{suffix}").unlink()
    stored = open_stack(tmp_path)
    assert np.array_equal(stored.array, [labels, labels])
    assert "palette" not in stored.known
