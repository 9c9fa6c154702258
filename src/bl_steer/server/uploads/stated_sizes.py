"""Whether a file may say how large its voxels are, by its header alone, before a job is queued.

What it says exactly is read by the job, in its sandbox. Here only what cannot be right is found: a
stack without a word on its voxels would wait in the queue to fail where an analysis needs them.
"""

from __future__ import annotations

import zipfile
from pathlib import PurePath
from typing import IO

from bl_steer.processing.input_files import CONTENTS
from bl_steer.server.uploads.decoded_size import BadHeader, tiff_description

__all__ = ["REQUIRED", "may_state"]

REQUIRED = {
    "structure": ("voxel_size_nm",),
    "superres": ("pixel_size_nm", "pitch_nm"),
    "reconstruct": ("pixel_size_nm", "pitch_nm"),
}
"""Parameters without which an analysis cannot run, unless its files say them."""
DISTANCE_MARKS = (b"spacing=", b"PhysicalSizeZ", b"voxel_nm")
"""What the description of a TIFF has where it says the distance of slices: ImageJ, OME, ours."""
SILENT = (".npy", ".bmp")
"""Formats that say no size at all."""
PICTURES = (".png", ".jpg", ".jpeg")
OF_ARRAYS = {"voxel_size_nm", "pixel_size_nm", "pitch_nm", CONTENTS}
"""Members of an ``.npz`` that may: the last one is that of a beamline's inputs."""


def may_state(file: IO[bytes], file_name: str, parameter: str) -> bool:
    """Return False where a file cannot say a parameter; True where only reading it tells."""
    suffix = PurePath(file_name).suffix.lower()
    if suffix in SILENT:
        return False
    if suffix == ".npz":
        return _has_sizes(file)
    if parameter == "pixel_size_nm" or suffix == ".zip":
        return True
    if suffix in PICTURES:
        return False  # they know no third dimension
    if suffix not in (".tif", ".tiff"):
        return True
    try:
        description = tiff_description(file)
    except BadHeader:
        return True
    return any(mark in description for mark in DISTANCE_MARKS)


def _has_sizes(file: IO[bytes]) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            names = {PurePath(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True
    return any(name.stem in OF_ARRAYS for name in names)
