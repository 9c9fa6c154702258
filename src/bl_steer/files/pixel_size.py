"""The edge of a pixel on the specimen, as files, options and catalogues state it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isclose, isfinite
from typing import Any

__all__ = ["check_pixel_size", "contradictions"]

EQUAL = 0.01
"""What two places say of a length is equal to so much: headers and people round."""


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


def contradictions(
    what: str, told: float | Sequence[float] | None, stated: Any, *, where: str = "the file"
) -> Iterator[str]:
    """Yield a sentence where a length that was told is another than what a file states.

    Parameters
    ----------
    what : is measured, such as "a voxel"
    told, stated : in nm, a number or one for each axis; None where nothing is said

    >>> list(contradictions("a pitch", 50.0, 100.0))
    ['the file states a pitch of 100 nm; 50 nm was given and is used: check which is right']
    """
    if told is None or stated is None:
        return
    given, known = (
        [float(edge) for edge in (value if isinstance(value, Sequence) else [value])]
        for value in (told, stated)
    )
    if len(given) == len(known) and all(
        isclose(a, b, rel_tol=EQUAL) for a, b in zip(given, known, strict=True)
    ):
        return
    shown = [" × ".join(f"{edge:g}" for edge in edges) for edges in (known, given)]
    yield (
        f"{where} states {what} of {shown[0]} nm; {shown[1]} nm was given and is used: check which "
        "is right"
    )
