"""Two-point correlation: how likely two points at a distance lie in the same phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.structure.volume import LabelVolume
from bl_steer.protocols import Array, Progress

__all__ = ["Correlation", "two_point_correlation"]

MAX_LAGS = 64
"""Lags along an axis; longer ranges are sampled."""

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Correlation:
    """Two-point correlation of each phase along z, y and x.

    Parameters
    ----------
    lags_nm : for each axis, shape (n_lags,), from 0
    probability : for each axis, (n_phases, n_lags), of both points in the phase: the volume
        fraction at lag 0, its square at long lags
    """

    lags_nm: tuple[Array, Array, Array]
    probability: tuple[Array, Array, Array]


def two_point_correlation(
    volume: LabelVolume, *, max_lag_nm: float | None = None, progress: Progress | None = None
) -> Correlation:
    """Return the two-point correlation of each phase along the axes.

    Parameters
    ----------
    max_lag_nm : longest lag, nm; a quarter of the box's shortest edge by default

    Notes
    -----
    All pairs of voxels that lie in the box are counted, exactly. Phases are packed into bits, so
    that one operation compares 64 voxels; so are kept the planes up to the longest lag along z.

    References
    ----------
    Torquato (2002), Random Heterogeneous Materials, Springer, chapter 2.
    """
    steps, n_phases = volume.voxel_size_nm, len(volume.names)
    edges = [n * step for n, step in zip(volume.shape, steps, strict=True)]
    longest = min(edges) / 4 if max_lag_nm is None else max_lag_nm
    lags = [
        _lags(n, int(longest / step + 1e-9)) for n, step in zip(volume.shape, steps, strict=True)
    ]
    counts = [np.zeros((n_phases, len(axis)), dtype=np.int64) for axis in lags]
    kept: dict[int, Words] = {}
    for slab in volume.slabs(progress=progress):
        for phase in range(n_phases):
            voxels = slab.phases == phase
            along_x = _packed(voxels)
            counts[1][phase] += _pairs(along_x, lags[1])
            counts[2][phase] += _pairs(_packed(voxels.swapaxes(1, 2)), lags[2])
            below = kept.get(phase, along_x[:0])
            column = np.concatenate([below, along_x])
            counts[0][phase] += _pairs_z(column, len(below), lags[0])
            kept[phase] = column[max(0, len(column) - int(lags[0][-1])) :]
    probability: list[Array] = [
        np.asarray(count / (volume.n_voxels * (n - axis) / n), dtype=float)
        for count, n, axis in zip(counts, volume.shape, lags, strict=True)
    ]
    in_nm: list[Array] = [
        np.asarray(axis * step, dtype=float) for axis, step in zip(lags, steps, strict=True)
    ]
    return Correlation(
        (in_nm[0], in_nm[1], in_nm[2]), (probability[0], probability[1], probability[2])
    )


def _lags(n: int, longest: int) -> NDArray[np.int64]:
    longest = min(longest, n - 1)
    return np.unique(np.round(np.linspace(0, longest, min(longest, MAX_LAGS) + 1)).astype(np.int64))


def _packed(voxels: NDArray[np.bool_]) -> Words:
    """Pack the last axis into words of 64 voxels; what is missing is 0."""
    missing = -voxels.shape[-1] % 64
    padded = np.pad(voxels, [(0, 0), (0, 0), (0, missing)]) if missing else voxels
    return np.packbits(np.ascontiguousarray(padded), axis=-1).view(np.uint64)


def _pairs_z(words: Words, first: int, lags: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the pairs whose upper voxel lies in a plane from `first` on."""
    counts = []
    for lag in lags.tolist():
        begin = max(first, lag)
        n = max(0, len(words) - begin)
        counts.append(_both(words[begin : begin + n], words[begin - lag : begin - lag + n]))
    return np.array(counts)


def _pairs(words: Words, lags: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the pairs along the middle axis."""
    n = words.shape[1]
    return np.array([_both(words[:, lag:], words[:, : n - lag]) for lag in lags.tolist()])


def _both(first: Words, second: Words) -> int:
    return int(np.bitwise_count(first & second).sum(dtype=np.int64))
