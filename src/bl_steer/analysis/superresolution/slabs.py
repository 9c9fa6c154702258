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

from bl_steer.analysis.grey_levels import on_pedestal
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.phase_choice import PhaseChoice
from bl_steer.analysis.superresolution.sections import ONE_RUN, Running, insert_rows

__all__ = ["CALIBRATION_SECTIONS", "SLAB_PX", "Inserter", "SlabWork", "n_planes"]

SLAB_PX = 32
"""Sections of a slab: bounds the memory."""
CALIBRATION_SECTIONS = 64
"""Of the yz sections at most, evenly spread: to them the choice of phases is fitted."""
CALIBRATION_VOXELS = 2_500_000
"""At most, of these sections together: bounds the memory."""

Values = NDArray[np.float32]


def n_planes(n_slices: int, factor: int) -> int:
    """Return the planes from the first slice to the last, with those inserted between."""
    return (n_slices - 1) * factor + 1


@dataclass(frozen=True)
class Inserter:
    """What inserts planes into a slab; it holds no arrays, so that another process can have it.

    Parameters
    ----------
    model : trained on the stack, or on one like it
    running : how the networks are run
    """

    model: SuperResolutionModel
    running: Running = ONE_RUN

    def first_pass(self, measured: NDArray[Any]) -> NDArray[np.float16]:
        """Return the planes of the xz sections of a slab of rows.

        Parameters
        ----------
        measured : (n, h, W)

        Returns
        -------
        inserted : (n_values, N, h, W)
        """
        n, thickness, width = measured.shape
        shape = (self.model.n_values, n_planes(n, self.model.factor), thickness, width)
        inserted = np.empty(shape, np.float16)
        for some in self._groups(measured.shape, thickness):
            values = self.model.values_of(measured[:, some])  # (n, b, W, V)
            fine = self._inserted(values.transpose(1, 3, 0, 2))  # (b, V, N, W)
            inserted[:, :, some] = fine.transpose(1, 2, 0, 3)
        return inserted

    def second_pass(
        self, given: tuple[NDArray[Any], NDArray[np.float16]], choice: PhaseChoice
    ) -> tuple[NDArray[Any], Values]:
        """Insert the planes of the yz sections of a slab of columns; return the mean of both.

        Parameters
        ----------
        given : measured, (n, H, w), and the result of the first pass, (n_values, N, H, w)

        Returns
        -------
        volume, uncertainty : (N, H, w), of the type of the slices, and f32
        """
        measured, xz = given
        volume = np.empty(xz.shape[1:], measured.dtype)
        uncertainty = np.empty(volume.shape, np.float32)
        for some in self._groups(measured.swapaxes(1, 2).shape, measured.shape[2]):
            mean, apart = self.both(measured[:, :, some], xz[..., some])
            volume[..., some], uncertainty[..., some] = self._decided(
                mean, apart, choice, measured.dtype
            )
        volume[:: self.model.factor] = measured
        uncertainty[:: self.model.factor] = 0
        return volume, uncertainty

    def both(self, measured: NDArray[Any], xz: NDArray[np.float16]) -> tuple[Values, Values]:
        """Return mean and difference of the two directions, (V, N, H, b)."""
        values = self.model.values_of(measured)  # (n, H, b, V)
        fine = self._inserted(values.transpose(2, 3, 0, 1))  # (b, V, N, H)
        yz = fine.transpose(1, 2, 3, 0)
        other = xz.astype(np.float32)
        return 0.5 * (other + yz), np.abs(other - yz)

    def _decided(
        self, mean: Values, apart: Values, choice: PhaseChoice, dtype: np.dtype[Any]
    ) -> tuple[NDArray[Any], Values]:
        """Return grey levels or labels, and their uncertainty, from mean and difference."""
        if self.model.kind == "labels":
            return choice(mean), 0.5 * apart.sum(axis=0)
        deviation = np.float32(self.model.deviation)
        offset: Any = np.float32(self.model.mean)
        if on_pedestal(self.model.mean, self.model.deviation):
            offset = np.float64(self.model.mean)
        return _as_type(mean[0] * deviation + offset, dtype), apart[0] * deviation

    def _inserted(self, sections: Values) -> Values:
        return insert_rows(self.model.stages, sections, self.running, factor=self.model.factor)

    def _groups(self, shape: tuple[int, ...], thickness: int) -> Iterator[slice]:
        """Yield the sections of a slab, few at a time: small ones together, large ones alone."""
        rows = n_planes(shape[0], self.model.factor)
        few = max(1, self.running.pixels // 2 // (rows * shape[2]))
        for first in range(0, thickness, few):
            yield slice(first, min(first + few, thickness))


@dataclass(frozen=True)
class SlabWork:
    """One super-resolution under way.

    Parameters
    ----------
    inserter : what each slab is given to
    slices : (n, H, W), read only
    xz : (n_values, N, H, W), f16: the result of the first pass
    volume : (N, H, W), of the type of the slices: the result
    uncertainty : (N, H, W), f32: how far the two directions disagree: the difference of the grey
        levels, or half the sum of the differences of the phases' shares (0 … 1)
    """

    inserter: Inserter
    slices: Any
    xz: Any
    volume: Any
    uncertainty: Any

    def slabs(self, axis: int) -> list[slice]:
        """Return the slabs along y (1) or x (2)."""
        edge = self.slices.shape[axis]
        return [slice(i, min(i + SLAB_PX, edge)) for i in range(0, edge, SLAB_PX)]

    def for_first(self, rows: slice) -> NDArray[Any]:
        """Return what the first pass is given of a slab of rows."""
        return np.asarray(self.slices[:, rows])

    def for_second(self, columns: slice) -> tuple[NDArray[Any], NDArray[np.float16]]:
        """Return what the second pass is given of a slab of columns."""
        return np.asarray(self.slices[:, :, columns]), np.asarray(self.xz[..., columns])

    def keep_first(self, rows: slice, inserted: NDArray[np.float16]) -> None:
        """Write what the first pass gave."""
        self.xz[:, :, rows] = inserted

    def keep_second(self, columns: slice, found: tuple[NDArray[Any], Values]) -> None:
        """Write what the second pass gave."""
        self.volume[:, :, columns], self.uncertainty[:, :, columns] = found

    def find_choice(self, behind: int | None = None) -> PhaseChoice:
        """Return how phases are chosen, fitted to sections spread evenly; of no use for grey.

        Parameters
        ----------
        behind : slice, behind which one interval is fitted alone, by all of its sections if they
            are not too many; all intervals by default
        """
        n_values, factor = self.inserter.model.n_values, self.inserter.model.factor
        if self.inserter.model.kind == "grey":
            return PhaseChoice.free(factor, n_values)
        n, height, width = self.slices.shape
        most = max(4, CALIBRATION_VOXELS // (n_planes(n, factor) * height))
        step = max(1, width // (min(CALIBRATION_SECTIONS, most) if behind is None else most))
        columns = range(step // 2, width, step)
        measured = np.empty((n, height, len(columns)), self.slices.dtype)
        shares = np.empty((n_values, n_planes(n, factor), height, len(columns)), np.float32)
        for number, column in enumerate(columns):
            at = slice(number, number + 1)
            measured[..., at], xz = self.for_second(slice(column, column + 1))
            shares[..., at], _ = self.inserter.both(measured[..., at], xz)
        if behind is not None:
            measured = measured[behind : behind + 2]
            shares = shares[:, behind * factor : (behind + 1) * factor + 1]
        return PhaseChoice.fitted(shares, measured, factor)


def _as_type(grey: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return grey levels in the type of the slices, rounded and kept in its range."""
    if dtype.kind not in "ui":
        return np.asarray(grey, dtype)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(grey), limits.min, limits.max), dtype)
