"""How far a long work is: a bar where somebody watches, a few lines where it goes into a file."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from time import monotonic
from typing import Any, Self, TextIO

from tqdm import tqdm

from bl_steer.stages import SURE_SHARE, stage_of

__all__ = ["Bar", "coordinate", "duration", "is_coordinate", "place_decimals", "significant"]

DELAY_S = 1.0
"""Work that is over sooner needs no bar."""
EVERY_S = 10.0
EVERY_SHARE = 0.1
"""Lines come at least so long, and so much of the work, after one another;"""
AT_LATEST_S = 300.0
"""where it goes on more slowly, after so long."""
COORDINATE = re.compile(r"(?:best_)?[xyz](?:_(?:[num]?m|px))?(?: \(.+\))?")
COORDINATE_DIGITS = 8
"""In µm, a nanometre on the way of a stage."""
LENGTH = re.compile(r"[ _(]([mnuµμ]?m)\)?$")
TO_A_NANOMETRE = {"m": 9, "mm": 6, "um": 3, "nm": 3}
"""Decimals of a length in a unit; of one in nm, to a picometre."""
NOISE = 1e-6
"""Steps smaller than this part of a column's width are what a stage's read-back scatters by."""
FORMAT = "{desc} {n_fmt}/{total_fmt} {unit} {bar:24} {elapsed}<{remaining}{postfix}"


def significant(value: float, digits: int) -> str:
    """Return a number with so many significant digits, large ones without an exponent.

    >>> significant(172.3, 2), significant(0.01234, 2), significant(20461.0, 4)
    ('170', '0.012', '20460')
    """
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.0f}" if 10**digits <= abs(rounded) < 1e15 else f"{value:.{digits}g}"


def is_coordinate(name: str) -> bool:
    """Return whether a column holds coordinates, whatever unit its name states.

    >>> [is_coordinate(name) for name in ("x", "y (mm)", "best_x_um", "dx", "expected")]
    [True, True, True, False, False]
    """
    return COORDINATE.fullmatch(name) is not None


def place_decimals(name: str, values: Iterable[float]) -> int:
    """Return the decimals of a column of coordinates: a thousandth of its smallest step, and no
    less than a nanometre where its name states the unit.

    >>> place_decimals("x (mm)", [0.0, 1 / 3, 2 / 3]), place_decimals("x_um", [7.0])
    (4, 3)
    """
    found = LENGTH.search(name)
    finest = TO_A_NANOMETRE[found[1].replace("µ", "u").replace("μ", "u")] if found else 9
    places = sorted({value for value in values if math.isfinite(value)})
    noise = NOISE * (places[-1] - places[0]) if places else 0.0
    steps = [b - a for a, b in pairwise(places) if b - a > noise]
    return min(finest, 3 - math.floor(math.log10(min(steps)) + NOISE)) if steps else finest


def coordinate(value: float, decimals: int | None = None) -> str:
    """Return a coordinate that somebody may give to a stage: to a nanometre, in µm or in mm.

    Parameters
    ----------
    decimals : at most, of one that has more than few digits; those of its column (`place_decimals`)

    >>> [coordinate(value) for value in (12353.166666666666, -7994.5, 19.333333333333332, -0.0)]
    ['12353.167', '-7994.5', '19.333333', '0']
    >>> coordinate(19.333333333333332, 2), coordinate(7.12345, 2)
    ('19.33', '7.12345')
    """
    is_long = math.isfinite(value) and float(f"{value:.{COORDINATE_DIGITS}g}") != value
    if decimals is not None and is_long:
        value = round(value, decimals)
    if not math.isfinite(value) or abs(value) >= 10.0**COORDINATE_DIGITS:
        return f"{value:.0f}"
    return f"{value:z.{COORDINATE_DIGITS}g}"


def duration(seconds: float) -> str:
    """Return a time in its two largest units.

    >>> duration(8.2), duration(131), duration(7390)
    ('8 s', '2 min 11 s', '2 h 3 min')
    """
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {s} s" if minutes else f"{s} s"


class Bar:
    """Show how far a work is, on a terminal or in a notebook as a bar, elsewhere as lines.

    Parameters
    ----------
    text : what is done: "training"
    unit : what is counted: "step"
    file : where to show it; the error stream by default
    keep : leave the last state standing; else nothing remains on a terminal, and short work makes
        no line
    stages : what the stages of `bl_steer.stages.Stages` do, whose progress is shown
    """

    def __init__(
        self,
        text: str,
        unit: str = "",
        *,
        file: TextIO | None = None,
        keep: bool = False,
        stages: Sequence[str] = (),
    ) -> None:
        self.done = 0
        self.total: int | None = None
        self._text, self._unit, self._keep = text, unit, keep
        self._file = file or sys.stderr
        self._watched = self._file.isatty() or "ipykernel" in sys.modules
        self._note = ""
        self._bar: Any = None
        self._told_at, self._told, self._line = monotonic(), 0, ""
        self._stages, self._whole, self._changed = stages, text, False
        self._since: tuple[float, float] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, done: int, total: int | None) -> None:
        """Show the steps done of all steps; fewer than before begin anew."""
        if self._stages and total:
            stage = stage_of(done, total, len(self._stages))
            done, total, self._unit = round(100 * stage.share), 100, "%"
            place = f"{stage.number + 1} of {stage.count}"
            self._say(f"{self._whole}, {place}: {self._stages[stage.number]}")
        if self._since is None or done < self.done:
            self._since = (monotonic(), done)
        self.done, self.total = done, total
        if self._watched:
            self._draw()
        elif self._is_due():
            self._print()

    def stage(self, text: str, unit: str) -> Callable[[int, int], None]:
        """Return what shows a later stage of the same work."""

        def show(done: int, total: int) -> None:
            self._unit, self._stages = unit, ()
            if self._bar is not None:
                self._bar.unit = unit
            self._say(text)
            self.show(done, total)

        return show

    def _say(self, text: str) -> None:
        self._changed |= text != self._text
        self._text = text
        if self._bar is not None:
            self._bar.set_description(text, refresh=False)

    def note(self, text: str) -> None:
        """Put a text behind what is shown from now on."""
        self._note = text

    def close(self) -> None:
        """End it."""
        if not self._watched:
            if self._keep or self._line:
                self._print()
            return
        if self._keep:
            self._draw()
        if self._bar is not None:
            self._bar.close()

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = tqdm(
                desc=self._text,
                total=self.total,
                unit=self._unit,
                file=self._file,
                leave=self._keep,
                delay=0.0 if self._keep else DELAY_S,
                miniters=1,
                bar_format=FORMAT,
            )
        if self.done < self._bar.n:
            self._bar.reset()
        self._bar.total = self.total
        self._bar.set_postfix_str(self._note, refresh=False)
        self._bar.update(self.done - self._bar.n)

    def _is_due(self) -> bool:
        if self.done < self._told:
            self._told = 0
        enough = self.done - self._told >= max(1.0, EVERY_SHARE * (self.total or 0))
        waited = monotonic() - self._told_at
        late = self.done > self._told and waited >= AT_LATEST_S
        return late or (waited >= EVERY_S and (enough or self._changed))

    def _left(self) -> str:
        """Return how long it will go on at the pace so far, where that can be told."""
        if self._since is None or not self.total or self.done >= self.total:
            return ""
        began, first = self._since
        gone = self.done - first
        if gone < SURE_SHARE * self.total:
            return ""
        seconds = (monotonic() - began) * (self.total - self.done) / gone
        return f", {duration(seconds)} left"

    def _print(self) -> None:
        self._told_at, self._told, self._changed = monotonic(), self.done, False
        counted = f"{self.done}/{self.total or '?'} {self._unit}".rstrip()
        if self._unit == "%":
            counted = f"{self.done} %"
        elif self.total:
            counted += f" ({100 * self.done / self.total:.0f} %)"
        note = f", {self._note}" if self._note else ""
        line = f"{self._text}: {counted}{self._left()}{note}\n"
        if line != self._line:
            self._file.write(line)
            self._file.flush()
        self._line = line
