"""Cells of a table of numbers, as texts."""

from __future__ import annotations

__all__ = ["is_missing", "number_of"]

MISSING = {
    *("", "-", "--", "?", "na", "n/a", "<na>", "nan", "-nan", "null", "none", "欠測"),
    *("#n/a", "#na", "#div/0!", "#value!", "#num!", "#null!", "#ref!", "#name?"),
}
"""How spreadsheets, R, pandas and people write that there is no value, in lower case."""


def is_missing(cell: str) -> bool:
    """Return whether a cell says that there is no value."""
    return cell.strip().lower() in MISSING


def number_of(cell: str) -> float | None:
    """Return a cell's number, with a decimal point or comma; None for anything else."""
    try:
        return None if "_" in cell else float(cell.replace(",", ".", 1))
    except ValueError:
        return None
