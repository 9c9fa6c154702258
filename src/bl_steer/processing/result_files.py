"""A result as one file that keeps it exactly, so that its digest can be checked anywhere.

`bl_steer.processing.result_folder` writes results for people; the store keeps them as documents
(`bl_steer.processing.documents`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.processing.digest import json_values
from bl_steer.protocols import AnalysisResult, Table

__all__ = ["read_exact", "write_exact"]

CONTENTS = "contents"


def write_exact(result: AnalysisResult, path: str | Path) -> None:
    """Write a result's tables, arrays, provenance and warnings as ``.npz``; not its figures."""
    members: dict[str, NDArray[Any]] = {}
    tables: dict[str, list[str]] = {}
    for name, table in result.tables.items():
        tables[name] = list(table)
        for number, column in enumerate(table.values()):
            members[f"table{len(tables) - 1}_{number}"] = _without_objects(np.asarray(column))
    for number, array in enumerate(result.arrays.values()):
        members[f"array{number}"] = _without_objects(np.asarray(array))
    contents = {
        "tables": tables,
        "arrays": list(result.arrays),
        "provenance": json_values(result.provenance),
        "warnings": list(result.warnings),
    }
    text = np.frombuffer(json.dumps(contents).encode(), dtype=np.uint8)
    named: dict[str, Any] = {CONTENTS: text, **members}
    with open(path, "wb") as file:
        np.savez_compressed(file, **named)


def read_exact(
    path: str | Path, figures: Mapping[str, Callable[[], Any]] | None = None
) -> AnalysisResult:
    """Read what `write_exact` wrote; pickles are refused.

    Raises
    ------
    ValueError
        When it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            contents = json.loads(file[CONTENTS].tobytes())
            tables: dict[str, Table] = {
                name: {key: file[f"table{t}_{c}"] for c, key in enumerate(columns)}
                for t, (name, columns) in enumerate(contents["tables"].items())
            }
            arrays = {name: file[f"array{n}"] for n, name in enumerate(contents["arrays"])}
    except (OSError, ValueError, KeyError, EOFError, AttributeError) as error:
        raise ValueError(
            f"a result must be a file that this library wrote, got {Path(path).name} ({error}); "
            "ask the server for it again"
        ) from error
    return AnalysisResult(
        tables=tables,
        arrays=arrays,
        provenance=contents["provenance"],
        figures=dict(figures or {}),
        warnings=contents["warnings"],
    )


def _without_objects(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(str) if array.dtype.kind in "OT" else array
