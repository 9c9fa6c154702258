"""Which datasets of an HDF5 group are a map: its signal, its axes, and which axis is x.

`bl_steer.files.maps.any_map` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from bl_steer.files.maps.column_names import VALUE_NAMES, plain_name, recognized
from bl_steer.files.maps.hdf5 import text_of_attribute
from bl_steer.files.maps.places import Order

__all__ = ["MapData", "map_data"]

SIGNALS = ("patterns", *VALUE_NAMES, "data", "signal", "spectra", "frames")
"""What the values may be called in HDF5, the most certain first."""


@dataclass(frozen=True)
class MapData:
    """The names of a map's datasets in a group.

    Attributes
    ----------
    signal, x, y : names
    channels : name of the axis of spectra, empty where there is none
    declared : the order of x and y in the signal's dimensions, where the group declares its axes
    spectral : which of the signal's dimensions is that of the channels, where it is declared
    """

    signal: str
    x: str
    y: str
    channels: str = ""
    declared: Order | None = None
    spectral: int | None = None


def map_data(group: h5py.Group) -> MapData | None:
    """Return what is what in a group; None where it holds no map.

    Of a NeXus ``NXdata`` the attribute ``axes`` tells which dimension is which axis, and the axes'
    names which is x: ``x`` and ``y`` or these as a word or as the last letter (``stage_x``,
    ``samx``). Where no name tells, the first dimension is y.

    References
    ----------
    NeXus definitions, NXdata, attributes ``signal`` and ``axes``.
    """
    members = {name for name in group if isinstance(group.get(name), h5py.Dataset)}
    signal, axes = text_of_attribute(group.attrs.get("signal")), group.attrs.get("axes")
    if signal is not None and signal in members and axes is not None:
        names = [text_of_attribute(name) or "" for name in np.atleast_1d(axes)]
        rank = group[signal].ndim
        spectral = _spectral(names) if len(names) == rank == 3 else None
        places = [name for n, name in enumerate(names) if n != spectral][:2]
        if len(places) == 2 and all(name in members for name in places):
            x, y = _roles(places)
            channels = names[spectral] if spectral is not None else ""
            return MapData(
                signal,
                x,
                y,
                channels if channels in members else "",
                "yx" if places == [y, x] else "xy",
                spectral,
            )
    plain = {name.lower(): name for name in members}
    signals = [plain[name] for name in SIGNALS if name in plain]
    if {"x", "y"} <= set(plain) and signals:
        rank = group[signals[0]].ndim - max(group[plain["x"]].ndim, 1)
        channels = plain.get("axis", plain.get("energy", "")) if rank >= 1 else ""
        return MapData(signals[0], plain["x"], plain["y"], channels)
    return None


def _spectral(names: Sequence[str]) -> int:
    """Return which of three axes is that of the channels: the one beside x and y, or the last."""
    known = recognized(names)
    others = [n for n, name in enumerate(names) if name not in (known.get("x"), known.get("y"))]
    return others[0] if len(others) == 1 else 2


def _roles(names: Sequence[str]) -> tuple[str, str]:
    """Return which of two axes, in the order of the dimensions, are x and y."""
    known = recognized(names)
    for key in ("x", "y"):
        last = [name for name in names if plain_name(name).endswith(key)]
        if key not in known and len(last) == 1:
            known[key] = last[0]
    y, x = names
    if known.get("x") == y or (known.get("y") == x and "x" not in known):
        return y, x
    return x, y
