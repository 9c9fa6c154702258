"""Tables of a reconstruction as the text of its report."""

from __future__ import annotations

from typing import Any

import numpy as np

from bl_steer.analysis.reconstruction.measures import SUPERRESOLVED, TRUTH
from bl_steer.protocols import Table

__all__ = ["compared", "rows_of"]

OFF = "ratio_to_truth"


def compared(table: Table) -> dict[str, Any]:
    """Return table 1 or 2 with a row for each quantity and a column for each method."""
    keys = list(table)
    rows: dict[str, dict[str, dict[str, str]]] = {}
    ratios: dict[str, str] = {}
    for k, (quantity, method) in enumerate(zip(table["quantity"], table["method"], strict=True)):
        value, low, high = (float(table[key][k]) for key in keys[2:5])
        off = float(table["ratio_to_truth"][k])
        rows.setdefault(str(quantity), {})[str(method)] = {
            "value": _number(value),
            "interval": f"{low:.3g} … {high:.3g}" if np.isfinite(low + high) else "",
            "off": "" if method == TRUTH or not np.isfinite(off) else _percent(off - 1),
        }
        if method == SUPERRESOLVED:
            ratios[str(quantity)] = f"{float(table['ratio_to_conventional'][k]):.3f}"
    return {"methods": list(next(iter(rows.values()))), "rows": rows, "ratios": ratios}


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")


def rows_of(table: Table | None, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a table as text; `names` are those of the numbers in a column ``phase``."""
    if table is None:
        return {"head": [], "rows": []}
    columns = {
        key: [names[int(value)] for value in column]
        if names and key == "phase"
        else [
            _off(value) if key == OFF else _number(value) for value in np.asarray(column).tolist()
        ]
        for key, column in table.items()
        if not key.endswith(("label", "_least_um", "_largest_um"))
    }
    head = [_words(key) for key in columns]
    return {"head": head, "rows": list(zip(*columns.values(), strict=True))}


def _off(ratio: float) -> str:
    return _percent(ratio - 1) if np.isfinite(ratio) else "–"


def _words(key: str) -> str:
    """Return a column's name as words.

    >>> _words("length_low_um"), _words("length_per_volume_1_um2")
    ('length low (µm)', 'length per volume (1/µm²)')
    """
    units = {"1_um2": "1/µm²", "1_um": "1/µm", "um3": "µm³", "um2": "µm²", "um": "µm", "nm": "nm"}
    for ending, unit in units.items():
        if key.endswith(f"_{ending}"):
            return f"{key.removesuffix(f'_{ending}').replace('_', ' ')} ({unit})"
    return {OFF: "off the truth"}.get(key, key.replace("_", " ").replace("miou", "mean IoU"))


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
