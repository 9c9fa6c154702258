"""Many files, read one by one, with all that is wrong told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["read_all"]

LISTED = 10
"""Problems that are told in full."""

T = TypeVar("T")
Content = TypeVar("Content")


def read_all(read: Callable[[T], Content], items: Iterable[T]) -> list[Content]:
    """Return what is read of each item.

    Raises
    ------
    ValueError
        With the problems of all items.
    """
    contents: list[Content] = []
    problems: list[str] = []
    for item in items:
        try:
            contents.append(read(item))
        except ValueError as error:
            problems.append(str(error))
    if len(problems) == 1:
        raise ValueError(problems[0])
    if problems:
        more = "" if len(problems) <= LISTED else f"; and {len(problems) - LISTED} more"
        raise ValueError(
            f"all files must be sound, got {len(problems)} that are not: "
            + "; ".join(problems[:LISTED])
            + more
        )
    return contents
