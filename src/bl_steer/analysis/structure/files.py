"""Label volumes from files; `bl_steer.files.stacks` says which."""

from __future__ import annotations

from pathlib import Path

from bl_steer.files.stacks import open_stack
from bl_steer.protocols import Inputs

__all__ = ["inputs_from_file"]


def inputs_from_file(path: str | Path) -> tuple[Inputs, list[str]]:
    """Return a label volume with what its file says of voxel and phases, and what to tell the user.

    Large volumes stay on disk. The errors are those of `open_stack`.

    Parameters
    ----------
    path : of a stack; an ``.npz`` or a Zarr group may hold ``labels`` beside other arrays, and
        ``voxel_size_nm`` (z, y, x) and ``phases``, which are among the attributes of a Zarr
    """
    stored = open_stack(path, "labels")
    return Inputs({"labels": stored.array}, stored.known, {"files": [str(path)]}), [*stored.notes]
