"""Files as the inputs of a package, by the kind that its manifest names.

The same for a test of the package, the command line and a job of the server.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bl_steer.files.maps.spreadsheets import BOOK_ENDINGS
from bl_steer.files.maps.tables import read_columns
from bl_steer.protocols import Inputs
from bl_steer.server.jobs.inputs import InputKind as Uploads
from bl_steer.server.jobs.inputs import check_uploads, kinds, read_inputs
from bl_steer.server.packages.manifest import InputKind

__all__ = ["package_inputs", "uploads_of"]

TABLES = Uploads((".csv", ".tsv", ".txt", *BOOK_ENDINGS))
LIKE = {"micrographs": "segment", "stack": "superres", "map": "components"}
"""The analysis of this library that takes the same."""


def uploads_of(kind: InputKind) -> Uploads:
    """Return which files a package takes, and how many."""
    return TABLES if kind == "table" else kinds()[LIKE[kind]]


def package_inputs(
    kind: InputKind, paths: Sequence[Path], metadata: Mapping[str, Any] | None = None
) -> Inputs:
    """Return files as inputs, with what the user should know of them as notes.

    Parameters
    ----------
    metadata : goes before what the files say of themselves

    Raises
    ------
    ValueError
        When a file cannot be read, or is not of that kind.
    """
    if kind == "table":
        check_uploads(TABLES, [path.name for path in paths])
        source = {"files": [path.name for path in paths]}
        table = read_columns(paths[0])
        read = Inputs(dict(table.by_name), {}, source, table.notes)
    else:
        with tempfile.TemporaryDirectory(prefix="bl_steer_inputs_") as scratch:
            read = read_inputs(LIKE[kind], paths, Path(scratch))
    return replace(read, metadata={**read.metadata, **(metadata or {})})
