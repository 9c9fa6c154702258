"""The metadata of a run: what a user may say in it, and what of it can be stored exactly.

`RunMetadata` is what outlives a session. Plans check their ``md`` here before the first message, a
session all that enters a run's start document, and ``RE.md`` every value that it is given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bl_steer.store.record import _plain

__all__ = ["RESERVED", "as_json", "check_md", "check_reserved", "check_storable", "merge_sample"]

RESERVED = frozenset(
    {
        # written by the plans
        "conditions",
        "detectors",
        "hints",
        "motors",
        "num_points",
        "plan_name",
        "slices",
        "steering",
        "versions",
        # by the RunEngine
        "plan_type",
        "scan_id",
        "time",
        "uid",
        # of runs that hold an analysis
        "analysis",
    }
)
"""Keys of the start document that no user may give: readers would take them for the plan's."""
LARGEST = 2**53 - 1
"""Tiled cuts numbers beyond it down to it, as JSON's may be no larger everywhere."""
NOT_IN_KEYS = "./"
"""The event model keeps these from keys, in which they would read as a path."""


def check_md(md: Mapping[str, Any] | None) -> None:
    """Refuse metadata that a plan was given, before its first message.

    Raises
    ------
    ValueError
        Naming every key that is reserved, and every value that cannot be stored exactly.
    """
    if md is not None and not isinstance(md, Mapping):
        raise ValueError(
            f"md must be a dictionary of metadata, got {md!r}; try md={{'operator': 'me'}}"
        )
    check_reserved(md or {}, "md")
    check_storable(md or {}, "md")


def check_reserved(md: Mapping[str, Any], name: str) -> None:
    """Refuse keys that the plans and the RunEngine write; `name` is what holds them."""
    if reserved := sorted(RESERVED & md.keys()):
        raise ValueError(
            f"{name} must not hold what the plan itself writes, got the reserved "
            f"{', '.join(map(repr, reserved))}; choose other names"
        )


def check_storable(md: Mapping[str, Any], name: str) -> None:
    """Refuse values that would not read back as they were; `name` is what holds them.

    Numpy arrays and numbers, tuples, sets and paths are stored as lists, numbers and text.

    Raises
    ------
    ValueError
        For NaN, infinities and numbers beyond 2⁵³ - 1, keys that are no plain text, and objects
        that JSON cannot hold.
    """
    if problems := list(_problems(md, name)):
        raise ValueError(f"{'; '.join(problems)}; write it as text, or leave it out")


def as_json(md: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as they read back: sets sorted, arrays and tuples as lists, paths as text.

    Record, catalogue and callbacks then hold the same.
    """
    return dict(json.loads(json.dumps(dict(md), default=_plain)))


def merge_sample(known: Mapping[str, Any], own: Any) -> dict[str, Any]:
    """Return what is known of a sample with the user's `own` words on it; the user's keys win.

    A text is the sample's name. Dictionaries within are merged as well.

    >>> merge_sample({"name": "film", "cell": {"a": 1, "b": 2}}, {"cell": {"a": 3}, "batch": 7})
    {'name': 'film', 'cell': {'a': 3, 'b': 2}, 'batch': 7}
    >>> merge_sample({"name": "film", "unit": "um"}, "SiGe-07")
    {'name': 'SiGe-07', 'unit': 'um'}

    Raises
    ------
    ValueError
        When the user's is neither a text nor a dictionary.
    """
    if isinstance(own, str):
        own = {"name": own}
    if not isinstance(own, Mapping):
        raise ValueError(
            f"a sample must be a name or a dictionary, got {own!r}; try "
            "md={'sample': {'name': 'SiGe-07'}}"
        )
    return _merge(known, own)


def _merge(known: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merge(known[key], value)
        for key, value in own.items()
        if isinstance(value, Mapping) and isinstance(known.get(key), Mapping)
    }
    return {**known, **own, **both}


def _problems(value: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with a value and all that it holds."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _key_problems(key, path)
            yield from _problems(item, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple | set | frozenset):
        if isinstance(value, set | frozenset) and len({type(item) for item in value}) > 1:
            yield f"{path} must be a set of values of one kind, got {value!r}"
        for number, item in enumerate(value):
            yield from _problems(item, f"{path}[{number}]")
    elif isinstance(value, int | float):
        if not abs(value) <= LARGEST:  # nor NaN
            yield f"{path} must be finite and at most 2⁵³ - 1 in size, got {value}"
    elif isinstance(value, str):
        if not _is_unicode(value):
            yield f"{path} must be Unicode text, got {value!r}"
    elif value is not None and not isinstance(value, os.PathLike):
        yield f"{path} must be what JSON can hold, got {value!r} of type {type(value).__name__}"


def _key_problems(key: Any, path: str) -> Iterator[str]:
    if not isinstance(key, str) or not key or set(NOT_IN_KEYS) & set(key) or not _is_unicode(key):
        yield f"keys of {path} must be text without '.' and '/', got {key!r}"


def _is_unicode(text: str) -> bool:
    """Return whether a text can be written to a file: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
