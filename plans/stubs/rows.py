"""Rows that a plan writes into a stream of its own: a dataclass that Bluesky can read."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar

import numpy as np

from bl_steer.agents import AXIS_NAMES

__all__ = ["EventNumber", "Row"]


class Row:
    """A readable whose reading is a dataclass instance, one data key for each field.

    Set `value` before each reading; the first one fixes keys and types. An array is written as
    JSON text, null for NaN: tables in SQLite hold no arrays, and Python's JSON keeps every bit.

    Parameters
    ----------
    name : of the object in the documents
    units : unit of each field that has one
    axes : names of the axes that there are; columns of others (``z``, ``best_z``, ``runner_up_z``)
        are left out. None leaves out nothing.
    without : names of columns that are left out as well
    """

    parent: ClassVar[None] = None
    hints: ClassVar[dict[str, Any]] = {"fields": []}

    def __init__(
        self,
        name: str,
        units: dict[str, str] | None = None,
        *,
        axes: Sequence[str] | None = None,
        without: Container[str] = (),
    ) -> None:
        self.name = name
        self.without = without
        self.axes = axes
        self.value: Any = None
        self.units = units or {}

    def read(self) -> dict[str, Any]:
        """Return the current row."""
        now = time.time()
        return {
            field.name: {"value": _plain(getattr(self.value, field.name)), "timestamp": now}
            for field in self._fields()
        }

    def describe(self) -> dict[str, Any]:
        """Describe every field of the row."""
        return {
            field.name: {"source": f"bl_steer:{self.name}"}
            | _kind(getattr(self.value, field.name))
            | ({"units": self.units[field.name]} if field.name in self.units else {})
            for field in self._fields()
        }

    def _fields(self) -> Iterator[Field[Any]]:
        absent = set() if self.axes is None else set(AXIS_NAMES) - set(self.axes)
        return (
            f
            for f in fields(self.value)
            if f.name.rpartition("_")[2] not in absent and f.name not in self.without
        )

    def read_configuration(self) -> dict[str, Any]:
        """Return no configuration."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Return no configuration."""
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return json.dumps(_without_nan(value.tolist()))
    return value.item() if isinstance(value, np.generic) else value


def _without_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nan(number) for number in value]
    return value if math.isfinite(value) else None


def _kind(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"dtype": "boolean", "dtype_numpy": "|b1", "shape": []}
    if isinstance(value, int):
        return {"dtype": "integer", "dtype_numpy": "<i8", "shape": []}
    if isinstance(value, float):
        return {"dtype": "number", "dtype_numpy": "<f8", "shape": []}
    return {"dtype": "string", "shape": []}


class EventNumber:
    """A number that goes into each event, such as that of the point that is measured.

    Parameters
    ----------
    name : of the readable, and its data key
    """

    parent: ClassVar[None] = None
    hints: ClassVar[dict[str, Any]] = {"fields": []}

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = 0

    def read(self) -> dict[str, Any]:
        """Return the number."""
        return {self.name: {"value": self.value, "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        """Describe it."""
        entry = {"source": "bl_steer:plan", "dtype": "integer", "dtype_numpy": "<i8", "shape": []}
        return {self.name: entry}

    def read_configuration(self) -> dict[str, Any]:
        """Return no configuration."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Return no configuration."""
        return {}
