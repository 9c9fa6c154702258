"""The edge of a pixel on the specimen, as files, options and catalogues state it."""

from __future__ import annotations

from math import isfinite
from typing import Any

__all__ = ["check_pixel_size"]


def check_pixel_size(value: Any) -> None:
    """Raise `ValueError` unless a pixel size is a positive number of nm, or None: not known.

    >>> check_pixel_size(10.0)
    """
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and isfinite(value) and value > 0):
        raise ValueError(
            f"pixel_size_nm must be a positive number of nm, got {value!r}; give the edge of a "
            "pixel, such as 10"
        )
