"""The error of the readers in this package, before the file's name is put in front."""

from __future__ import annotations

__all__ = ["FileFormatError"]


class FileFormatError(Exception):
    """What is wrong with a file, as the end of a sentence that starts with its name.

    It never leaves `bl_steer.files`: users get a `ValueError` that names the file.
    """
