"""Groups of a NeXus file as its rules want them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py

import bl_steer
from bl_steer.files.atomic import draft_of
from bl_steer.protocols import Array

__all__ = ["TEXT", "new_group", "new_map_in_q", "new_nexus", "new_note", "new_plot"]

TEXT = h5py.string_dtype("utf-8")


@contextmanager
def new_nexus(path: Path) -> Iterator[Any]:
    """Write a file in place of one that is there; yield its ``NXentry``."""
    with draft_of(path) as draft, h5py.File(draft, "w") as file:
        file.attrs.update(
            NX_class="NXroot",
            default="entry",
            file_name=path.name,
            file_time=datetime.now().astimezone().isoformat(),
            creator=f"bl_steer {bl_steer.__version__}",
        )
        yield new_group(file, "entry", "NXentry")


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


def new_map_in_q(
    entry: Any, name: str, signals: Sequence[str], axes: Mapping[str, Array], *, over: str = ""
) -> Any:
    """Return a new plot of the first of `signals` over axes of q, 1/Å, for each of `over`."""
    group = new_plot(entry, name, signals[0], [*[over] * bool(over), *axes])
    group.attrs.create("auxiliary_signals", signals[1:], dtype=TEXT)
    for axis, centres in axes.items():
        group[axis] = centres
        group[axis].attrs.update(units="1/angstrom", long_name=f"{axis} (1/Å, with 2π)")
    return group


def new_note(parent: Any, name: str, data: Mapping[str, Any]) -> Any:
    """Return a new ``NXnote`` that holds JSON."""
    note = new_group(parent, name, "NXnote")
    note["type"] = "application/json"
    note["data"] = json.dumps(data, default=str)
    return note
