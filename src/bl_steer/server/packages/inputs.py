"""Files as the inputs of a package, by the kinds that its manifest names.

The same for a test of the package, the command line and a job of the server. Several inputs pass
through as one `Inputs`, each array under ``input/array``; a script gets them apart again.
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
from bl_steer.server.packages.manifest import Input, InputKind

__all__ = ["Files", "files_by_input", "inputs_of_files", "package_inputs", "parted", "uploads_of"]

Files = Sequence[Path] | Mapping[str, Sequence[Path]]
"""Of one input, or by the name of each."""

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


def files_by_input(files: Sequence[str], names: Sequence[str]) -> Files:
    """Return the files of each input from ``NAME=PATH``, or paths where the one has no name.

    Raises
    ------
    ValueError
        Naming the first that says no input.
    """
    if not any(names):
        return [Path(file) for file in files]
    given: dict[str, list[Path]] = {}
    for file in files:
        name, equals, path = file.partition("=")
        if not equals or name not in names:
            raise ValueError(
                f"a file must be given as NAME=FILE with one of {', '.join(names)}, got {file!r}; "
                f"for example {names[0]}={file.rpartition('=')[2] or 'FILE'}"
            )
        given.setdefault(name, []).append(Path(path))
    return given


def inputs_of_files(
    parts: Sequence[Input], files: Files, metadata: Mapping[str, Any] | None = None
) -> Inputs:
    """Return files as all inputs of a package.

    Parameters
    ----------
    metadata : goes before what the files say of themselves; of several inputs, by their names

    Raises
    ------
    ValueError
        When an input has no files, or they are not of its kind; it is named.
    """
    names = [part.name for part in parts]
    given = files if isinstance(files, Mapping) else {names[0] if len(names) == 1 else "": files}
    if set(given) != set(names):
        raise ValueError(
            f"files must be given for each input ({', '.join(names) or 'one'}), got them for "
            f"{', '.join(name or 'no name' for name in given) or 'none'}; say which file is which"
        )
    if names == [""]:
        return package_inputs(parts[0].kind, given[""], metadata)
    read = {}
    for part in parts:
        try:
            own = (metadata or {}).get(part.name)
            read[part.name] = package_inputs(part.kind, given[part.name], own)
        except ValueError as error:
            raise ValueError(f"{part.name}: {error}") from error
    return _joined(read)


def parted(inputs: Inputs, parts: Sequence[Input]) -> dict[str, Inputs]:
    """Return the inputs of a package by their names; one without a name under ``""``."""
    names = [part.name for part in parts]
    if names == [""]:
        return {"": inputs}
    sources = inputs.source.get("inputs", {})
    return {
        name: Inputs(
            {
                key.removeprefix(f"{name}/"): array
                for key, array in inputs.arrays.items()
                if key.startswith(f"{name}/")
            },
            inputs.metadata.get(name, {}),
            sources.get(name, {}),
        )
        for name in names
    }


def _joined(read: Mapping[str, Inputs]) -> Inputs:
    files = [file for one in read.values() for file in one.source.get("files", ())]
    return Inputs(
        {f"{name}/{key}": a for name, one in read.items() for key, a in one.arrays.items()},
        {name: dict(one.metadata) for name, one in read.items()},
        {"files": files, "inputs": {name: dict(one.source) for name, one in read.items()}},
        tuple(f"{name}: {note}" for name, one in read.items() for note in one.notes),
    )
