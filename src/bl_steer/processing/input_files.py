"""Inputs of an analysis as one file, exactly: what a beamline sends to a server.

`bl_steer.processing.result_files` is its sibling for results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.processing.digest import json_values
from bl_steer.protocols import Inputs

__all__ = ["are_exact_inputs", "read_exact_inputs", "write_exact_inputs"]

CONTENTS = "bl_steer_inputs"


def write_exact_inputs(inputs: Inputs, path: str | Path) -> None:
    """Write arrays and metadata as ``.npz``; arrays on disk are read for it."""
    members = {f"array{n}": np.asarray(array) for n, array in enumerate(inputs.arrays.values())}
    contents = {
        "names": list(inputs.arrays),
        "metadata": json_values(dict(inputs.metadata)),
        "source": json_values(dict(inputs.source)),
        "notes": list(inputs.notes),
    }
    text = np.frombuffer(json.dumps(contents).encode(), dtype=np.uint8)
    named: dict[str, Any] = {CONTENTS: text, **members}
    with open(path, "wb") as file:
        np.savez_compressed(file, **named)


def are_exact_inputs(path: str | Path) -> bool:
    """Return whether a file was written by `write_exact_inputs`."""
    if Path(path).suffix.lower() != ".npz":
        return False
    try:
        with np.load(path, allow_pickle=False) as file:
            return CONTENTS in file.files
    except (OSError, ValueError, EOFError):
        return False


def read_exact_inputs(path: str | Path) -> Inputs:
    """Read what `write_exact_inputs` wrote; pickles are refused.

    Raises
    ------
    ValueError
        When it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            contents = json.loads(file[CONTENTS].tobytes())
            arrays = {name: file[f"array{n}"] for n, name in enumerate(contents["names"])}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(
            f"inputs must be a file that this library wrote, got {Path(path).name} ({error}); "
            "send them again"
        ) from error
    return Inputs(arrays, contents["metadata"], contents["source"], contents.get("notes", ()))
