"""What the columns of a table are by their names: x, y, the value, a count of rows, and units.

`bl_steer.files.maps.tables` reads the table itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from bl_steer.files.errors import listed

__all__ = [
    "NAMES",
    "VALUE_NAMES",
    "corner_of",
    "is_bookkeeping",
    "is_index",
    "is_monitor",
    "plain_name",
    "recognized",
    "told_names",
    "unit_of_name",
    "with_unit",
]

VALUE_NAMES = ("value", "objective", "intensity", "counts", "total", "map")
NAMES = {
    "x": ("x", "横", "横位置", "横座標", "x座標", "x位置"),
    "y": ("y", "縦", "縦位置", "縦座標", "y座標", "y位置"),
    "value": (*VALUE_NAMES, "値", "測定値", "強度", "カウント", "カウント数", "計数"),
}
"""What the columns may be called, the most certain first."""
INDEX_NAMES = ("", "#", "no", "no.", "index", "id", "番号", "測定番号", "点番号")
"""Columns that only count the rows."""
COUNTS_OF_ROWS = {"seq_num", "seq_no", "point_no", "scan_id"}
TIMES = {"time", "timestamp", "datetime", "date", "epoch", "日時", "時刻"}
OTHERS = {
    "setpoint",
    "error",
    "errors",
    "err",
    "std",
    "sd",
    "sigma",
    "variance",
    "valid",
    "clock",
    "above",
}
"""Words that make of a name that of something beside the value."""
MONITORS = {"monitor", "mon", "i0", "io"}
LENGTHS = "um µm μm mm nm cm pm m Å å px pixel pixels deg rad mrad inch micron microns"
"""Units that are known at the end of a name without brackets."""
BRACKETS = re.compile(r"[(\[（［]\s*([^()\[\]（）［］]+?)\s*[)\]）］]")
SLASH = re.compile(r"\s*/\s*([^\s/\d]\S*)\s*$")


def plain_name(name: str) -> str:
    """Return a name without its unit, in lower case; full-width letters count as plain ones.

    >>> plain_name("Ｘ（ｍｍ）"), plain_name("x_um"), plain_name("Stage_X / um")
    ('x', 'x', 'stage_x')
    """
    plain = unicodedata.normalize("NFKC", SLASH.sub("", BRACKETS.sub("", name))).strip().lower()
    begin, separator, end = _end_of(plain)
    return begin if separator and end in LENGTHS.lower().split() else plain


def unit_of_name(name: str) -> str | None:
    """Return the unit where a name has it: ``x (um)``, ``x_um``, ``x [mm]``, ``x / mm``.

    >>> unit_of_name("x (µm)"), unit_of_name("x_um"), unit_of_name("stage_x")
    ('µm', 'um', None)
    """
    for pattern in (BRACKETS, SLASH):
        if unit := pattern.search(name):
            return unit[1]
    _, separator, end = _end_of(name.strip())
    return end if separator and end.lower() in LENGTHS.lower().split() else None


def with_unit(name: str, unit: str) -> str:
    """Return a name with the unit that the table gives below it."""
    return f"{name} ({unit})" if unit and unit_of_name(name) is None else name


def corner_of(cell: str) -> tuple[tuple[str, str | None], str | None, str]:
    """Return what the first cell of a matrix says: x or y down, units down and across, the values.

    A unit that is given for one axis alone holds for both.

    >>> corner_of("y (um) / x (mm): det_total"), corner_of("x (um)"), corner_of("")
    ((('y', 'um'), 'mm', 'det_total'), (('x', 'um'), 'um', ''), (('y', None), None, ''))
    """
    axes, _, values = cell.partition(":")
    down, _, across = axes.partition("/")
    if plain_name(across) not in ("x", "y"):  # a unit, as in y / mm
        down, across = axes, ""
    units = unit_of_name(down.strip()), unit_of_name(across.strip())
    name = "x" if down.strip().lower().startswith("x") else "y"
    return (name, units[0] or units[1]), units[1] or units[0], values.strip()


def is_index(name: str) -> bool:
    """Return whether a column of this name only counts the rows."""
    plain = plain_name(name)
    return plain in INDEX_NAMES or plain in COUNTS_OF_ROWS


def is_bookkeeping(name: str) -> bool:
    """Return whether a column of this name counts, times, aims or judges, and measures nothing."""
    words = set(_words(plain_name(name)))
    return is_index(name) or bool(words & (OTHERS | TIMES)) or "ts" in words


def is_monitor(name: str) -> bool:
    """Return whether a column of this name is the beam's."""
    return bool(set(_words(plain_name(name))) & MONITORS)


def recognized(columns: Iterable[str]) -> dict[str, str]:
    """Return which columns are x, y and value, as many as their names tell, units aside.

    First by the whole name, then by a word of it: ``stage_x``, ``det_total``.

    Raises
    ------
    ValueError
        When several columns have the name of one of them.
    """
    columns = list(columns)
    by_key: dict[str, str] = {}
    for key, choices in NAMES.items():
        exact = [[n for n in columns if plain_name(n) == choice] for choice in choices]
        if named := next(filter(None, exact), None):
            by_key[key] = _only(named, key)
    for key, choices in NAMES.items():
        rest = [n for n in columns if n not in by_key.values() and not is_bookkeeping(n)]
        rest = [n for n in rest if not is_monitor(n)]
        worded = [n for n in rest if set(_words(plain_name(n))) & set(choices)]
        if key not in by_key and len(worded) == 1:
            by_key[key] = worded[0]
    return {key: by_key[key] for key in NAMES if key in by_key}


def told_names(by_key: Mapping[str, str]) -> list[str]:
    """Return a line on the columns taken, where their names are others than x, y and value."""
    if all(plain_name(name) == key for key, name in by_key.items()):
        return []
    return ["columns taken: " + ", ".join(f"{key} from {name!r}" for key, name in by_key.items())]


def _only(names: list[str], key: str) -> str:
    if len(names) > 1:
        raise ValueError(
            f"a table must have one column for {key}, got {listed(names)}; leave out the others, "
            "or rename them"
        )
    return names[0]


def _end_of(name: str) -> tuple[str, str, str]:
    """Return what stands before and after the last blank or underscore."""
    parts = re.match(r"(.*\S)([\s_]+)(\S+)$", name)
    return (parts[1], parts[2], parts[3].lstrip("_")) if parts else (name, "", "")


def _words(plain: str) -> list[str]:
    return re.split(r"[\s_.:\-]+", plain)
