"""The output that a test of a package must have: written once, compared ever after.

Equal digests are equal results. Where they differ, tables must agree within the test's tolerance
and arrays in their summaries: another machine's arithmetic differs in the last bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.processing.digest import digest_of
from bl_steer.protocols import AnalysisResult

__all__ = ["differences", "expected_of"]

MOST_ROWS = 200
"""Of a table are written out; of longer ones the first."""
MOST_NAMED = 8


def expected_of(result: AnalysisResult) -> dict[str, Any]:
    """Return what a test's file holds: digest, tables, and a summary of each array."""
    return {
        "digest": digest_of(result),
        "tables": {
            name: {
                "rows": len(next(iter(table.values()))),
                "columns": {key: _plain(column[:MOST_ROWS]) for key, column in table.items()},
            }
            for name, table in result.tables.items()
        },
        "arrays": {name: _summary(array) for name, array in result.arrays.items()},
    }


def differences(
    expected: Mapping[str, Any], actual: Mapping[str, Any], tolerance: float
) -> list[str]:
    """Return a sentence for each difference of what was found from what was expected.

    Parameters
    ----------
    tolerance : relative; 0 asks for the same digest
    """
    if actual.get("digest") == expected.get("digest"):
        return []
    if tolerance == 0:
        return [f"digest must be {expected.get('digest')}, got {actual.get('digest')}"]
    parts = {key: (expected.get(key, {}), actual.get(key, {})) for key in ("tables", "arrays")}
    named = [
        difference for key, pair in parts.items() for difference in _compare(key, *pair, tolerance)
    ]
    more = len(named) - MOST_NAMED
    return [*named[:MOST_NAMED], f"{more} more"] if more > 0 else named


def _compare(where: str, expected: Any, actual: Any, tolerance: float) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key in sorted(expected.keys() | actual.keys()):
            if key not in expected or key not in actual:
                yield f"{where}.{key} must be {'absent' if key not in expected else 'there'}"
            else:
                yield from _compare(f"{where}.{key}", expected[key], actual[key], tolerance)
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{where} must have {len(expected)} values, got {len(actual)}"
            return
        for number, (item, other) in enumerate(zip(expected, actual, strict=True)):
            yield from _compare(f"{where}[{number}]", item, other, tolerance)
    elif not _is_close(expected, actual, tolerance):
        yield f"{where} must be {expected!r}, got {actual!r}"


def _is_close(expected: Any, actual: Any, tolerance: float) -> bool:
    numbers = all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for value in (expected, actual)
    )
    if not numbers:
        return bool(expected == actual)
    return math.isclose(expected, actual, rel_tol=tolerance, abs_tol=tolerance * 1e-6)


def _summary(array: NDArray[Any]) -> dict[str, Any]:
    numbers = np.asarray(array, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    summary = {"dtype": array.dtype.str, "shape": list(array.shape), "finite": int(finite.size)}
    if not finite.size:
        return summary
    # Weights that differ from place to place: the same values elsewhere give another number.
    weights = np.linspace(1.0, 2.0, numbers.size).reshape(numbers.shape)[np.isfinite(numbers)]
    return {
        **summary,
        "least": float(finite.min()),
        "largest": float(finite.max()),
        "mean_size": float(np.abs(finite).mean()),
        "weighted_size": float((np.abs(finite) * weights).mean()),
    }


def _plain(column: NDArray[Any]) -> list[Any]:
    values: list[Any] = column.tolist()
    return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
