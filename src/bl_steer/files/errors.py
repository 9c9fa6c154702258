"""The errors of the readers in this package: before the file's name is put in front, and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bl_steer.files.formats import LOSSY

__all__ = ["SHOWN", "FileFormatError", "in_one_line", "listed", "lossy_told"]

SHOWN = 8
"""Names in a message, each of `WIDTH` letters at most."""
WIDTH = 20
MOST = 90
"""Letters, after which no name is added."""


class FileFormatError(Exception):
    """What is wrong with a file, as the end of a sentence that starts with its name.

    It never leaves `bl_steer.files`: users get a `ValueError` that names the file.
    """


def listed(names: Iterable[str]) -> str:
    """Return names for a message: a few in full, the rest as their number.

    >>> listed(["x", "y"]), listed(map(str, range(10)))
    ("'x', 'y'", "'0', '1', '2', '3', '4', '5', '6', '7' and 2 more")
    >>> listed([])
    'none'
    """
    names = list(names)
    shown: list[str] = []
    for name in names[:SHOWN]:
        if sum(map(len, shown)) < MOST:
            shown.append(repr(name[:WIDTH]))
    more = len(names) - len(shown)
    return (", ".join(shown) + (f" and {more} more" if more else "")) or "none"


@contextmanager
def lossy_told(known: Mapping[str, Any]) -> Iterator[None]:
    """Add to what is wrong with labels that they come from JPEG, where they do.

    Parameters
    ----------
    known : what the files say, with ``lossy`` of JPEG
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error} ({LOSSY})" if known.get("lossy") else str(error)) from error


@contextmanager
def in_one_line(path: Path) -> Iterator[None]:
    """Turn whatever a codec raises into one line that names the file."""
    try:
        yield
    except FileFormatError as error:
        raise ValueError(f"{path} {error}") from None
    except (MemoryError, OSError):
        raise
    except ValueError as error:
        if str(error).startswith((str(path), path.name)):  # it says what is wrong already
            raise
        raise _unreadable(path, error) from error
    except Exception as error:  # codecs fail in any way they like on a broken file
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ValueError:
    text = " ".join(str(error).split())[:160] or type(error).__name__
    reason = "Python objects, not numbers" if "bject" in text or "pickle" in text else text
    return ValueError(
        f"a stack must be whole and readable, got {str(path)!r} ({reason}); save it anew"
    )
