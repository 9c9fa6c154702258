"""Parameters in messages, as each door calls them.

An analysis knows its parameters by the names of Python, and its messages have these: ``give
bar_px`` or ``with unpainted=unlabelled``. A command line has options and a web page has labels, so
what they show goes through `respelled`, the one place that finds such names in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["respelled"]

_PARAMETER = re.compile(
    r"(?<![\w./'\"`=-])"  # in no path, quotation or option
    r"(?:(?P<name>[a-z]\w*)=(?P<value>\([^()=]*\)|[\w+-](?:[\w.+-]*\w)?)|(?P<bare>[a-z][a-z0-9]*(?:_[a-z0-9]+)+))"
    r"(?![\w/'\"`(=]|\.\w)"
)
"""``name=value``, or a name of several words: one of a single word may be plain English."""

_OPTION = re.compile(r"--[\w-]+ \Z")


def respelled(text: str, spell: Callable[[str, str | None], str | None]) -> str:
    """Return a message with each parameter as a door calls it.

    Parameters
    ----------
    spell : takes the name of a parameter and the value beside it, None without one; returns what
        stands for both, None for what is no parameter here

    Examples
    --------
    >>> def option(name, value):
    ...     return f"--{name.replace('_', '-')}" + (f" {value}" if value else "")
    >>> respelled("the last 8 rows look like a bar; give bar_px, or steps=20.", option)
    'the last 8 rows look like a bar; give --bar-px, or --steps 20.'
    >>> respelled("got voxel_size_nm=(0.5, 10.0, 10.0) (should be less)", option)
    'got --voxel-size-nm 0.5,10.0,10.0 (should be less)'
    """

    def replaced(match: re.Match[str]) -> str:
        if _OPTION.search(text, 0, match.start()):
            return match[0]  # the value of an option, as it was typed
        name, value = match["name"] or match["bare"], match["value"]
        if value and value.startswith("("):  # several, as a user types them
            value = value.strip("()").replace(" ", "").rstrip(",")
        return spell(name, value) or match[0]

    return _PARAMETER.sub(replaced, text)
