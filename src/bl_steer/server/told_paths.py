"""Files as a user knows them: what is told of a job, a package or a training names no folders of
the server."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bl_steer.server.sandbox.bubblewrap import JOB

__all__ = ["without_folders"]

OURS = (
    *(str(JOB), sys.prefix, sys.base_prefix, tempfile.gettempdir()),
    str(Path(__file__).parents[2]),
)
"""Folders of the sandbox, of Python and of this library, which are no user's business."""
REST = r"(?:/[^\s'\"<>|:,;()]*)?"


def without_folders(
    text: str, own: Iterable[Path | str] = (), ours: Iterable[Path | str] = ()
) -> str:
    """Return a text in which files are called as the user calls them.

    Parameters
    ----------
    own : folders whose files are called by their paths from there
    ours : folders, beside those of the sandbox and of Python, whose files are called by their names

    Examples
    --------
    >>> without_folders("no /srv/packages/1f/tests/a.csv, see /srv/log.txt", ["/srv/packages/1f"],
    ...                 ["/srv"])
    'no tests/a.csv, see log.txt'
    """
    for folder in _longest_first(own):
        text = text.replace(f"{folder}/", "")
    roots = "|".join(map(re.escape, _longest_first([*ours, *OURS])))
    return re.sub(rf"(?<![\w.])(?:{roots}){REST}(?![\w])", _name, text)


def _longest_first(folders: Iterable[Path | str]) -> list[str]:
    absolute = {str(folder) for folder in folders if Path(folder).is_absolute()}
    return sorted(absolute - {"/"}, key=len, reverse=True)


def _name(path: re.Match[str]) -> str:
    return Path(path[0]).name
