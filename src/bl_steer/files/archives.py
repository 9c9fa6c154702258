"""Read the arrays of an .npz file, trusting nothing in it: the one reader for maps and stacks.

Files come from anywhere. Pickles are never loaded, what a header declares is judged before memory
is taken for it, and whatever zipfile, zlib or NumPy raise becomes one sentence with a remedy.
"""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.errors import FileFormatError
from bl_steer.files.signatures import ZIP, content_of

__all__ = ["MAX_BYTES", "archive_arrays", "check_expansion", "read_archive", "text_of"]

MAX_BYTES = 16 * 2**30
"""Of all arrays in one file; the server takes no more either."""
FREE_BYTES = 2 * 2**30
MOST_FOLD = 100
"""How often a file's own size its arrays may take, above `FREE_BYTES`: a few kilobytes of zeros
unpack to anything, and real frames beyond that are worth their room on the disk."""
MAX_MEMBERS = 10_000


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of an .npz by name, each of the type in which it was stored.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no whole .npz, holds Python objects, or declares more than `MAX_BYTES`.
    """
    if not path.exists():
        raise FileNotFoundError(f"an .npz file must exist, got {str(path)!r}; check the path")
    try:
        return archive_arrays(path)
    except FileFormatError as error:
        raise ValueError(f"{path} {error}") from error.__cause__


def archive_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return what `read_archive` does; `FileFormatError`, for a reader that names the file."""
    try:
        _check_kind(path)
        with path.open("rb") as file:
            _check_members(file)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
    except FileFormatError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy fail in any way on a damaged file
        # NumPy's first sentence; its next one recommends to load pickles all the same.
        reason = " ".join(str(error).split()).split(". ")[0][:160] or type(error).__name__
        raise FileFormatError(
            "must be a whole .npz file without pickled objects, got one that cannot be read "
            f"({reason}); save it anew with numpy.savez"
        ) from error
    # What is no .npy inside the zip comes back as bytes.
    return {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}


def text_of(arrays: dict[str, NDArray[Any]], name: str) -> str | None:
    """Return a text saved as an array of one element, such as a unit; None if there is none."""
    array = arrays.get(name)
    return str(array.item()) if array is not None and array.size == 1 else None


def _check_kind(path: Path) -> None:
    """Refuse what is no .npz at all; NumPy would call it pickled, whatever it is."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if not names or any(name.endswith(".npy") for name in names):
            return
        content = f"a zip of {len(names)} other files"
    else:
        content = content_of(path)
        if content == ZIP:
            return  # a damaged one: what is wrong is told when it is read
    raise FileFormatError(
        f"must be an .npz file, got {content}; save the arrays with numpy.savez (scans of a "
        "diffractometer are read by bl-steer rsm)"
    )


def _check_members(file: IO[bytes]) -> None:
    """Refuse what declares too much, or more than its member holds, from the headers alone."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise FileFormatError(
                f"must hold at most {MAX_MEMBERS} arrays, got {len(members)}; save fewer"
            )
        total = 0
        for member in members:
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as stream:
                declared = _declared_bytes(stream)
            if declared > member.file_size:
                raise FileFormatError(
                    f"must hold whole arrays, got {member.file_size} bytes for the {declared} that "
                    f"{member.filename} declares; save it anew with numpy.savez"
                )
            total += max(declared, member.file_size)
            if total > MAX_BYTES:
                raise FileFormatError(
                    f"must hold at most {MAX_BYTES / 2**30:.0f} GiB, got at least "
                    f"{total / 2**30:.0f} GiB; cut it into parts"
                )
        check_expansion(total, os.fstat(file.fileno()).st_size)


def check_expansion(n_bytes: int, stored: int) -> None:
    """Refuse arrays of `n_bytes` that are packed into far fewer.

    Raises
    ------
    FileFormatError
        As the end of a sentence that names the file.
    """
    if n_bytes > max(FREE_BYTES, MOST_FOLD * stored):
        raise FileFormatError(
            f"must unpack to at most {FREE_BYTES / 2**30:.0f} GiB, or {MOST_FOLD} times its size, "
            f"got {n_bytes / 2**30:.1f} GiB from {stored / 2**20:.3g} MiB; save it without "
            "compression, or cut it into parts"
        )


def _declared_bytes(stream: IO[bytes]) -> int:
    """Return the size of the array that an .npy header promises."""
    version = np.lib.format.read_magic(stream)
    # Version 3 differs from 2 only in the encoding of field names, which no plain array has.
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(stream)
    if dtype.hasobject or dtype.names is not None:
        raise FileFormatError(
            f"must hold plain arrays without pickled objects, got {str(dtype)[:60]}; save each "
            "array of numbers or text by itself with numpy.savez"
        )
    if any(length < 0 for length in shape):
        raise FileFormatError(f"must hold arrays of whole shapes, got {shape}; save it anew")
    return math.prod(shape) * dtype.itemsize
