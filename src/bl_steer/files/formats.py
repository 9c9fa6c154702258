"""The formats of images that are read, for readers, messages and the web page alike."""

from __future__ import annotations

__all__ = ["FORMATS", "READ", "SUFFIXES"]

FORMATS = {
    "TIFF": (".tif", ".tiff"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "JPEG": (".jpg", ".jpeg"),
    "npy": (".npy",),
}
"""What is read, with the endings of the files' names; the least lossy first."""
READ = f"{', '.join(list(FORMATS)[:-1])} or npy"
"""The formats in words."""
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
