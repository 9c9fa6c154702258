"""Every reader refuses all damage with a `ValueError` that names the file and a remedy."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from bl_steer.files import (
    map_inputs,
    open_stack,
    point_inputs,
    read_colours,
    read_map,
    read_micrographs,
    read_table,
)
from bl_steer.files.archives import MAX_BYTES, read_archive
from tests.bl_steer.files.damaged_archives import (
    GOOD,
    X,
    Y,
    archive,
    broken_deflate,
    cut,
    flip,
    header_of,
    npy,
    with_member,
    wrong_sum,
)

STACK = np.arange(4 * 16 * 17, dtype=np.uint16).reshape(4, 16, 17)


ARCHIVES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("x,y,value\n1,2,3\n"),
    "half": lambda path: cut(path, 0.5),
    "all but the end": lambda path: cut(path, 0.99),
    "broken deflate stream": broken_deflate,
    "wrong check sum": wrong_sum,
    "encrypted": lambda path: flip(path, 6, 8, lambda byte: byte | 1),
    "unknown compression": lambda path: flip(path, 8, 10, lambda _: 99),
    "single array": lambda path: path.write_bytes(npy(X)),
    "objects": lambda path: archive(path, x=np.array([{}], dtype=object)),
    "records": lambda path: archive(path, x=np.zeros(3, [("a", "f8"), ("b", "i4")])),
    "no magic": lambda path: with_member(path, "x", b"not an array"),
    "empty member": lambda path: with_member(path, "x", b""),
    "short member": lambda path: with_member(path, "x", npy(X)[:-20]),
    "huge": lambda path: with_member(path, "x", header_of((10**6, 10**6))),
    "negative": lambda path: with_member(path, "x", header_of((-4, 5))),
    "version 9": lambda path: with_member(path, "x", npy(X).replace(b"Y\1\0", b"Y\x09\0", 1)),
    "folder": lambda path: path.mkdir(),
}
"""Damage to a whole .npz, whatever it holds."""
ARCHIVE_READERS: dict[str, Callable[[Path], object]] = {
    "read_map": read_map,
    "map_inputs": map_inputs,
    "point_inputs": point_inputs,
}


def refusal_of(read: Callable[[Path], object], path: Path) -> str:
    """Return why a reader refuses a file: one line with its name and a remedy."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  each case has words of its own
        read(path)
    message = str(caught.value)
    assert path.name in message
    assert "; " in message
    assert "\n" not in message
    assert "allow_pickle" not in message
    return message


@pytest.mark.parametrize("damage", ARCHIVES)
def test_a_damaged_archive_is_refused_in_the_same_words_by_every_reader(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "測定 1.npz"
    ARCHIVES[damage](path)
    assert len({refusal_of(read, path) for read in ARCHIVE_READERS.values()}) == 1


NO_ARCHIVES = ("text", "empty", "folder", "single array")
"""What a stack is told by its first bytes to be no .npz at all."""


@pytest.mark.parametrize("damage", [name for name in ARCHIVES if name not in NO_ARCHIVES])
def test_a_damaged_archive_is_no_stack_either_and_for_the_same_reason(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "測定 1.npz"
    ARCHIVES[damage](path)
    assert refusal_of(open_stack, path) == refusal_of(read_map, path)


@pytest.mark.parametrize("reader", ARCHIVE_READERS)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": X + 1j}, "x must be real numbers, got complex128"),
        ({"x": X.astype(str)}, "x must be real numbers, got <U"),
        ({"x": X[:2]}, "must have one shape"),
        ({"x": np.float64(1)}, "must have one shape"),
    ],
)
def test_coordinates_that_are_no_numbers_for_each_point_are_refused(
    tmp_path: Path, reader: str, changed: dict[str, NDArray[Any]], message: str
) -> None:
    path = archive(tmp_path / "m.npz", **changed)
    assert message in refusal_of(ARCHIVE_READERS[reader], path)


@pytest.mark.parametrize("reader", ["read_map", "map_inputs"])
def test_a_map_without_points_is_refused(tmp_path: Path, reader: str) -> None:
    path = archive(tmp_path / "m.npz", x=X[:0], y=Y[:0], patterns=GOOD["patterns"][:0])
    assert "must hold points, got none" in refusal_of(ARCHIVE_READERS[reader], path)


def test_an_archive_beyond_the_limit_is_refused_by_its_headers_alone(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.npz", extra=X)
    raw = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", raw, raw.rfind(b"PK\5\6") + 16)[0]
    while raw[at : at + 4] == b"PK\1\2":  # the most that a member can claim in 32 bits
        struct.pack_into("<I", raw, at + 24, 2**32 - 2)
        at += 46 + sum(struct.unpack_from("<H", raw, at + k)[0] for k in (28, 30, 32))
    path.write_bytes(raw)
    assert MAX_BYTES < 5 * (2**32 - 2)
    assert "must hold at most 16 GiB" in refusal_of(read_archive, path)


def test_a_stack_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "stack.npy"
    shape = (2**12, 2**11, 2**11 + 1)  # a byte a voxel
    with path.open("wb") as file:
        header = {"shape": shape, "fortran_order": False, "descr": "|u1"}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + math.prod(shape))  # a file of holes takes no room
    assert "must hold at most 16 GiB, got 16 GiB; save it with zarr" in refusal_of(open_stack, path)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<i4", ">u2", "f4"])
def test_arrays_are_read_in_every_layout(
    tmp_path: Path, version: tuple[int, int], order: Any, dtype: str
) -> None:
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w") as target:
        for key, array in GOOD.items():
            target.writestr(f"{key}.npy", npy(np.asarray(array, dtype=dtype, order=order), version))
    assert np.array_equal(read_map(path).values, GOOD["patterns"])
    assert np.array_equal(map_inputs(path).arrays["patterns"], GOOD["patterns"].reshape(20, 2))


