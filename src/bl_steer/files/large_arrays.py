"""Arrays that are larger than the memory that a computation should take."""

from __future__ import annotations

import math
import mmap
import os
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["large_array", "let_go"]

IN_MEMORY_BYTES = 2**26
"""Of an array that is held in memory; larger ones are files that are mapped into it."""


class _Mapped(mmap.mmap):
    """A file without a name in memory, which is gone with the last view of its array."""


def large_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array to be filled, in memory or, a large one, in a temporary file.

    Raises
    ------
    OSError
        When the disk has no room for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    with TemporaryFile(prefix="bl_steer-") as file:
        os.posix_fallocate(file.fileno(), 0, size)  # no room is an error here, a dead process later
        return np.ndarray(shape, dtype, buffer=_Mapped(file.fileno(), size))


def let_go(array: Any) -> None:
    """Have the system take back the memory in which it mirrors the file of a large array.

    What is read again comes from the file, or from where the system keeps files while there is
    room. Any other array stays as it is.
    """
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, _Mapped):
        array.madvise(mmap.MADV_DONTNEED)
