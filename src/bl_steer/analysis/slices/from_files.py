"""Slices from the files of an instrument as inputs of ``align-slices`` and ``reconstruct``.

`recorded_slices` is the sibling that takes them from stored runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.files.slice_names import SIGNED, natural_key
from bl_steer.files.stacks import open_slices, open_stack
from bl_steer.protocols import Inputs

__all__ = ["inputs_from_files"]

NOT_OF_SLICES = ("voxel_size_nm", "phases")


def inputs_from_files(paths: Sequence[str | Path]) -> Inputs:
    """Return the slices of a folder, of a stack in one file, or of single images.

    Single images are taken in the order of the numbers in their names, of which missing ones are
    missing slices; those of fewer rows than most were broken off and are missing, too.

    Parameters
    ----------
    paths : one folder, one stack (`bl_steer.files.open_stack`), or images

    Returns
    -------
    inputs : arrays ``slices`` (n, H, W) and ``slice`` (n,), the number of each; metadata:
        ``first_slice``, the number at depth 0, ``slice_files``, their names, ``left_out_files``,
        those of files that are not used, by number, and what the files agree on, such as
        ``pixel_size_nm``, ``pitch_nm``, ``tilt_corrected``

    Raises
    ------
    ValueError
        When a file cannot be read, or images are unlike each other.
    """
    files = sorted(map(Path, paths), key=natural_key)
    if len(files) == 1:
        stored = open_stack(files[0], leave_out_short=True)
    else:
        stored = open_slices(files, leave_out_short=True)
    slices = np.asarray(stored.array[:])  # of a Zarr, too: all of them are needed at a time
    numbers = range(len(slices)) if stored.numbers is None else stored.numbers
    arrays: dict[str, Any] = {"slices": slices, "slice": np.asarray(numbers, dtype=int)}
    known = {key: value for key, value in stored.known.items() if key not in NOT_OF_SLICES}
    known["first_slice"] = int(arrays["slice"][0])
    if stored.names:
        known["slice_files"] = list(stored.names)
    if stored.left_out:
        known["left_out_files"] = dict(stored.left_out)
    notes = [f"{note}, or give reverse=True" if SIGNED in note else note for note in stored.notes]
    return Inputs(arrays, known, {"files": [str(file) for file in files]}, notes)
