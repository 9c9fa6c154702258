"""Planes at even distances from slices that are not: pitch varies, and slices are lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import AnalysisResult, Array

__all__ = ["EvenDepths"]

NEGLIGIBLE = 0.02
"""Relative deviation of the spacing that lessons need not have."""
LARGEST = 0.3
"""That lessons can have."""
FINEST = 16
"""Planes that the networks insert for each slice, at most."""


@dataclass(frozen=True)
class EvenDepths:
    """An even grid of depths over a stack.

    Parameters
    ----------
    slice_z_nm : measured depth of each slice, (n,), increasing
    z_nm : depths of the planes, (N,)
    factor : planes that are inserted for each slice
    """

    slice_z_nm: Array
    z_nm: Array
    factor: int

    @classmethod
    def of(cls, slice_z_nm: Any, factor: int, *, step_nm: float | None = None) -> Self:
        """Return depths from the first slice to the last.

        Parameters
        ----------
        step_nm : distance of the planes; by default a factor-th of the slices' median distance.
            For finer ones more planes are inserted, as far as the networks can: none is taken twice

        Raises
        ------
        ValueError
            When there are fewer than two slices, or a depth does not increase.
        """
        slices = np.asarray(slice_z_nm, dtype=np.float64)
        if len(slices) < 2 or not (np.diff(slices) > 0).all():
            raise ValueError(
                "slices must lie deeper and deeper, two at least, got depths of "
                f"{np.round(slices, 1).tolist()} nm; leave out those that were not cut"
            )
        pitch = float(np.median(np.diff(slices)))
        step = pitch / factor if step_nm is None else step_nm
        factor = max(factor, min(round(pitch / step), FINEST))
        n = int(np.floor((slices[-1] - slices[0]) / step + 1e-6)) + 1
        return cls(slices, slices[0] + step * np.arange(n), factor)

    @classmethod
    def of_result(cls, result: AnalysisResult) -> Self:
        """Return the depths of the slices and planes of a result of ``reconstruct``."""
        slices, planes = (np.asarray(result.arrays[key]) for key in ("slice_z_nm", "z_nm"))
        return cls(slices, planes, int(result.provenance["params"]["factor"]))

    @property
    def step_nm(self) -> float:
        """Distance of the planes."""
        return float(self.z_nm[1] - self.z_nm[0])

    @property
    def pitch_nm(self) -> float:
        """Median distance of the slices."""
        return float(np.median(np.diff(self.slice_z_nm)))

    @property
    def jitter(self) -> float:
        """Relative deviation of the distance of two slices, as lessons have it; 0 … 0.3.

        By the median absolute deviation: a missing slice is no jitter.
        """
        spacing = np.diff(self.slice_z_nm)
        off = np.abs(spacing - np.median(spacing))
        # The factor makes a standard deviation of it, where deviations are normal.
        spread = float(1.4826 * np.median(off) / np.median(spacing))
        return 0.0 if spread < NEGLIGIBLE else min(spread, LARGEST)

    @property
    def gaps(self) -> NDArray[np.intp]:
        """Slices behind which more than one and a half pitches follow without another."""
        return np.flatnonzero(np.diff(self.slice_z_nm) > 1.5 * self.pitch_nm)

    def nearest_slice(self) -> NDArray[np.intp]:
        """Return for each plane the slice that is nearest to it, (N,)."""
        return _nearest(self.slice_z_nm, self.z_nm)

    def nearest_inserted(self) -> NDArray[np.intp]:
        """Return for each plane the nearest of the (n-1)·factor + 1 slices and inserted planes.

        Those between two slices divide their distance evenly, as they were inserted.
        """
        n = len(self.slice_z_nm)
        positions = np.arange((n - 1) * self.factor + 1) / self.factor
        return _nearest(np.interp(positions, np.arange(n), self.slice_z_nm), self.z_nm)


def _nearest(known: Array, z: Array) -> NDArray[np.intp]:
    """Return for each of some depths the nearest of the known ones, which ascend; (len(z),)."""
    after = np.clip(np.searchsorted(known, z), 1, len(known) - 1)
    before = after - 1
    return np.where(z - known[before] <= known[after] - z, before, after)
