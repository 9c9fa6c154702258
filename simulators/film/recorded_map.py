"""A map that was measured somewhere, replayed as a sample: look up instead of compute.

The same interface as `simulators.film.sige_film.SigeFilm`, over the arrays of an .npz file: x, y
and ``patterns`` or ``map``, on a regular grid or scattered. `bl_steer.files.maps` reads and checks
the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import KDTree

from bl_steer.diffraction import FrameAxes
from bl_steer.files.maps.any_map import read_any_map
from bl_steer.files.maps.map_file import checked_clip, checked_stride
from bl_steer.files.maps.marks import like_marks, without_marks
from bl_steer.files.maps.regular_grid import in_order, regular_grid
from bl_steer.protocols import Array
from simulators.film.sample import check_exposure, checked_places

__all__ = ["Interpolation", "RecordedMap"]

Interpolation = Literal["nearest", "linear"]
MIN_POINTS = 4
REMEDY = "give --missing={mark} (missing=[{mark}])"


class RecordedMap:
    """A recorded map under the beam; see `simulators.film.sample.Sample` for what it answers.

    Parameters
    ----------
    x, y : shape (n_y, n_x) or (n,), positions, in `unit`
    values : shape of x for a map of numbers, (..., C) for spectra, (..., H, W) for frames
    axes : the pixels of a frame; pixel numbers by default
    unit : of x and y
    name : what to call the map
    interpolation : ``"nearest"`` gives the nearest recorded point, anywhere, outside the map too;
        ``"linear"`` interpolates bilinearly, on a regular grid only, and holds the edge's value
        outside

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, positions coincide, or there are fewer than 4.

    Notes
    -----
    Values are replayed as recorded, whatever the exposure time, with no further noise: the monitor
    reports the nominal beam, so that the normalised pattern is the recorded one. Negative values
    (a subtracted background) stay; features that need counts clip them at zero themselves.
    """

    nominal_monitor = 1.0e6
    """Counts/s of the beam monitor at the nominal beam."""

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        values: ArrayLike,
        *,
        axes: FrameAxes | None = None,
        unit: str = "px",
        name: str = "recorded",
        interpolation: Interpolation = "nearest",
    ) -> None:
        if interpolation not in get_args(Interpolation):
            raise ValueError(
                f"interpolation must be nearest or linear, got {interpolation!r}; choose one"
            )
        columns, rows, frames = _checked(np.asarray(x), np.asarray(y), np.asarray(values))
        self.name, self.unit, self.unit_y = name, unit, unit
        self.n_empty, self.layout = 0, ""
        self.notes: tuple[str, ...] = ()
        self.interpolation: Interpolation = interpolation
        self.axes = FrameAxes.channels(frames.shape[-2:]) if axes is None else axes
        if self.axes.shape != frames.shape[-2:]:
            raise ValueError(
                f"axes must have the frames' shape {frames.shape[-2:]}, got {self.axes.shape}; "
                "give one coordinate for each row and column"
            )
        x, y = columns.ravel(), rows.ravel()
        self._shape, order = None, in_order(x, y)
        if grid := regular_grid(x, y):
            self._shape, order = (len(grid.y), len(grid.x)), grid.order.ravel()
            x[order], y[order] = (axis.ravel() for axis in np.meshgrid(grid.x, grid.y))
        self._x, self._y = x[order], y[order]
        self._frames = frames.reshape(-1, *frames.shape[-2:])[order]
        self._lookup = self._build_lookup()

    @classmethod
    def load(
        cls,
        path: str | Path,
        clip: float | None = None,
        stride: int = 1,
        *,
        missing: Sequence[float] = (),
        interpolation: Interpolation = "nearest",
    ) -> Self:
        """Load a recorded map.

        Parameters
        ----------
        path : .npz with x, y and ``patterns`` or ``map`` (``patterns`` wins where both are
            there), and optionally ``axis`` (spectra) or ``qx`` and ``qz`` (frames), ``axis_unit``
            and ``unit_xy``; pickles are refused. Or a table, HDF5 or .npy, see
            `bl_steer.files.maps.any_map`. Points without a value, NaN, are left out
        clip : percentile of all values, in (0, 100]; higher values are cut down to it, against
            single hot outliers
        stride : take every stride-th point, along both directions of a grid
        missing : values that mark what was not measured, such as -999; they count as NaN
        interpolation : see the class

        Returns
        -------
        sample : its ``notes`` say what was decided in reading the file, and which values may mark
            what was not measured

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file cannot be read or what it holds is no map; in one line.
        """
        checked_clip(clip)
        checked_stride(stride)
        recorded = read_any_map(path)
        x, y = recorded.x, recorded.y
        values = without_marks(recorded.values, missing, recorded.name)
        notes = list(recorded.notes)
        if values.ndim - x.ndim < 2:  # the pixels of frames are judged where they are used
            notes += like_marks(values, REMEDY)
        if values.ndim > x.ndim and (n_dark := _n_dark(values, x.ndim)):
            notes.append(
                f"{n_dark} of {x.size} places hold 0 in all their cells: where they were not "
                "measured, leave them out of the file"
            )
        n_unplaced = 0
        if x.ndim == 1:  # a scan that was cut short has neither places nor values at its end
            placed = np.isfinite(x) & np.isfinite(y) | ~_is_empty(values, x.ndim)
            n_unplaced = int((~placed).sum())
            x, y, values = x[placed], y[placed], values[placed]
        if x.ndim == 1 and (grid := regular_grid(x, y)) and grid.order.size == x.size:
            x, y, values = x[grid.order], y[grid.order], values[grid.order]
        every = (slice(None, None, stride),) * x.ndim
        x, y, values = x[every], y[every], values[every]
        if x.size < MIN_POINTS:
            raise ValueError(
                f"a recorded map must keep at least {MIN_POINTS} points, got "
                f"{x.size} of {recorded.x.size} with stride {stride} "
                f"in {recorded.name!r}; {'lower the stride' if stride > 1 else 'record more'}"
            )
        empty = _is_empty(values, x.ndim)
        if values.size and empty.all():
            raise ValueError(
                f"a map must hold values, got {x.size} places without any in {recorded.name!r}; "
                "it may never have been written, or --missing be wrong"
            )
        if MIN_POINTS <= (~empty).sum() < x.size:
            x, y, values = x[~empty], y[~empty], values[~empty]
        if clip is not None:
            limit = np.nanpercentile(values, clip)
            values = np.minimum(values, limit.astype(values.dtype))
        sample = cls(
            x,
            y,
            values,
            axes=recorded.axes,
            unit=recorded.unit or "px",
            name=recorded.name,
            interpolation=interpolation,
        )
        sample.unit_y, sample.layout = recorded.unit_y or sample.unit, recorded.layout
        sample.n_empty = n_unplaced + (int(empty.sum()) if x.size < empty.size else 0)
        if recorded.unit is None and recorded.unit_y is None:
            notes.append("the file gives no unit of x and y: px stands for it")
        else:
            notes += [
                f"the file gives no unit of {axis}: {taken} stands for it"
                for axis, given, taken in (
                    ("x", recorded.unit, sample.unit),
                    ("y", recorded.unit_y, sample.unit_y),
                )
                if given is None
            ]
        sample.notes = tuple(notes)
        return sample

    def __str__(self) -> str:
        """Return in one line what the map was taken for."""
        height, width = self.axes.shape
        shape = "numbers" if height * width == 1 else f"spectra of {width} channels"
        values = shape if height == 1 else f"frames of {height} x {width} pixels"
        grid = regular_grid(self._x, self._y, holes=True)
        n, empty = len(self._x), f", {self.n_empty} empty cells left out" if self.n_empty else ""
        steps = ["", ""]
        points = f"{n} scattered points"
        if grid is not None:
            points = f"{len(grid.x)} x {len(grid.y)} grid, {n} points"
            steps = [f" in steps of {np.ptp(a) / max(len(a) - 1, 1):.4g}" for a in (grid.x, grid.y)]
        spans = [
            f"{axis} {values.min():.6g} to {values.max():.6g} {unit}{step}"
            for axis, values, unit, step in zip(
                "xy", (self._x, self._y), (self.unit, self.unit_y), steps, strict=True
            )
        ]
        layout = f", read as {self.layout}" if self.layout else ""
        return f"{self.name}: {values}, {points}{empty}, {', '.join(spans)}{layout}"

    @property
    def grid(self) -> tuple[Array, Array]:
        """Coordinates of the points, each (n,), in `unit`, by y and then x, ascending.

        Whatever the order in which they were recorded.
        """
        return self._x.copy(), self._y.copy()

    @property
    def grid_shape(self) -> tuple[int, int] | None:
        """Shape (n_y, n_x) of a regular grid, None for scattered points."""
        return self._shape

    def rates(self, x: Array, y: Array, *, rocking_deg: float = 0.0) -> Array:
        """Return the recorded values at the positions, (n, H, W), as recorded at any angle."""
        x, y = checked_places(x, y)
        if self.interpolation == "nearest":
            nearest = self._lookup.query(np.stack([x, y], axis=1))[1]
            return np.asarray(self._frames[nearest], dtype=float)
        positions = [np.clip(u, edge.min(), edge.max()) for u, edge in ((y, self._y), (x, self._x))]
        return np.asarray(self._lookup(np.stack(positions, axis=1)), dtype=float)

    def expose(
        self,
        x: float,
        y: float,
        *,
        exposure_s: float,
        time_s: float,
        shot: int,
        rocking_deg: float = 0.0,
    ) -> tuple[NDArray[np.float64], float]:
        """Return the recorded frame (H, W) and the monitor counts of the nominal beam.

        `time_s`, `shot` and `rocking_deg` change nothing: there is no drift, no noise but the
        recorded one, and no angle but that of the record.
        """
        check_exposure(exposure_s, shot)
        return self.rates(np.array([x]), np.array([y]))[0], self.nominal_monitor * exposure_s

    def _build_lookup(self) -> Any:
        if self.interpolation == "nearest":
            return KDTree(np.stack([self._x, self._y], axis=1))
        if self._shape is None or min(self._shape) < 2:
            raise ValueError(
                "interpolation linear must have a regular grid of at least 2 by 2 points, got "
                f"{len(self._x)} points in {self.name!r} without one; take nearest"
            )
        n_y, n_x = self._shape
        frames = self._frames.reshape(n_y, n_x, *self.axes.shape).astype(float)
        return RegularGridInterpolator((self._y[::n_x], self._x[:n_x]), frames)


def _is_empty(values: NDArray[Any], n_axes: int) -> NDArray[np.bool_]:
    """Return at which places, along the first axes, nothing has a value."""
    absent: NDArray[np.bool_] = np.isnan(values).reshape(*values.shape[:n_axes], -1)
    return np.asarray(absent.all(axis=-1))


def _n_dark(values: NDArray[Any], n_axes: int) -> int:
    """Return at how many places all cells are 0, where others are not."""
    dark = ~values.reshape(*values.shape[:n_axes], -1).any(axis=-1)
    return 0 if dark.all() else int(dark.sum())


def _checked(x: NDArray[Any], y: NDArray[Any], values: NDArray[Any]) -> tuple[Array, Array, Any]:
    """Return x and y as floats and the values as frames (*x.shape, H, W)."""
    if x.shape != y.shape or x.ndim not in (1, 2):
        raise ValueError(
            f"x and y must have one shape, (n_y, n_x) or (n,), got {x.shape} and {y.shape}; "
            "give both for every point"
        )
    if x.size < MIN_POINTS:
        raise ValueError(
            f"a recorded map must have at least {MIN_POINTS} points, got {x.size}; record more"
        )
    pixels = values.ndim - x.ndim
    if values.shape[: x.ndim] != x.shape or pixels not in (0, 1, 2) or 0 in values.shape:
        raise ValueError(
            f"values must have the shape of x, {x.shape}, then (), (C,) or (H, W), "
            f"got {values.shape}; give one value, spectrum or frame for each point"
        )
    for name, array in (("x", x), ("y", y), ("values", values)):
        if array.dtype.kind not in "fiu":
            raise ValueError(
                f"{name} must be real numbers, got {array.dtype}; save them as float or integer"
            )
        if not np.isfinite(array).all():
            bad = int(np.count_nonzero(~np.isfinite(array)))
            raise ValueError(
                f"{name} must be finite, got {bad} NaN or infinite of {array.size}; "
                "fill these or leave their points out"
            )
    distinct = len(np.unique(np.stack([x.ravel(), y.ravel()], axis=1), axis=0))
    if distinct < x.size:
        raise ValueError(
            f"points must differ in x or y, got {distinct} different positions for {x.size} "
            "points; average the repeats"
        )
    # A number is a frame of (1, 1), a spectrum one of (1, C).
    frame_shape = (1, 1, *values.shape[x.ndim :])[-2:]
    return x.astype(float), y.astype(float), values.reshape(*x.shape, *frame_shape)
