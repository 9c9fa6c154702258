"""Whether an image that arrives is all there, as its marks and tables say; nothing is decoded.

A download or a copy that was broken off leaves the beginning, header included. What is missing some
decoders paint grey.

References
----------
PNG: ISO/IEC 15948, 5.3; JPEG: ITU-T T.81, B.1.1.3; BMP: BITMAPFILEHEADER; TIFF 6.0 (Adobe 1992).
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from bl_steer.server.uploads.decoded_size import CutOff, tiff_segments

__all__ = ["check_whole"]

MAX_CHUNKS = 2**20
TO_FRAME = b"\xff\xda"
"""Start of scan of a JPEG: behind it comes no thumbnail."""
END_OF_JPEG = b"\xff\xd9"


def check_whole(path: Path, kind: str) -> None:
    """Raise `CutOff` where the end of an image is missing.

    Parameters
    ----------
    kind : as of `bl_steer.server.uploads.file_types.Inspected`; other kinds than PNG, JPEG, BMP and
        TIFF pass
    """
    checks = {"png": _has_end_of_png, "jpeg": _has_end_of_jpeg, "bmp": _has_rows, "tiff": _has_data}
    if kind in checks and not checks[kind](path):
        raise CutOff(f"{kind.upper()} that is cut off: {path.stat().st_size} bytes are there")


def _has_end_of_png(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(8)
        for _ in range(MAX_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return False
            length, name = struct.unpack(">I4s", head)
            if name == b"IEND":
                return len(file.read(4)) == 4
            file.seek(length + 4, os.SEEK_CUR)
    return False


def _has_end_of_jpeg(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.rfind(END_OF_JPEG) > data.rfind(TO_FRAME)


def _has_rows(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(34)
    if len(head) < 34:
        return False
    start, header, width, height, _, bits, packing = struct.unpack("<10xIIiiHHI", head)
    if header < 40 or packing not in (0, 3):  # an old header, or runs of unknown length
        return True
    row = (abs(width) * bits + 31) // 32 * 4
    return bool(start + row * abs(height) <= path.stat().st_size)


def _has_data(path: Path) -> bool:
    size = path.stat().st_size
    with path.open("rb") as file:
        return all(start + count <= size for start, count in tiff_segments(file))
