"""Plots of tables as SVG, where people look rather than read: values with intervals, and curves.

`bl_steer.plotting` and the figures of the analyses are for papers; these stand beside a table and
are drawn by ``pages/plots.html``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from bl_steer.server.viewing.views import COLOURS
from bl_steer.server.web.result_tables import ShownTable, StoredTable, read_number

__all__ = ["CurvePlot", "IntervalPlot", "plot_of"]

MAX_BARS = 24
MAX_CURVES = 9
WIDTH, LEFT, RIGHT, ROW, FOOT = 460, 172, 24, 27, 46
HEIGHT, MARGIN, TOP, LEGEND = 260, 56, 10, 150
LABEL, CURVE_LABEL = LEFT - 14, LEGEND - 52
"""Room for the label of a row, and of a curve."""
NARROW, LETTER, CAPITAL, WIDE = 4.5, 7.6, 9.6, 12.0
"""Widths of letters of 12 px, those of Chinese and Japanese among the wide ones."""
DASHES = ("none", "7 4", "2 3")
SMALLEST = 1e-100
CURVES = {"chord_lengths": ("length_nm", "share"), "correlation": ("lag_nm", "probability")}


@dataclass(frozen=True)
class Mark:
    """A value with its interval, places along x."""

    label: str
    shown: str
    y: float
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalPlot:
    """Values with intervals, one below the other."""

    label: str
    height: int
    marks: Sequence[Mark]
    ticks: Sequence[tuple[float, str]]
    width: int
    left: int


@dataclass(frozen=True)
class Curve:
    """A line with its name, as the points of an SVG polyline."""

    label: str
    points: str
    colour: str
    dash: str


@dataclass(frozen=True)
class CurvePlot:
    """Curves over a common axis."""

    x_label: str
    y_label: str
    curves: Sequence[Curve]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = MARGIN
    top: int = TOP
    bottom: int = HEIGHT - FOOT
    right: int = WIDTH - LEGEND


def plot_of(table: ShownTable) -> IntervalPlot | CurvePlot | None:
    """Return the plot that belongs to a table; None where there is none."""
    return _curves(table) if table.stem in CURVES else _intervals(table)


def ticks_of(most: float, number: int = 5) -> list[float]:
    """Return round numbers from 0 to some that is not beyond a value.

    Examples
    --------
    >>> ticks_of(0.43)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    rough = most / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [round(count * step, 12) for count in range(int(most / step + 1e-9) + 1)]


def _is_drawn(most: float) -> bool:
    """Return whether an axis up to a value can be drawn: not of all or nothing that floats hold."""
    return SMALLEST < most < 1 / SMALLEST


def _intervals(table: ShownTable) -> IntervalPlot | None:
    measured = [column for column in table.columns if column.low is not None]
    # What is measured stands behind what it is of: names, or else a number of the row.
    before = table.columns[: table.columns.index(measured[0])] if measured else []
    names = [at for at, column in enumerate(before) if not column.numeric] or [0] * bool(before)
    rows = table.stored.rows[: len(table.rows)]
    if not measured or not measured[0].numeric or not names or not 1 < len(rows) <= MAX_BARS:
        return None
    column = measured[0]
    scale = 100.0 if column.percent else 1.0
    at = table.columns.index(column)
    found = []
    for row, shown in zip(rows, table.rows, strict=True):
        value, low, high = (
            scale * read_number(row, end) for end in (column.at, column.low, column.high)
        )
        if math.isfinite(value):
            label = _short([shown[name] for name in names])
            found.append((label, shown[at], value, low, high))
    most = max((end for _, _, *ends in found for end in ends if math.isfinite(end)), default=0)
    if not _is_drawn(most) or min(value for _, _, value, *_ in found) < 0:
        return None
    # No more room for labels than they take: what a telephone shows is larger then.
    left = min(LEFT, math.ceil(max(_width(label) for label, *_ in found)) + LEFT - LABEL)
    across = (WIDTH - LEFT - RIGHT) / most
    marks = []
    for number, (label, shown_value, value, low, high) in enumerate(found):
        ends = (low, high) if math.isfinite(high - low) else (value, value)
        places = (left + across * place for place in (value, *ends))
        marks.append(Mark(label, shown_value, (number + 0.6) * ROW, *places))
    unit = " %" if column.percent else ""
    ticks = [(left + across * tick, f"{tick:g}{unit}") for tick in ticks_of(most)]
    width = WIDTH - LEFT + left
    return IntervalPlot(column.label, len(marks) * ROW + FOOT, marks, ticks, width, left)


def _curves(table: ShownTable) -> CurvePlot | None:
    along, value = CURVES[table.stem]
    columns = {column.name: column for column in table.columns}
    if table.stored.cut or not {along, value, "phase", "axis"} <= columns.keys():
        return None
    series = _series(table.stored, along, value)
    if not 1 <= len(series) <= MAX_CURVES:
        return None
    percent = 100.0 if columns[value].percent else 1.0
    x_most = max((x for points in series.values() for x, _ in points), default=0)
    y_most = percent * max((y for points in series.values() for _, y in points), default=0)
    if not (_is_drawn(x_most) and _is_drawn(y_most)):
        return None
    right, bottom = WIDTH - LEGEND, HEIGHT - FOOT
    across, up = (right - MARGIN) / x_most, (bottom - TOP) / y_most
    phases = list(dict.fromkeys(phase for phase, _ in series))
    axes = list(dict.fromkeys(axis for _, axis in series))
    curves = [
        Curve(
            _short([phase, axis], CURVE_LABEL),
            " ".join(
                f"{MARGIN + across * x:.1f},{bottom - up * percent * y:.1f}" for x, y in points
            ),
            "rgb({}, {}, {})".format(*COLOURS[phases.index(phase) % len(COLOURS)]),
            DASHES[axes.index(axis) % len(DASHES)],
        )
        for (phase, axis), points in series.items()
    ]
    unit = " %" if columns[value].percent else ""
    return CurvePlot(
        columns[along].label,
        columns[value].label,
        curves,
        [(MARGIN + across * tick, f"{tick:g}") for tick in ticks_of(x_most)],
        [(bottom - up * tick, f"{tick:g}{unit}") for tick in ticks_of(y_most)],
    )


def _series(
    table: StoredTable, along: str, value: str
) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return the finite points of each phase along each axis."""
    names = list(table.names)
    phase, axis, x, y = (names.index(name) for name in ("phase", "axis", along, value))
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in table.rows:
        point = read_number(row, x), read_number(row, y)
        if all(map(math.isfinite, point)) and len(row) > max(phase, axis):
            series.setdefault((row[phase], row[axis]), []).append(point)
    return series


def _short(words: Sequence[str], room: float = LABEL) -> str:
    """Return words as a label that fits, the widest of them cut where they are too long.

    >>> _short(["spot2_180d_5 of a film.tif", "carbon"])
    'spot2_180d_… · carbon'
    >>> _short(["試料1_断面の写真.png", "空隙"])
    '試料1_断面の写真.… · 空隙'
    """
    parts = list(words)
    while _width(" · ".join(parts)) > room:
        widest = max(range(len(parts)), key=lambda at: _width(parts[at]))
        kept = parts[widest].removesuffix("…")[:-1]
        if len(kept) < 2:
            break
        parts[widest] = f"{kept}…"
    return " · ".join(parts)


def _width(words: str) -> float:
    """Return the width of words at most, in px."""
    return sum(
        NARROW
        if letter in " ·.,:il"
        else WIDE
        if east_asian_width(letter) in "WFA"
        else CAPITAL
        if letter.isupper()
        else LETTER
        for letter in words
    )
