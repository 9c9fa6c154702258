"""The edge of a pixel on the specimen, as files, options and catalogues state it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isclose, isfinite
from typing import Any

__all__ = [
    "EQUAL",
    "IN_MICROMETRES",
    "check_pixel_size",
    "contradictions",
    "resampled_edges",
    "small_edges",
    "unread_edges",
]

EQUAL = 0.01
"""What two places say of a length is equal to so much: headers and people round."""
LEAST_NM = 1.0
"""Edge of a pixel or voxel below which the user is asked for the unit."""
IN_MICROMETRES = "were they meant in µm?"


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


def small_edges(what: str, *sizes_nm: float | Sequence[float] | None) -> Iterator[str]:
    """Yield a question for each size that is smaller than most microscopes record.

    Parameters
    ----------
    what : "pixels" or "voxels"
    sizes_nm : a number or one for each axis; None where nothing is known

    >>> list(small_edges("pixels", 10.0, 0.01, None, 0.01))
    ['pixels of 0.01 nm are smaller than most microscopes record; were they meant in µm?']
    """
    known = (size if isinstance(size, Sequence) else [size] for size in sizes_nm if size)
    for edges in dict.fromkeys(tuple(map(float, edges)) for edges in known):
        if min(edges) < LEAST_NM:
            yield (
                f"{what} of {' × '.join(f'{edge:g}' for edge in edges)} nm are smaller than most "
                f"microscopes record; {IN_MICROMETRES}"
            )


def resampled_edges(to_nm: float | None, *sizes_nm: float | None) -> Iterator[str]:
    """Say that micrographs of different pixels are brought to one size.

    >>> list(resampled_edges(25.0, 10.0, 40.0, None))
    ['pixels of 10 to 40 nm are brought to 25 nm; where all are of one magnification, correct them']
    """
    known = [float(size) for size in sizes_nm if size]
    if to_nm and known and max(known) > (1 + EQUAL) * min(known):
        yield (
            f"pixels of {min(known):g} to {max(known):g} nm are brought to {to_nm:g} nm; where all "
            "are of one magnification, correct them"
        )


def unread_edges(edges: Sequence[float], unit: str = "") -> str:
    """Return in words what a file says of its voxel where its unit is no known length.

    Parameters
    ----------
    edges : along z, y, x, or y, x of one plane
    unit : as the file spells it; empty where it has none

    >>> unread_edges([0.04, 0.01, 0.01])
    'edges of 0.04, 0.01, 0.01 along z, y, x, without a unit'
    """
    shown = ", ".join(f"{edge:g}" for edge in edges)
    axes = ", ".join("zyx"[-len(edges) :])
    said = f"in a unit that is not known, {unit}" if unit else "without a unit"
    return f"edges of {shown} along {axes}, {said}"
