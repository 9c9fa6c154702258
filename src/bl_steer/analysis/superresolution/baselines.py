"""What a super-resolution must beat: interpolation along z, of grey levels and of labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from bl_steer.protocols import Array

__all__ = ["GREY_BASELINES", "lanczos", "linear", "nearest", "signed_distance"]

Values = NDArray[np.float32]
LANCZOS_LOBES = 3


def nearest(slices: NDArray[np.generic], factor: int) -> NDArray[np.generic]:
    """Return the nearest slice for each plane, of two equally near the first; (N, H, W).

    Parameters
    ----------
    slices : (n, H, W), of any type
    factor : planes for each interval of slices; N = (n-1)·factor + 1
    """
    chosen = np.ceil(_positions(len(slices), factor) - 0.5 - 1e-9).astype(int)
    return np.asarray(slices[chosen])


def linear(slices: NDArray[np.generic], factor: int) -> Values:
    """Return the straight line between the two slices around each plane; (N, H, W)."""
    return _weighted(slices, factor, 1, lambda u: np.clip(1 - np.abs(u), 0, None))


def lanczos(slices: NDArray[np.generic], factor: int) -> Values:
    """Return Lanczos' interpolation along z with three lobes; (N, H, W).

    Beyond the first and last slice there is none: the weights of the others make up for it.
    """

    def kernel(u: Array) -> Array:
        return np.where(np.abs(u) < LANCZOS_LOBES, np.sinc(u) * np.sinc(u / LANCZOS_LOBES), 0.0)

    return _weighted(slices, factor, LANCZOS_LOBES, kernel)


def signed_distance(labels: NDArray[np.uint8], factor: int, n_phases: int) -> NDArray[np.uint8]:
    """Return the phase with the largest linearly interpolated signed distance; (N, H, W).

    Notes
    -----
    Shape-based interpolation: Raya and Udupa (1990), DOI 10.1109/42.52980, for several phases. In
    each slice, the distance to a phase's edge is positive inside it. A slice without the phase, or
    with nothing else, counts as one pitch away from it (with voxels of one edge).
    """
    best = np.full(((len(labels) - 1) * factor + 1, *labels.shape[1:]), -np.inf, np.float32)
    phases = np.zeros(best.shape, np.uint8)
    for phase in range(n_phases):
        height = linear(np.stack([_height(plane == phase, factor) for plane in labels]), factor)
        better = height > best
        best[better] = height[better]
        phases[better] = phase
    return phases


GREY_BASELINES: dict[str, Callable[[NDArray[np.generic], int], NDArray[np.generic]]] = {
    "nearest": nearest,
    "linear": linear,
    "lanczos": lanczos,
}


def _height(inside: NDArray[np.bool_], pitch: int) -> Values:
    """Return the distance to the edge, positive inside, px."""
    if inside.all() or not inside.any():
        return np.full(inside.shape, pitch if inside.all() else -pitch, np.float32)
    distance = distance_transform_edt(inside) - distance_transform_edt(~inside)
    return np.asarray(distance, np.float32)


def _positions(n_slices: int, factor: int) -> Array:
    """Return where each plane lies, in slices."""
    return np.arange((n_slices - 1) * factor + 1) / factor


def _weighted(
    slices: NDArray[np.generic], factor: int, reach: int, kernel: Callable[[Array], Array]
) -> Values:
    positions = _positions(len(slices), factor)
    out = np.empty((len(positions), *slices.shape[1:]), np.float32)
    for plane, z in enumerate(positions):
        around = np.arange(
            max(0, int(np.floor(z)) - reach + 1),
            min(len(slices) - 1, int(np.floor(z)) + reach) + 1,
        )
        weights = kernel(z - around)
        weights = (weights / weights.sum()).astype(np.float32)
        out[plane] = np.tensordot(weights, slices[around].astype(np.float32), axes=1)
    return out
