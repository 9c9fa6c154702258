"""Read a recorded map from an .npz file, trusting nothing in it.

`simulators.film.recorded_map.RecordedMap.load` is what users call. Files come from anywhere:
pickles are never loaded, and what cannot be a map is refused in one line that says what to change.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes

__all__ = ["MapFile", "checked_clip", "checked_stride", "read_map"]

UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    BadZipFile,
    zlib.error,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted member
)
"""What NumPy and zipfile raise on a damaged file or on pickles."""


@dataclass(frozen=True)
class MapFile:
    """The arrays of a recorded map, as they are in the file.

    Parameters
    ----------
    name : the file's name without its ending
    x, y : shape (n_y, n_x) or (n,), in `unit`
    values : shape of x, then (), (C,) or (H, W)
    axes : coordinates of the pixels, None where the file holds none
    unit : of x and y
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    values: NDArray[Any]
    axes: FrameAxes | None
    unit: str


def read_map(path: str | Path) -> MapFile:
    """Read x, y, ``patterns`` or ``map``, and the optional axes and units.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a readable .npz without pickles, or an array is missing or misshapen.
    """
    path = Path(path)
    arrays = _read_arrays(path)
    source = "patterns" if "patterns" in arrays else "map"
    missing = [key for key in ("x", "y", source) if key not in arrays]
    if missing:
        wanted = "patterns or map" if source in missing else missing[0]
        raise ValueError(
            f"a recorded map must hold x, y and patterns or map, got {sorted(arrays)} in "
            f"{str(path)!r}; add {wanted}"
        )
    x, y, values = arrays["x"], arrays["y"], arrays[source]
    for name in ("x", "y", source):
        if arrays[name].dtype.kind not in "fiu":
            raise ValueError(
                f"{name} must be real numbers, got {arrays[name].dtype} in {str(path)!r}; "
                "save it as float or integer"
            )
    if x.shape != y.shape or values.shape[: x.ndim] != x.shape:
        raise ValueError(
            f"x, y and {source} must have one shape of points, got {x.shape}, {y.shape} and "
            f"{values.shape} in {str(path)!r}; give all three for every point"
        )
    axes = _read_axes(arrays, values.shape[x.ndim :], path)
    return MapFile(path.stem, x, y, values, axes, _text(arrays, "unit_xy", "px"))


def checked_clip(clip: float | None) -> None:
    """Refuse a percentile outside (0, 100]."""
    if clip is not None and not 0.0 < clip <= 100.0:
        raise ValueError(f"clip must be a percentile above 0, up to 100, got {clip:g}; try 99.9")


def checked_stride(stride: int) -> None:
    """Refuse a stride below 1."""
    if isinstance(stride, bool) or not isinstance(stride, int | np.integer) or stride < 1:
        raise ValueError(f"stride must be an integer of at least 1, got {stride!r}; try 1")


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.exists():
        raise FileNotFoundError(f"a recorded map must exist, got {str(path)!r}; check the path")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("a single array")
            with loaded:
                return {key: loaded[key] for key in loaded.files}
    except UNREADABLE as error:
        # numpy's first sentence; the next one recommends to load pickles all the same
        reason = " ".join(str(error).split()).split(". ")[0] or type(error).__name__
        raise ValueError(
            f"a recorded map must be a whole .npz file without pickled objects, got "
            f"{str(path)!r} ({reason}); save it anew with numpy.savez"
        ) from error


def _read_axes(
    arrays: dict[str, NDArray[Any]], pixels: tuple[int, ...], path: Path
) -> FrameAxes | None:
    """Return the pixels' coordinates: ``axis`` of spectra, ``qx`` and ``qz`` of frames."""
    names = {1: ("axis",), 2: ("qx", "qz")}.get(len(pixels), ())
    if not names or not any(name in arrays for name in names):
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
        unit = _text(arrays, "axis_unit", "channel")
        return FrameAxes(arrays["axis"].astype(float), np.zeros(1), unit)
    unit = _text(arrays, "axis_unit", "1/Å")
    return FrameAxes(arrays["qx"].astype(float), arrays["qz"].astype(float), unit)


def _text(arrays: dict[str, NDArray[Any]], key: str, default: str) -> str:
    """Return a text saved as an array of one element."""
    value = arrays.get(key)
    return str(value.item()) if value is not None and value.size == 1 else default
