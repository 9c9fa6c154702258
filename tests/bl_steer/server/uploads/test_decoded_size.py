"""Sizes from headers, against libraries that wrote the files, and headers that lie."""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bl_steer.server.uploads.decoded_size import (
    BadHeader,
    jpeg_shape,
    npy_bytes,
    png_bytes,
    tiff_bytes,
    zip_bytes,
)

READERS: dict[str, Callable[[Path], object]] = {
    "png": png_bytes,
    "jpeg": jpeg_shape,
    "tiff": tiff_bytes,
    "bigtiff": tiff_bytes,
    "npy": npy_bytes,
    "zip": zip_bytes,
}


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def image(kind: str, array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="minisblack", **options)
    return file.getvalue()


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


SOUND = {
    "png": image("png", np.zeros((5, 7), np.uint8)),
    "jpeg": image("jpeg", np.zeros((5, 7, 3), np.uint8)),
    "tiff": tiff(np.zeros((3, 5, 7), np.uint16)),
    "bigtiff": tiff(np.zeros((3, 5, 7), np.uint16), bigtiff=True),
    "npy": npy(np.zeros((5, 7), np.float32)),
    "zip": zipped(a=b"a" * 100, b=b"b" * 20),
}


def read(kind: str, content: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        return READERS[kind](path)


@pytest.mark.parametrize(
    ("mode", "size"), [("1", 35), ("L", 35), ("P", 35), ("LA", 70), ("RGB", 105), ("I;16", 70)]
)
def test_a_png_has_the_size_of_its_pixels(mode: str, size: int) -> None:
    file = io.BytesIO()
    Image.new(mode, (7, 5)).save(file, "png")
    assert read("png", file.getvalue()) == size


@pytest.mark.parametrize(("channels", "array"), [(1, (5, 7)), (3, (5, 7, 3))])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_has_the_shape_of_its_frame(
    channels: int, array: tuple[int, ...], progressive: bool
) -> None:
    file = io.BytesIO()
    picture = Image.fromarray(np.zeros(array, np.uint8))
    picture.save(file, "jpeg", progressive=progressive, comment=b"\xff\xc0 is no frame here")
    assert read("jpeg", file.getvalue()) == (5, 7, channels)


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=3),
    dtype=st.sampled_from(["u1", "<u2", "<u4", "<f4", "<f8"]),
    bigtiff=st.booleans(),
    byteorder=st.sampled_from(["<", ">"]),
)
def test_a_tiff_has_the_size_of_all_its_pages(
    shape: list[int], dtype: str, bigtiff: bool, byteorder: str
) -> None:
    array = np.zeros(shape, dtype)
    content = tiff(array, bigtiff=bigtiff, byteorder=byteorder, metadata=None)
    assert read("tiff", content) == array.nbytes


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), max_size=4),
    dtype=st.sampled_from(["?", "i1", ">i4", "f8", "c16", "U3", [("x", "f4"), ("n", "i8")]]),
    fortran=st.booleans(),
)
def test_an_array_has_the_size_that_numpy_gives_it(
    shape: list[int], dtype: object, fortran: bool
) -> None:
    array = np.zeros(shape, dtype, order="F" if fortran else "C")  # type: ignore[call-overload]
    assert read("npy", npy(array)) == array.nbytes


def test_a_zip_has_the_size_of_its_files_unpacked() -> None:
    assert read("zip", SOUND["zip"]) == 120
    assert read("zip", zipped()) == 0


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "C:evil", "..\\up"])
def test_a_zip_that_leads_out_of_its_folder_is_named(name: str) -> None:
    with pytest.raises(BadHeader, match="zip with the path"):
        read("zip", zipped(**{name: b""}))


def edited(kind: str, at: int, patch: bytes) -> bytes:
    content = SOUND[kind]
    return content[:at] + patch + content[at + len(patch) :]


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("png", SOUND["png"][:20], "PNG without IHDR"),
        ("png", edited("png", 12, b"IDAT"), "PNG without IHDR"),
        ("png", edited("png", 16, struct.pack(">I", 0)), "PNG of 0 × 5"),
        ("png", edited("png", 24, b"\x03"), "3 bit"),
        ("png", edited("png", 25, b"\x05"), "colour type 5"),
        ("jpeg", b"\xff\xd8", "JPEG without a frame"),
        ("jpeg", b"\xff\xd8\xff\xe0\xff", "JPEG without a frame"),
        ("jpeg", b"\xff\xd8\xff\xc0\x00\x11\x08\x00", "JPEG without a frame"),
        ("jpeg", b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1001, "JPEG without a frame"),
        ("tiff", b"II*\0\x08", "ends in its header"),
        ("tiff", b"II*\0" + struct.pack("<IHHH", 8, 1, 0, 0), "page's directory"),
        ("tiff", b"II*\0" + struct.pack("<IHHHHH", 8, 0, 0, 0, 0, 0), "page of 0 tags"),
        ("tiff", b"II*\0" + struct.pack("<IHHHHH", 8, 1001, 0, 0, 0, 0), "page of 1001 tags"),
        ("tiff", b"MM\0*" + struct.pack(">IHHHHH", 9999, 0, 0, 0, 0, 0), "before its directories"),
        ("bigtiff", edited("bigtiff", 8, b"\xff" * 8), "before its directories"),
        ("bigtiff", edited("bigtiff", 8, b"\xff" * 7 + b"\x7f"), "before its directories"),
        ("npy", b"\x93NUMPY\x01\x00\xff\xff{", "header cannot be read"),
        ("npy", edited("npy", 10, b"("), "header cannot be read"),
        ("npy", SOUND["npy"].replace(b"(5, 7)", b"(5,-7)"), "npy of the shape"),
        ("npy", SOUND["npy"][:-1], "announces 140 bytes and has fewer"),
        ("zip", b"PK\x05\x06", "zip that is cut off"),
        ("zip", b"PK\x03\x04" + b"\0" * 40, "zip that is cut off"),
        ("zip", edited("zip", len(SOUND["zip"]) - 10, b"\xff\xff\xff\x7f"), "zip of 2 files"),
    ],
)
def test_a_header_that_is_broken_is_told_as_such(kind: str, content: bytes, reason: str) -> None:
    with pytest.raises(BadHeader, match=reason):
        read(kind, content)


def test_an_array_of_python_objects_is_called_a_pickle() -> None:
    with pytest.raises(BadHeader, match="pickle"):
        read("npy", npy(np.array([{}], object)))


@pytest.mark.parametrize("kind", READERS)
@settings(deadline=None)
@given(data=st.data())
def test_whatever_a_header_says_it_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    content = bytearray(SOUND[kind])
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    with contextlib.suppress(BadHeader):
        size = read(kind, bytes(content[:end]))
        assert min(size if isinstance(size, tuple) else (size,)) >= 0  # type: ignore[type-var]
