"""TIFF files that hold more, less or other things than a stack of grey slices: right, or told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.analysis import segmentation, slices, structure, superresolution
from bl_steer.analysis.segmentation.masks import read_mask
from bl_steer.files import read_micrographs
from bl_steer.protocols import Inputs
from tests.bl_steer.files.written_files import GREY, LABELS, STACK, sizes

OF_STACKS: dict[str, Callable[[Path], Inputs]] = {
    "structure": structure.inputs_from_file,
    "superres": lambda path: superresolution.inputs_from_files([path]),
    "reconstruct": lambda path: slices.inputs_from_files([path]),
}


def fields(path: Path) -> Inputs:
    return segmentation.inputs_from_files([path])


def said(inputs: Inputs, text: str) -> bool:
    return any(text in note for note in inputs.notes)


@pytest.mark.parametrize("planes", [3, 4])
def test_slices_saved_as_the_colours_of_one_image_are_named(planes: int, tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    with pytest.warns(DeprecationWarning, match="photometric"):
        tifffile.imwrite(path, STACK[:planes])  # what tifffile makes of it by default
    for door in OF_STACKS.values():
        with pytest.raises(ValueError, match=r"each in a plane .*photometric='minisblack'"):
            door(path)
    assert said(fields(path), "if these are slices of a stack, save it as grey")


def test_transparency_is_told_where_there_is_some(tmp_path: Path) -> None:
    for opaque in (True, False):
        alpha = np.full_like(STACK, 255)
        alpha[:, :9] = 255 if opaque else 0
        path = tmp_path / f"{opaque}.tif"
        tifffile.imwrite(
            path,
            np.stack([STACK, alpha], -1),
            photometric="minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"],
        )
        for door in OF_STACKS.values():
            assert said(door(path), "what is transparent is taken as it is stored") != opaque


def test_labels_in_jpeg_are_told(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "s.tif", LABELS * np.uint8(99), photometric="minisblack", compression="jpeg"
    )
    (tmp_path / "slices").mkdir()
    for number, plane in enumerate(LABELS * np.uint8(99)):
        Image.fromarray(plane).save(tmp_path / "slices" / f"{number}.jpg")
    for path in (tmp_path / "s.tif", tmp_path / "slices"):
        assert said(structure.inputs_from_file(path), "JPEG changes numbers")
        assert not said(OF_STACKS["reconstruct"](path), "JPEG")
    Image.fromarray(GREY).save(tmp_path / "a.png")
    Image.fromarray(LABELS[0] * np.uint8(100)).save(tmp_path / "a_mask.jpg")
    with pytest.raises(ValueError, match="JPEG changes numbers"):
        read_mask(
            tmp_path / "a_mask.jpg",
            segmentation.FIBSEM_PHASES,
            read_micrographs(tmp_path / "a.png"),
        )


def test_what_else_a_file_holds_is_told(tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(STACK, photometric="minisblack")
        file.write(np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    for door in OF_STACKS.values():
        assert said(door(path), "holds 2 images or stacks, of which the first (5 × 33 × 41) is")
    pyramid = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(pyramid) as file:
        file.write(STACK, subifds=1, photometric="minisblack", tile=(16, 16))
        file.write(STACK[:, ::2, ::2], subfiletype=1, photometric="minisblack", tile=(16, 16))
    for door in OF_STACKS.values():
        assert not door(pyramid).notes


def test_channels_are_told_and_no_more_than_one_axis_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "c.ome.tif"
    tifffile.imwrite(path, STACK, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    for door in OF_STACKS.values():
        assert said(door(path), "calls its 5 planes channels")
    assert said(fields(path), "calls its pages channels")
    for axes in ("TZYX", "CZYX"):
        four = np.stack([STACK, STACK])
        tifffile.imwrite(path, four, ome=True, photometric="minisblack", metadata={"axes": axes})
        for door in (fields, *OF_STACKS.values()):
            with pytest.raises(
                ValueError, match=r"got axes of \[2, 5\]|got shape \(2, 5, 33, 41\)"
            ):
                door(path)


@pytest.mark.parametrize("bits", [4, 10, 12])
def test_packed_numbers_are_read_by_every_door(bits: int, tmp_path: Path) -> None:
    numbers = (STACK // 16).astype(np.uint8 if bits == 4 else np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", numbers, photometric="minisblack", bitspersample=bits)
    for door in OF_STACKS.values():
        array = door(tmp_path / "s.tif").arrays
        np.testing.assert_array_equal(next(iter(array.values()))[:], numbers)
    np.testing.assert_array_equal(
        np.stack(list(fields(tmp_path / "s.tif").arrays.values())), numbers
    )


def test_rare_codecs_are_read_by_every_door(tmp_path: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "jpeg2000": {"compression": "jpeg2000"},
        "zstd": {"compression": "zstd"},
        "real": {"compression": "zlib", "predictor": 3},
    }
    for name, option in options.items():
        numbers = STACK.astype(np.float32) / 3 if name == "real" else STACK
        tifffile.imwrite(tmp_path / "s.tif", numbers, photometric="minisblack", **option)
        read = fields(tmp_path / "s.tif")
        np.testing.assert_array_equal(np.stack(list(read.arrays.values())), numbers)


@pytest.mark.parametrize(
    ("known", "resolution", "voxel"),
    [
        ({"unit": "micrometer", "spacing": 0.04}, (100, 100), (40.0, 10.0)),
        ({"unit": "nanometers", "spacing": 40}, (0.1, 0.1), (40.0, 10.0)),
        ({"unit": "inches", "spacing": 1e-6}, (1e6, 1e6), (25.4, 25.4)),
        ({"unit": "um", "zunit": "nm", "spacing": 40}, (100, 100), (40.0, 10.0)),
        ({"unit": "um", "yunit": "nm", "spacing": 0.04}, (100, 0.1), (40.0, 10.0)),
        ({"unit": "um", "zunit": "slice", "spacing": 1}, (100, 100), (None, 10.0)),
    ],
)
def test_units_are_known_by_what_programs_call_them(
    known: dict[str, Any],
    resolution: tuple[float, float],
    voxel: tuple[float | None, float],
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.tif"
    metadata = {"axes": "ZYX", **known}
    tifffile.imwrite(path, STACK, imagej=True, resolution=resolution, metadata=metadata)
    found = superresolution.inputs_from_files([path]).metadata
    assert found.get("pixel_size_nm") == pytest.approx(voxel[1])
    assert found.get("pitch_nm") == (None if voxel[0] is None else pytest.approx(voxel[0]))


def test_a_unit_of_ome_is_known_in_any_spelling_of_xml(tmp_path: Path) -> None:
    path = tmp_path / "s.ome.tif"
    metadata = {"axes": "ZYX", **sizes(0.04, 0.01, "µm")}
    tifffile.imwrite(path, STACK, ome=True, photometric="minisblack", metadata=metadata)
    text = tifffile.tiffcomment(path)
    assert isinstance(text, str)
    tifffile.tiffcomment(path, text.replace("µm", "&#181;m").encode())
    found = superresolution.inputs_from_files([path]).metadata
    assert (found["pitch_nm"], found["pixel_size_nm"]) == (40.0, 10.0)


def test_an_array_of_colours_is_no_stack_at_any_door(tmp_path: Path) -> None:
    path = tmp_path / "rgb.npy"
    np.save(path, np.moveaxis(STACK[:3], 0, -1))
    for door in OF_STACKS.values():
        with pytest.raises(ValueError, match=r"got shape \(33, 41, 3\) .* an image in colours"):
            door(path)
    assert said(fields(path), "its luminance is used")


def test_what_is_black_is_known_where_white_is_zero(tmp_path: Path) -> None:
    grey = np.arange(-600, 600, dtype=np.int16).reshape(30, 40)
    for values, meant in (
        (grey, -1 - grey.astype(float)),
        ((grey + 600).astype(np.uint16), 65535.0 - (grey + 600)),
    ):
        tifffile.imwrite(tmp_path / "s.tif", values, photometric="miniswhite")
        assert np.array_equal(read_micrographs(tmp_path / "s.tif").fields[0], meant)
    tifffile.imwrite(tmp_path / "s.tif", grey / np.float32(7), photometric="miniswhite")
    with pytest.raises(ValueError, match="whole numbers where it says that white is zero, got fl"):
        read_micrographs(tmp_path / "s.tif")
