"""Arrays of .edf files (the ESRF's data format), in which masks of pyFAI and Fit2D are saved."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.errors import FileFormatError

__all__ = ["is_edf", "read_edf"]

LONGEST = 64 * 1024
TYPES = {
    **{"signedbyte": "i1", "unsignedbyte": "u1", "signedshort": "i2", "unsignedshort": "u2"},
    **{"signedinteger": "i4", "unsignedinteger": "u4", "signedlong": "i4", "unsignedlong": "u4"},
    **{"signed64": "i8", "unsigned64": "u8", "floatvalue": "f4", "float": "f4"},
    **{"real": "f4", "doublevalue": "f8", "double": "f8"},
}
"""Of numpy, by the format's names for them; its "long" has 32 bits."""
ENTRY = re.compile(r"\s*([^=;{}]+?)\s*=\s*([^;]*?)\s*;")


def is_edf(path: Path) -> bool:
    """Return whether a file is called .edf and begins as one does."""
    with path.open("rb") as file:
        return path.suffix.lower() == ".edf" and file.read(512).lstrip()[:1] == b"{"


def read_edf(path: Path) -> NDArray[np.generic]:
    """Return the first array of a file, (rows, columns).

    Raises
    ------
    FileFormatError
        As the end of a sentence that names the file.
    """
    with path.open("rb") as file:
        head = file.read(LONGEST)
    end = head.find(b"}")
    if end < 0:
        raise FileFormatError("must have a header that ends with }, got none; save it anew")
    pairs = ENTRY.findall(head[:end].decode("latin-1"))
    entries = {key.lower(): value for key, value in pairs}
    if entries.get("compression", "none").lower() not in ("none", "no", ""):
        raise FileFormatError(
            f"must not be compressed, got {entries['compression'][:30]}; save it anew without"
        )
    kind = TYPES.get(entries.get("datatype", "").lower())
    sizes = [entries.get(name, "") for name in ("dim_2", "dim_1")]
    if kind is None or not all(size.isdigit() and int(size) > 0 for size in sizes):
        raise FileFormatError(
            "must tell DataType, Dim_1 and Dim_2 of numbers, got "
            f"{entries.get('datatype', 'none')[:30]} of {sizes[1] or 'none'} x "
            f"{sizes[0] or 'none'}; save it anew"
        )
    order = ">" if entries.get("byteorder", "lowbytefirst").lower() == "highbytefirst" else "<"
    shape = int(sizes[0]), int(sizes[1])
    dtype = np.dtype(order + kind)
    start = end + 1 + (2 if head[end + 1 : end + 3] == b"\r\n" else 1)
    there = path.stat().st_size - start
    if there < shape[0] * shape[1] * dtype.itemsize:
        raise FileFormatError(
            f"must hold the {shape[1]} x {shape[0]} numbers that it tells, got {max(there, 0)} "
            "bytes; copy it anew"
        )
    return np.fromfile(path, dtype, shape[0] * shape[1], offset=start).reshape(shape)
