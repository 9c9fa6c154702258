"""Groups of a NeXus file as its rules want them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import h5py

__all__ = ["TEXT", "new_group", "new_note", "new_plot"]

TEXT = h5py.string_dtype("utf-8")


def new_group(parent: Any, name: str, kind: str) -> Any:
    """Return a new group of a class of NeXus."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def new_plot(entry: Any, name: str, signal: str, axes: list[str]) -> Any:
    """Return a new ``NXdata`` whose signal has these axes; ``"."`` where one has no coordinates."""
    group = new_group(entry, name, "NXdata")
    group.attrs["signal"] = signal
    group.attrs.create("axes", axes, dtype=TEXT)
    for i, axis in enumerate(axes):
        if axis != ".":
            group.attrs[f"{axis}_indices"] = i
    return group


def new_note(parent: Any, name: str, data: Mapping[str, Any]) -> Any:
    """Return a new ``NXnote`` that holds JSON."""
    note = new_group(parent, name, "NXnote")
    note["type"] = "application/json"
    note["data"] = json.dumps(data, default=str)
    return note
