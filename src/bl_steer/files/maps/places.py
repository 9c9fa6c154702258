"""Where the values of a map lie: x and y of every value, from their axes or from each point's own.

The readers of ``.npz``, ``.npy`` and HDF5 share this rule, so that a map is the same in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Order", "Places", "places_of"]

Order = Literal["yx", "xy"]
"""Which axis the first dimension of an array of values follows, and which the second."""
OF_PATTERNS = ("patterns", "spectra", "frames")
"""Names of arrays that hold a spectrum or a frame for each point."""


@dataclass(frozen=True, eq=False)
class Places:
    """Positions of a map's values.

    Attributes
    ----------
    x, y : in one shape, (n,) or that of the first two dimensions of the values
    layout : how the dimensions were taken, such as ``map[y, x]``; empty where each point has its
        own x and y
    notes : what was decided where either could be meant, one line each
    """

    x: NDArray[Any]
    y: NDArray[Any]
    layout: str = ""
    notes: tuple[str, ...] = ()


def places_of(
    x: NDArray[Any],
    y: NDArray[Any],
    values: NDArray[Any],
    path: Path,
    *,
    source: str,
    declared: Order | None = None,
    n_channels: int | None = None,
    of_frames: bool = False,
) -> Places:
    """Return x and y of every value.

    Parameters
    ----------
    x, y : of each point, in one shape, (n,) or (n_y, n_x); or the axes of a grid, (n_x,) and (n_y,)
    values : shape (n, …), (n_y, n_x, …) or (n_x, n_y, …)
    path : of the file, for errors
    source : what the file calls the values
    declared : the order of the axes where the file says that they are axes
    n_channels : length of the axis of spectra, where the file has one
    of_frames : the file has coordinates of a frame's rows and columns

    Raises
    ------
    ValueError
        When shapes disagree, there are no points, or a grid cannot be told from a list of frames.

    Notes
    -----
    Where lengths differ the shape decides; of a square map the first dimension follows y, unless
    the file declares it otherwise. As many points as channels, with axes that only rise or fall,
    are a grid of numbers; with other x or y they are scattered points with a spectrum each.

    Examples
    --------
    >>> places_of(np.arange(3), np.arange(2), np.ones((3, 2)), Path("a.npz"), source="map").layout
    'map[x, y]'
    """
    shape = values.shape
    got = f"x {x.shape}, y {y.shape} and {source} {shape} in {str(path)!r}"
    is_list = x.ndim in (1, 2) and x.shape == y.shape == shape[: x.ndim]
    order = _order(x, y, shape, declared) if x.ndim == y.ndim == 1 else None
    notes: tuple[str, ...] = ()
    if is_list and order and declared is None:
        crooked = [name for name, axis in (("x", x), ("y", y)) if not _is_axis(axis)]
        is_list = _is_list(shape, source, crooked, n_channels, of_frames, got)
        if is_list and crooked and source not in OF_PATTERNS:
            notes = (
                f"{' and '.join(crooked)} neither only rises nor only falls: {shape[0]} scattered "
                f"points, {source}[i] the pattern of each; for a grid give its axes",
            )
    elif order:
        is_list = False
    if is_list:
        layout = ""
    elif order:
        x, y = np.meshgrid(x, y, indexing="xy" if order == "yx" else "ij")
        layout = f"{source}[{', '.join(order)}]"
    else:
        raise ValueError(
            f"x, y and {source} must have one shape of points, got {got}; give x and y for each "
            "point, or the axes of a grid"
        )
    if not x.size:
        raise ValueError(f"a recorded map must hold points, got none: {got}; record some")
    return Places(x, y, layout, notes)


def _order(
    x: NDArray[Any], y: NDArray[Any], shape: tuple[int, ...], declared: Order | None
) -> Order | None:
    """Return the order in which axes fit the first two dimensions, None where neither does."""
    lengths: dict[Order, tuple[int, int]] = {"yx": (len(y), len(x)), "xy": (len(x), len(y))}
    fitting: list[Order] = [order for order, pair in lengths.items() if shape[:2] == pair]
    return declared if declared in fitting else next(iter(fitting), None)


def _is_axis(axis: NDArray[Any]) -> bool:
    steps = np.diff(axis.astype(float))
    return bool((steps > 0).all() or (steps < 0).all())


def _is_list(
    shape: tuple[int, ...],
    source: str,
    crooked: list[str],
    n_channels: int | None,
    of_frames: bool,
    got: str,
) -> bool:
    """Return whether n points come with n channels or rows each, or (n, n) is a square grid."""
    if len(shape) == 2:
        return bool(crooked) or source in OF_PATTERNS or n_channels == shape[1]
    if len(shape) > 3:
        return False
    frames = of_frames or source == "frames"
    spectra = n_channels == shape[2] or source == "spectra"
    if frames == spectra and not crooked:
        raise ValueError(
            f"a map must be a list of frames or a grid of spectra, got {got}, which may be "
            f"either; give x and y {shape[:2]} for a grid, qx and qz for frames"
        )
    return frames if frames != spectra else True