def png(path: Path) -> bytes:
    Image.fromarray(STACK[0]).save(path, format="PNG")
    return path.read_bytes()


def tiff(path: Path) -> bytes:
    tifffile.imwrite(path, STACK, photometric="minisblack", compression="zlib")
    return path.read_bytes()


IMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no image"),
    "half a PNG": lambda path: path.write_bytes(png(path)[: len(png(path)) // 2]),
    "half a TIFF": lambda path: path.write_bytes(tiff(path)[: len(tiff(path)) // 2]),
    "a TIFF's header": lambda path: path.write_bytes(tiff(path)[:8]),
    "objects": lambda path: path.write_bytes(npy(np.array([[{}, 1]], dtype=object))),
    "complex": lambda path: path.write_bytes(npy(STACK[0] * 1j)),
    "letters": lambda path: path.write_bytes(npy(STACK[0].astype(str))),
    "half an npy": lambda path: path.write_bytes(npy(STACK[0])[:200]),
    "a huge npy": lambda path: path.write_bytes(header_of((10**6, 10**6))),
    "no pixels": lambda path: path.write_bytes(npy(STACK[:, :0])),
}


@pytest.mark.parametrize("read", [read_micrographs, read_colours])
@pytest.mark.parametrize("damage", IMAGES)
def test_a_damaged_image_is_refused_whatever_its_name(
    tmp_path: Path, damage: str, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "試料.tif"
    IMAGES[damage](path)
    refusal_of(read, path)


@pytest.mark.parametrize(
    "damage",
    [name for name in IMAGES if name not in ("complex", "letters")],  # the analyses judge these
)
def test_a_damaged_stack_is_refused_whatever_its_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "試料.tif"
    IMAGES[damage](path)
    refusal_of(open_stack, path)


def huge_tiff(path: Path) -> None:
    """Write a small TIFF whose header promises pages of 2^17 by 2^17 pixels."""
    with tifffile.TiffWriter(path) as file:
        file.write(STACK[0], compression="zlib", rowsperstrip=STACK.shape[1], metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages.first.tags[tag].overwrite(2**17)


def test_a_tiff_beyond_the_limit_is_refused_by_its_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    huge_tiff(path)
    assert path.stat().st_size < 4000
    assert "must hold at most 16 GiB, got 32 GiB" in refusal_of(open_stack, path)


@pytest.mark.parametrize("damage", [name for name in IMAGES if "npy" not in name])
def test_a_damaged_slice_in_a_folder_is_refused_by_its_name(tmp_path: Path, damage: str) -> None:
    tifffile.imwrite(tmp_path / "s1.tif", STACK[0])
    path = tmp_path / "s2.tif"
    IMAGES[damage](path)
    with pytest.raises(ValueError, match=r"s2\.tif.*; "):
        open_stack(tmp_path)


@pytest.mark.parametrize("read", [read_table, map_inputs, point_inputs])
@pytest.mark.parametrize("damage", ["empty", "binary", "folder", "complex", "ragged"])
def test_a_damaged_table_is_refused_by_every_reader(
    tmp_path: Path, damage: str, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "表.csv"
    if damage == "folder":
        path.mkdir()
    else:
        content = {
            "empty": b"",
            "binary": b"\x89PNG\0\0",
            "complex": b"x,y,value\n1,2,3j\n",
            "ragged": b"x,y,value\n1,2,3\n1,2\n",
        }
        path.write_bytes(content[damage])
    refusal_of(read, path)


@pytest.mark.parametrize(
    "read",
    [read_map, map_inputs, point_inputs, open_stack, read_micrographs, read_table],
)
def test_a_link_to_nowhere_is_refused_with_its_name(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "link.npz"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises((ValueError, FileNotFoundError), match=r"link\.npz") as caught:
        read(path)
    assert "; " in str(caught.value) or "does not exist" in str(caught.value)


@pytest.mark.parametrize("damage", ["empty folder", "truncated metadata"])
def test_a_zarr_without_metadata_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "v.zarr"
    path.mkdir()
    if damage == "truncated metadata":
        (path / "zarr.json").write_text('{"zarr_format": 3, "node')
    refusal_of(open_stack, path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'<?xml version="1.0"?><xrdMeasurements/>', "got XML"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "got HDF5"),
        (b"\x80\x04\x95" + bytes(99), "got a pickle"),
        (b"x,y,value\n1,2,3\n", "got text"),
        (b"", "got an empty file"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_kind(content, told, tmp_path):
    path = tmp_path / "map.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"map.npz must be an .npz file, {told}; "):
        read_map(path)


def test_a_zip_of_many_files_is_refused_in_one_short_line(tmp_path):
    path = tmp_path / "map.rasx"
    with zipfile.ZipFile(path, "w") as target:
        for number in range(401):
            target.writestr(f"Data{number}/Profile{number}.txt", "1 2 1")
    with pytest.raises(ValueError, match="got a zip of 401 other files") as refusal:
        read_map(path)
    assert len(str(refusal.value)) - len(str(path)) < 250


def test_many_arrays_without_a_map_are_refused_in_one_short_line(tmp_path):
    path = tmp_path / "map.npz"
    np.savez(path, **{f"array_of_a_long_name_{number}": X for number in range(400)})
    with pytest.raises(ValueError, match="and 395 more") as refusal:
        read_map(path)
    assert len(str(refusal.value)) - len(str(path)) < 350
