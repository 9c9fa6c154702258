"""Tables of a reconstruction as the text of its report, digits aligned at the decimal point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bl_steer.analysis.reconstruction.measures import SUPERRESOLVED, TRUTH
from bl_steer.protocols import Table

__all__ = ["aligned", "compared", "rows_of"]

OFF = "ratio_to_truth"
NONE = "–"
DIGITS = 5
"""Of the largest number of a column."""
NAMES = {
    OFF: "off the truth",
    "miou": "mean IoU (0 … 1)",
    "accuracy": "voxels that agree (share)",
    "n_parts": "parts (number)",
    "largest": "in the largest part (share)",
    "isolated": "in parts that touch no face (share)",
    "percolating_z": "reaches through along z (share)",
    "percolating_y": "along y (share)",
    "percolating_x": "along x (share)",
    "single_voxels": "parts of one voxel (number)",
    "labels_least_um": "labels leave from (µm)",
    "labels_largest_um": "to (µm)",
    "ratio": "along z over in plane",
    "ratio_sd": "± sd",
    "phase_a": "phase",
    "phase_b": "and",
    "phase_c": "and",
}
"""What readers need more words for than a column's name in the CSV."""
UNITS = {"1_um2": "1/µm²", "1_um": "1/µm", "um3": "µm³", "um2": "µm²", "um": "µm", "nm": "nm"}


def aligned(values: Iterable[float]) -> list[str]:
    """Return numbers with equally many decimals: three digits of the smallest, if that is few.

    >>> aligned([12.345, 0.4564, float("nan")])
    ['12.345', '0.456', '–']
    >>> aligned([1234.5, 210.25])
    ['1,234', '210']
    """
    numbers = [float(value) for value in values]
    sizes = [abs(value) for value in numbers if np.isfinite(value) and value != 0]
    decimals = 0
    if sizes:
        least, most = (int(np.floor(np.log10(size))) for size in (min(sizes), max(sizes)))
        decimals = max(0, min(2 - least, DIGITS - 1 - max(most, 0)))
    return [f"{value:z,.{decimals}f}" if np.isfinite(value) else NONE for value in numbers]


def compared(table: Table) -> dict[str, Any]:
    """Return table 1 or 2 with a row for each quantity and a column for each method."""
    keys = list(table)
    n = len(table["quantity"])
    numbers = aligned(np.concatenate([np.asarray(table[key], float) for key in keys[2:5]]))
    values, low, high = (numbers[k * n : (k + 1) * n] for k in range(3))
    rows: dict[str, dict[str, dict[str, str]]] = {}
    ratios: dict[str, str] = {}
    for k, (quantity, method) in enumerate(zip(table["quantity"], table["method"], strict=True)):
        off = float(table[OFF][k])
        rows.setdefault(str(quantity), {})[str(method)] = {
            "value": values[k],
            "interval": "" if NONE in (low[k], high[k]) else f"{low[k]} … {high[k]}",
            "off": "" if method == TRUTH or not np.isfinite(off) else _percent(off - 1),
        }
        if method == SUPERRESOLVED:
            ratios[str(quantity)] = f"{float(table['ratio_to_conventional'][k]):.3f}"
    return {"methods": list(next(iter(rows.values()))), "rows": rows, "ratios": ratios}


def rows_of(table: Table | None) -> dict[str, Any]:
    """Return a table as text: ``head``, ``rows``, and which columns are words (``words``)."""
    if table is None:
        return {"head": [], "words": [], "rows": []}
    shown = {
        key: np.asarray(column)
        for key, column in table.items()
        if key != "label" and not key.startswith("if_")
    }
    columns = [_texts(key, column, shown.get("method")) for key, column in shown.items()]
    return {
        "head": [_head(key) for key in shown],
        "words": [column.dtype.kind not in "iuf" for column in shown.values()],
        "rows": list(zip(*columns, strict=True)),
    }


def _texts(key: str, column: Any, methods: Any) -> list[str]:
    if key == OFF:
        ratios = np.where(methods == TRUTH, np.nan, column).tolist()
        return [_percent(ratio - 1) if np.isfinite(ratio) else NONE for ratio in ratios]
    if column.dtype.kind in "iu":
        return [f"{value:,}" for value in column.tolist()]
    return aligned(column) if column.dtype.kind == "f" else [str(value) for value in column]


def _percent(share: float) -> str:
    return f"{100 * share:+z.1f} %".replace("-", "−")


def _head(key: str) -> str:
    """Return a column's name as words, with its unit.

    >>> _head("length_low_um"), _head("length_per_volume_1_um2")
    ('length, 95 % from (µm)', 'length per volume (1/µm²)')
    """
    if key in NAMES:
        return NAMES[key]
    name, unit = key, ""
    for ending, written in UNITS.items():
        if key.endswith(f"_{ending}"):
            name, unit = key.removesuffix(f"_{ending}"), f" ({written})"
            break
    for ending, words in (("_low", ", 95 % from"), ("_high", ", 95 % to")):
        if name.endswith(ending):
            name = name.removesuffix(ending) + words
    return name.replace("_", " ") + unit
