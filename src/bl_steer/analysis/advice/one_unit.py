"""Distances over x and y need both in one unit, though a file may have each in its own."""

from __future__ import annotations

from bl_steer.files.maps.lengths import per_micrometre

__all__ = ["axes_told", "y_per_x"]


def axes_told(unit: str) -> tuple[str, str]:
    """Return the units of x and of y, empty where they are not told.

    Parameters
    ----------
    unit : of both, or of each in turn, as `bl_steer.runs.unit_of_axes` has it

    >>> axes_told("um"), axes_told("mm,um"), axes_told(",um")
    (('um', 'um'), ('mm', 'um'), ('', 'um'))
    """
    x, comma, y = (part.strip() for part in unit.partition(","))
    return x, y if comma else x


def y_per_x(unit: str) -> float | None:
    """Return by what y is multiplied to be in the unit of x; None where that is no length.

    Where the unit of one alone is told, the other is taken to have it too.

    >>> y_per_x("mm,um"), y_per_x("um"), y_per_x("mm,"), y_per_x("mm,deg")
    (0.001, 1.0, 1.0, None)
    """
    x, y = axes_told(unit)
    if x == y or not x or not y:
        return 1.0
    of_x, of_y = per_micrometre(x), per_micrometre(y)
    return None if of_x is None or of_y is None else of_x / of_y
