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
    expected: Mapping[str, Any], found: Mapping[str, Any], tolerance: float
) -> list[str]:
    """Return a sentence for each difference of what was found from what was expected.

    Parameters
    ----------
    tolerance : relative; 0 asks for the same digest
    """
    if found.get("digest") == expected.get("digest"):
        return []
    if tolerance == 0:
        return [f"digest must be {expected.get('digest')}, got {found.get('digest')}"]
    parts = {key: (expected.get(key, {}), found.get(key, {})) for key in ("tables", "arrays")}
    named = [one for key, pair in parts.items() for one in _compare(key, *pair, tolerance)]
    more = len(named) - MOST_NAMED
    return [*named[:MOST_NAMED], f"{more} more"] if more > 0 else named


def _compare(place: str, expected: Any, found: Any, tolerance: float) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in sorted(expected.keys() | found.keys()):
            if key not in expected or key not in found:
                yield f"{place}.{key} must be {'absent' if key not in expected else 'there'}"
            else:
                yield from _compare(f"{place}.{key}", expected[key], found[key], tolerance)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{place} must have {len(expected)} values, got {len(found)}"
            return
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _compare(f"{place}[{number}]", one, other, tolerance)
    elif not _is_close(expected, found, tolerance):
        yield f"{place} must be {expected!r}, got {found!r}"


def _is_close(expected: Any, found: Any, tolerance: float) -> bool:
    numbers = all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in (expected, found)
    )
    if not numbers:
        return bool(expected == found)
    return math.isclose(expected, found, rel_tol=tolerance, abs_tol=tolerance * 1e-6)


def _summary(array: NDArray[Any]) -> dict[str, Any]:
    numbers = np.asarray(array, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    whole = {"dtype": array.dtype.str, "shape": list(array.shape), "finite": int(finite.size)}
    if not finite.size:
        return whole
    # Weights that differ from place to place: the same values elsewhere give another number.
    places = np.linspace(1.0, 2.0, numbers.size).reshape(numbers.shape)[np.isfinite(numbers)]
    return {
        **whole,
        "least": float(finite.min()),
        "largest": float(finite.max()),
        "mean_size": float(np.abs(finite).mean()),
        "weighted_size": float((np.abs(finite) * places).mean()),
    }


def _plain(column: NDArray[Any]) -> list[Any]:
    values: list[Any] = column.tolist()
    return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
