"""Masks of pixels from files of other programs, and files that are no masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.files import read_pixel_mask

MASK = np.zeros((5, 7), dtype=bool)
MASK[1, 2] = MASK[4, 6] = True


def edf(path: Path, *, kind: str = "SignedByte", dtype: str = "i1", **changes: str) -> Path:
    """Write a file as the format's description has it: a header of 512 bytes, then numbers."""
    entries = {
        "HeaderID": "EH:000001:000000:000000",
        "ByteOrder": "LowByteFirst",
        "DataType": kind,
        "Dim_1": "7",
        "Dim_2": "5",
        **changes,
    }
    lines = "".join(f"{key} = {value} ;\n" for key, value in entries.items())
    header = ("{\n" + lines).ljust(510) + "}\n"
    path.write_bytes(header.encode() + MASK.astype(dtype).tobytes())
    return path


@pytest.mark.parametrize(
    ("kind", "dtype", "order"),
    [
        ("SignedByte", "i1", "LowByteFirst"),
        ("UnsignedShort", ">u2", "HighByteFirst"),
        ("SignedInteger", "<i4", "LowByteFirst"),
        ("FloatValue", "<f4", "LowByteFirst"),
    ],
)
def test_masks_of_edf_are_read(tmp_path: Path, kind: str, dtype: str, order: str) -> None:
    path = edf(tmp_path / "mask.edf", kind=kind, dtype=dtype, ByteOrder=order)
    np.testing.assert_array_equal(read_pixel_mask(path), MASK)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"DataType": "Colour"}, "must tell DataType, Dim_1 and Dim_2 of numbers, got Colour of 7"),
        ({"Dim_2": "none"}, "got SignedByte of 7 x none; save it anew"),
        ({"Dim_1": "7000"}, "must hold the 7000 x 5 numbers that it tells, got 35 bytes"),
        ({"Compression": "gzip"}, "must not be compressed, got gzip; save it anew without"),
    ],
)
def test_edf_that_cannot_be_read_is_refused_in_a_line(
    tmp_path: Path, changes: dict[str, str], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        read_pixel_mask(edf(tmp_path / "mask.edf", **changes))


def test_masks_of_numpy_are_read_and_headers_that_promise_too_much_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MASK)
    np.savez(tmp_path / "a.npz", other=MASK[:2], mask=MASK)
    for name in ("a.npy", "a.npz"):
        np.testing.assert_array_equal(read_pixel_mask(tmp_path / name), MASK)
    with (tmp_path / "b.npy").open("wb") as file:
        header = {"shape": (2**20, 2**20), "fortran_order": False, "descr": "|b1"}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match=r"a mask must be an array in a file of numpy, got b\.npy"):
        read_pixel_mask(tmp_path / "b.npy")
    np.savez(tmp_path / "c.npz", one=MASK, two=MASK)
    with pytest.raises(ValueError, match="the only array of its file, or called mask, got one"):
        read_pixel_mask(tmp_path / "c.npz")
