"""Many files, read one by one, with all that is wrong told at once.

Who can do without some of the files takes `read_each`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["read_all", "read_each", "told_once", "unsound"]

LISTED = 10
"""Problems that are told in full."""
NAMED = re.compile(r"(?P<name>.+?)(?P<what>: | must )")
"""The file at the beginning of a problem."""
SHARE = re.compile(r"\d+(\.\d+)? ?%")
"""What may differ between files of one problem."""

T = TypeVar("T")
Content = TypeVar("Content")


def read_all(read: Callable[[T], Content], items: Iterable[T]) -> list[Content]:
    """Return what is read of each item.

    Raises
    ------
    ValueError
        With the problems of all items.
    """
    contents, problems = read_each(read, items)
    if problems:
        raise unsound(problems)
    return [content for content in contents if content is not None]


def told_once(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Return each note once, with the first file that it is about and the number of others.

    Parameters
    ----------
    notes : name of a file, and what is said of it

    >>> told_once([("a.tif", "has colours"), ("b.tif", "is dark"), ("c.tif", "has colours")])
    ['a.tif and 1 more: has colours', 'b.tif: is dark']
    """
    said: dict[str, list[str]] = {}
    for name, note in notes:
        said.setdefault(note, []).append(name)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}"
        for note, names in said.items()
    ]


def read_each(
    read: Callable[[T], Content], items: Iterable[T]
) -> tuple[list[Content | None], list[str]]:
    """Return what is read of each item, None where it cannot be, and the problems of those."""
    contents: list[Content | None] = []
    problems: list[str] = []
    for item in items:
        try:
            contents.append(read(item))
        except ValueError as error:
            contents.append(None)
            problems.append(str(error))
    return contents, problems


def unsound(problems: Sequence[str]) -> ValueError:
    """Return the error of files with problems, of which there is one at least."""
    if len(problems) == 1:
        return ValueError(problems[0])
    told = "; ".join(_together(problems))
    return ValueError(f"all files must be sound, got {len(problems)} that are not: {told}")


def _together(problems: Sequence[str]) -> Iterator[str]:
    """Yield each problem with the file that has it first, and how many more have it."""
    alike: dict[str, list[str]] = {}
    for problem in problems:
        what = SHARE.sub("%", NAMED.sub(r"\g<what>", problem, count=1))
        alike.setdefault(what, []).append(problem)
    for first, *others in list(alike.values())[:LISTED]:
        yield NAMED.sub(rf"\g<name> and {len(others)} more\g<what>", first, 1) if others else first
    if len(alike) > LISTED:
        yield f"and {sum(map(len, list(alike.values())[LISTED:]))} more"
