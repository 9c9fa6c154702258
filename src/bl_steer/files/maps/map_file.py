"""Recorded maps from .npz files, for replay and for the analysis of components alike.

`simulators.film.recorded_map.RecordedMap.load` and `bl_steer.files.map_inputs` are what users
call; tables of points are read by `bl_steer.files.maps.points`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.files.archives import read_archive, text_of
from bl_steer.files.errors import listed
from bl_steer.files.maps.places import places_of

__all__ = ["MapFile", "check_real", "checked_clip", "checked_stride", "read_map"]


@dataclass(frozen=True)
class MapFile:
    """The arrays of a recorded map, as they are in the file.

    Parameters
    ----------
    name : the file's name without its ending
    x, y : shape (n_y, n_x) or (n,), in `unit`
    values : shape of x, then (), (C,) or (H, W)
    axes : coordinates of the pixels, None where the file holds none
    unit, unit_y : of x and of y; None where the file does not say
    notes : what was decided or left out in reading it, one line each
    layout : how the dimensions of a grid with axes were taken, such as ``map[y, x]``
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    values: NDArray[Any]
    axes: FrameAxes | None
    unit: str | None
    unit_y: str | None = None
    notes: tuple[str, ...] = ()
    layout: str = ""


def read_map(path: str | Path) -> MapFile:
    """Read x, y, ``patterns`` or ``map``, and the optional axes and units.

    Points may be a list, x and y (n,), or a grid, x and y (n_y, n_x) or its axes (n_x,) and (n_y,);
    `bl_steer.files.maps.places` tells these apart.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a readable .npz without pickles, or an array is missing or misshapen.
    """
    path = Path(path)
    arrays = read_archive(path)
    source = "patterns" if "patterns" in arrays else "map"
    if missing := [key for key in ("x", "y", source) if key not in arrays]:
        needed = "patterns or map" if source in missing else missing[0]
        raise ValueError(
            f"a recorded map must hold x, y and patterns or map, got {listed(sorted(arrays))} in "
            f"{str(path)!r}; add {needed}"
        )
    for name in ("x", "y", source):
        check_real(name, arrays[name], path)
    values = arrays[source]
    axis = arrays.get("axis", values[:0])
    placed = places_of(
        arrays["x"],
        arrays["y"],
        values,
        path,
        source=source,
        n_channels=axis.size if axis.ndim == 1 and axis.size else None,
        of_frames="qx" in arrays,
    )
    axes = _read_axes(arrays, values.shape[placed.x.ndim :], path)
    unit = text_of(arrays, "unit_xy")
    return MapFile(
        path.stem, placed.x, placed.y, values, axes, unit, unit, placed.notes, placed.layout
    )


def check_real(name: str, array: NDArray[Any], path: Path) -> None:
    """Refuse an array of anything but real numbers."""
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must be real numbers, got {array.dtype} in {str(path)!r}; "
            "save it as float or integer"
        )


def checked_clip(clip: float | None) -> None:
    """Refuse a percentile outside (0, 100]."""
    if clip is not None and not 0.0 < clip <= 100.0:
        raise ValueError(f"clip must be a percentile above 0, up to 100, got {clip:g}; try 99.9")


def checked_stride(stride: int) -> None:
    """Refuse a stride below 1."""
    if isinstance(stride, bool) or not isinstance(stride, int | np.integer) or stride < 1:
        raise ValueError(f"stride must be an integer of at least 1, got {stride!r}; try 1")


def _read_axes(
    arrays: dict[str, NDArray[Any]], pixels: tuple[int, ...], path: Path
) -> FrameAxes | None:
    """Return the pixels' coordinates: ``axis`` of spectra, ``qx`` and ``qz`` of frames.

    Spectra may also have qx and qz, as frames of one row.
    """
    if len(pixels) == 1 and ("axis" in arrays or not {"qx", "qz"} & set(arrays)):
        names: tuple[str, ...] = ("axis",)
    else:
        names = ("qx", "qz")
        pixels = (1, *pixels) if len(pixels) == 1 else pixels
    if len(pixels) not in (1, 2) or not any(name in arrays for name in names):
        return None
    lengths = dict(zip(names, reversed(pixels), strict=True))
    for name, length in lengths.items():
        axis = arrays.get(name)
        if axis is None or axis.shape != (length,) or axis.dtype.kind not in "fiu":
            got = "none" if axis is None else f"{axis.dtype} of shape {axis.shape}"
            raise ValueError(
                f"{name} must hold {length} real numbers, one for each pixel, got {got} in "
                f"{str(path)!r}; correct it, or leave the axes out"
            )
        if not np.isfinite(axis).all():
            raise ValueError(
                f"{name} must be finite, got NaN or infinite values in {str(path)!r}; "
                "correct it, or leave the axes out"
            )
    if len(pixels) == 1:
        unit = text_of(arrays, "axis_unit") or "channel"
        return FrameAxes(arrays["axis"].astype(float), np.zeros(1), unit)
    unit = text_of(arrays, "axis_unit") or "1/Å"
    return FrameAxes(arrays["qx"].astype(float), arrays["qz"].astype(float), unit)
