"""Archives of numpy, whole ones and such as copies and other programs leave."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Y, X = np.mgrid[:4, :5].astype(float)
GOOD: dict[str, NDArray[Any]] = {"x": X, "y": Y, "value": X + Y, "patterns": X[..., None] + [1, 2]}


def archive(path: Path, **changed: NDArray[Any]) -> Path:
    np.savez_compressed(path, **(GOOD | changed))
    return path


def npy(array: NDArray[Any], version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version, allow_pickle=True)
    return stream.getvalue()


def with_member(path: Path, name: str, content: bytes) -> None:
    """Write the good arrays with one member in place of another."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for key, array in GOOD.items():
            target.writestr(f"{key}.npy", content if key == name else npy(array))


def header_of(shape: tuple[int, ...]) -> bytes:
    """An .npy that promises a shape and holds nothing."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def flip(path: Path, local: int, central: int, change: Callable[[int], int]) -> None:
    """Change one byte in the headers of all members, in both places where a zip has it."""
    raw = bytearray(archive(path).read_bytes())
    for member in zipfile.ZipFile(path).infolist():
        raw[member.header_offset + local] = change(raw[member.header_offset + local])
    end = raw.rfind(b"PK\5\6")
    at = struct.unpack_from("<I", raw, end + 16)[0]
    while raw[at : at + 4] == b"PK\1\2":
        raw[at + central] = change(raw[at + central])
        at += 46 + sum(struct.unpack_from("<H", raw, at + k)[0] for k in (28, 30, 32))
    path.write_bytes(raw)


def broken_deflate(path: Path) -> None:
    raw = bytearray(archive(path).read_bytes())
    for member in zipfile.ZipFile(path).infolist():
        at = member.header_offset
        at += 30 + sum(struct.unpack_from("<HH", raw, at + 26))
        raw[at : at + 2] = b"\xff\xff"
    path.write_bytes(raw)


def wrong_sum(path: Path) -> None:
    np.savez(path, **GOOD)
    raw = bytearray(path.read_bytes())
    for member in zipfile.ZipFile(path).infolist():
        at = member.header_offset
        start = at + 30 + sum(struct.unpack_from("<HH", raw, at + 26))
        raw[start + member.file_size - 1] ^= 1
    path.write_bytes(raw)


def cut(path: Path, share: float) -> None:
    raw = archive(path).read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
