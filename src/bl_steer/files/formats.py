"""The formats of images and volumes, for readers, messages and the web page alike."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FORMATS", "FORMS", "LOSSY", "READ", "SUFFIXES", "ZARR_FILES", "is_zarr"]

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
LOSSY = "JPEG changes numbers, most beside edges: save labels as PNG, or as TIFF without JPEG"
"""What is said of labels in JPEG."""
FORMS = {"imagej": ".tif", "ome-tiff": ".ome.tif", "ome-zarr": ".ome.zarr", "nrrd": ".nrrd"}
"""What a volume may be written as, with the ending of the file's name."""
ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")
"""One of them lies in the folder of every Zarr array and group."""


def is_zarr(path: Path) -> bool:
    """Whether a path names a Zarr array or group, or something within one."""
    return any(part.suffix == ".zarr" for part in (path, *path.parents))
