"""Refuse TIFF files that are cut off, or unpack to more than their headers say."""

from __future__ import annotations

import os
import struct
import zlib
from typing import IO, Any

import numpy as np

from bl_steer.files.errors import FileFormatError

__all__ = ["check_segments", "refuse_truncated"]

JPEG, END_OF_JPEG = 7, b"\xff\xd9"
PADDING = 64
"""Bytes that may follow a JPEG in its segment."""


def refuse_truncated(tif: Any) -> None:
    """Refuse an open `tifffile.TiffFile` whose list of pages, or their data, go beyond its end.

    tifffile logs it, and leaves out what is missing.
    """
    layout, file = tif.tiff, tif.filehandle
    file.seek(tif.pages[-1].offset)
    (n_tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    file.seek(n_tags * layout.tagsize, os.SEEK_CUR)
    following = file.read(layout.offsetsize)
    if following.strip(b"\0") or any(_is_cut(page, file) for page in tif.pages):
        raise FileFormatError("must be a whole TIFF image, got a truncated one; copy it anew")


def _is_cut(page: Any, file: Any) -> bool:
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    return any(offset + count > file.size for offset, count in segments) or (
        page.compression == JPEG and not all(_ends(file, *segment) for segment in segments)
    )


def _ends(file: Any, offset: int, count: int) -> bool:
    """Whether a JPEG has its end: what is missing of it, decoders paint grey without a word."""
    file.seek(offset + max(0, count - PADDING))
    return count == 0 or END_OF_JPEG in file.read(min(count, PADDING))


def check_segments(stream: IO[bytes], page: Any) -> None:
    """Refuse data that are missing, or that unpack to more than the header says."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if not segments:
        raise FileFormatError("must be a whole TIFF image, got one without data; copy it anew")
    stored = sum(count for _, count in segments)
    # Numbers of 1 to 12 bits may be packed, each row by itself.
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    row = (page.imagewidth * samples * page.bitspersample + 7) // 8
    rows = page.imagelength * page.imagedepth * (page.samplesperpixel // samples)
    if page.compression == 1 and stored < row * rows:
        raise FileFormatError(
            f"must be a whole TIFF image, got {stored} of {row * rows} bytes; copy it anew"
        )
    if page.compression in (8, 32946):
        expected = int(np.prod(page.chunks)) * page.dtype.itemsize
        for offset, count in segments:
            stream.seek(offset)
            if len(zlib.decompressobj().decompress(stream.read(count), expected + 1)) > expected:
                raise FileFormatError(
                    "must unpack to what its header says, got more; export it anew"
                )
