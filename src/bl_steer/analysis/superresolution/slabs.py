"""The work on a volume, slab by slab: first all xz sections, then all yz sections and their mean.

The arrays may lie in memory or in Zarr: `volume` and `zarr_volume` call the same steps, so both
find the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.sections import ONE_RUN, Running, insert_rows

__all__ = ["CALIBRATION_SECTIONS", "SLAB_PX", "SlabWork", "n_planes"]

SLAB_PX = 32
"""Sections of a slab: bounds the memory."""
CALIBRATION_SECTIONS = 24
"""Of the yz sections, evenly spread: from them the offsets of the phases are found."""
FLOOR = 1e-4
"""Of a phase's share before its logarithm is taken; float16 resolves no less."""
MAX_ROUNDS = 60
CLOSE_ENOUGH = 5e-4
"""Of the fractions, when the offsets are sought."""

Values = NDArray[np.float32]


def n_planes(n_slices: int, factor: int) -> int:
    """Return the planes from the first slice to the last, with those inserted between."""
    return (n_slices - 1) * factor + 1


@dataclass(frozen=True)
class SlabWork:
    """One super-resolution under way.

    Parameters
    ----------
    model : trained on the stack, or on one like it
    slices : (n, H, W), read only
    xz : (n_values, N, H, W), f16: what the first pass found
    volume : (N, H, W), of the type of the slices: the result
    uncertainty : (N, H, W), f32: how far the two directions disagree: the difference of the grey
        levels, or half the sum of the differences of the phases' shares (0 … 1)
    running : how the networks are run
    """

    model: SuperResolutionModel
    slices: Any
    xz: Any
    volume: Any
    uncertainty: Any
    running: Running = ONE_RUN

    def slabs(self, axis: int) -> list[slice]:
        """Return the slabs along y (1) or x (2)."""
        edge = self.slices.shape[axis]
        return [slice(i, min(i + SLAB_PX, edge)) for i in range(0, edge, SLAB_PX)]

    def first_pass(self, rows: slice) -> None:
        """Insert the planes of the xz sections of a slab of rows."""
        measured = np.asarray(self.slices[:, rows])
        n, thickness, width = measured.shape
        shape = (self.model.n_values, n_planes(n, self.model.factor), thickness, width)
        found = np.empty(shape, np.float16)
        for some in self._groups(thickness, width):
            values = self.model.values_of(measured[:, some])  # (n, b, W, V)
            fine = self._inserted(values.transpose(1, 3, 0, 2))  # (b, V, N, W)
            found[:, :, some] = fine.transpose(1, 2, 0, 3)
        self.xz[:, :, rows] = found

    def second_pass(self, columns: slice, offsets: NDArray[np.float64]) -> None:
        """Insert the planes of the yz sections of a slab of columns; write the mean of both."""
        measured, xz = np.asarray(self.slices[:, :, columns]), np.asarray(self.xz[..., columns])
        found = np.empty(xz.shape[1:], self.volume.dtype)
        uncertainty = np.empty(found.shape, np.float32)
        for some in self._groups(measured.shape[2], measured.shape[1]):
            mean, apart = self._both(measured[:, :, some], xz[..., some])
            found[..., some], uncertainty[..., some] = self._decided(mean, apart, offsets)
        found[:: self.model.factor] = measured
        uncertainty[:: self.model.factor] = 0
        self.volume[:, :, columns] = found
        self.uncertainty[:, :, columns] = uncertainty

    def _decided(
        self, mean: Values, apart: Values, offsets: NDArray[np.float64]
    ) -> tuple[NDArray[Any], Values]:
        """Return grey levels or labels, and their uncertainty, from mean and difference."""
        if self.model.kind == "labels":
            score = (
                np.log(np.maximum(mean, FLOOR)) + offsets.astype(np.float32)[:, None, None, None]
            )
            return score.argmax(axis=0), 0.5 * apart.sum(axis=0)
        deviation = np.float32(self.model.deviation)
        grey = mean[0] * deviation + np.float32(self.model.mean)
        return _as_type(grey, self.volume.dtype), apart[0] * deviation

    def find_offsets(self) -> NDArray[np.float64]:
        """Return what is added to the logarithms of the phases' shares, (n_values,).

        Notes
        -----
        The most probable phase is a biased estimate: thin phases lose. The slices are thin planes
        through the sample, so their fractions are unbiased ones of the volume's (Delesse, 1847).
        The offsets give the inserted planes the fractions of the slices, on sections spread evenly.
        """
        n_values = self.model.n_values
        if self.model.kind == "grey":
            return np.zeros(n_values)
        width = self.slices.shape[2]
        step = max(1, width // CALIBRATION_SECTIONS)
        counts, shares = np.zeros(n_values), []
        for column in range(step // 2, width, step):
            measured = np.asarray(self.slices[:, :, column : column + 1])
            counts += np.bincount(measured.ravel(), minlength=n_values)
            xz = np.asarray(self.xz[..., column : column + 1])
            mean, _ = self._both(measured, xz)
            inserted = np.arange(mean.shape[1]) % self.model.factor != 0
            shares.append(mean[:, inserted].reshape(n_values, -1)[:, ::7])
        return offsets_for(np.concatenate(shares, axis=1), counts / counts.sum())

    def _both(self, measured: NDArray[Any], xz: NDArray[np.float16]) -> tuple[Values, Values]:
        """Return mean and difference of the two directions, (V, N, H, b)."""
        values = self.model.values_of(measured)  # (n, H, b, V)
        fine = self._inserted(values.transpose(2, 3, 0, 1))  # (b, V, N, H)
        yz = fine.transpose(1, 2, 3, 0)
        other = xz.astype(np.float32)
        return 0.5 * (other + yz), np.abs(other - yz)

    def _inserted(self, sections: Values) -> Values:
        return insert_rows(self.model.stages, sections, self.running)

    def _groups(self, thickness: int, width: int) -> Iterator[slice]:
        """Yield the sections of a slab, few at a time: small ones together, large ones alone."""
        rows = n_planes(self.slices.shape[0], self.model.factor)
        few = max(1, self.running.strip_px // 2 // (rows * width))
        for first in range(0, thickness, few):
            yield slice(first, min(first + few, thickness))


def offsets_for(shares: NDArray[np.float32], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the offsets with which the most probable phases have the fractions of the target.

    Parameters
    ----------
    shares : (n_phases, n_voxels)
    target : (n_phases,)
    """
    logarithms = np.log(np.maximum(shares, FLOOR))
    offsets, step = np.zeros(len(target), np.float32), np.full(len(target), 0.2, np.float32)
    last = np.zeros(len(target))
    for _ in range(MAX_ROUNDS):
        best = (logarithms + offsets[:, None]).argmax(axis=0)
        missing = target - np.bincount(best, minlength=len(target)) / best.size
        if np.abs(missing).max() < CLOSE_ENOUGH:
            break
        # A step of its own for each phase: it grows while the sign stays and halves when it turns.
        step = np.clip(step * np.where(missing * last < 0, 0.5, 1.3), 1e-4, 0.5).astype(np.float32)
        offsets += step * np.sign(missing).astype(np.float32)
        offsets = np.clip(offsets - offsets.mean(), -4.0, 4.0)
        last = missing
    return offsets.astype(np.float64)


def _as_type(grey: Values, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return grey levels in the type of the slices, rounded and kept in its range."""
    if dtype.kind not in "ui":
        return grey.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(grey), limits.min, limits.max).astype(dtype)
