"""Does the depth look like the plane? The network has learnt from the plane that it does.

Along z a stack answers only at whole pitches. There, the two-point correlation of the slices is
compared with that along x and y; and the chord lengths along z, as counts of slices, with those
of the plane's own rows thinned to the pitch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.grey_levels import less_mean, mean_and_deviation, on_pedestal
from bl_steer.analysis.superresolution.checks import N_BLOCKS, anisotropy_warnings, check_extent
from bl_steer.protocols import Array, Table

__all__ = ["Isotropy", "measure_isotropy", "middle_box"]

N_LAGS = 6
GREY, GREY_HALVES = ("grey levels",), ("darker than the median", "brighter than the median")
"""What stands in the column of the phases."""
BOX_VOXELS = 2**25
"""Of a stack on disk that are tested, for one value a voxel; fewer for more."""
BOX_SLICES = 128


@dataclass(frozen=True)
class Isotropy:
    """How the depth compares with the plane.

    Parameters
    ----------
    correlation : table with ``lag_nm``, ``along_z``, ``in_plane``, ``difference_sd`` (the standard
        error of their difference), for each ``phase`` of labels, or for ``grey levels``
    chords : table with ``phase``, ``along_z_nm``, ``in_plane_nm``, ``ratio``, ``ratio_sd``
    warnings : one sentence for each property in which they differ; none where they agree
    """

    correlation: Table
    chords: Table
    warnings: tuple[str, ...]


def measure_isotropy(
    slices: NDArray[Any],
    voxel_nm: tuple[float, float, float],
    *,
    n_phases: int | None = None,
    names: Sequence[str] = (),
) -> Isotropy:
    """Compare the statistics along z with those in the plane.

    Parameters
    ----------
    slices : (n, H, W): grey levels, or labels if `n_phases` is given
    voxel_nm : edges along z, y, x; those of the plane must be equal
    names : of the phases, where they are known; else the tables have their numbers

    Raises
    ------
    ValueError
        When there are fewer than three slices, or they are smaller than three pitches.

    Notes
    -----
    The standard errors come from 4×4 columns of the stack, taken as independent. For grey levels,
    chords are those of what is brighter or darker than the median.
    """
    check_extent(slices.shape, voxel_nm)
    pitch = voxel_nm[0] / voxel_nm[1]
    if n_phases is None:
        fields = {-1: _standardised(slices)}
        inside = {0: slices <= np.median(slices), 1: slices > np.median(slices)}
    else:
        inside = {k: slices == k for k in range(n_phases) if (slices == k).any()}
        fields = {k: _standardised(mask) for k, mask in inside.items()}
    lags = np.arange(1, min(N_LAGS, len(slices) - 1, int(min(slices.shape[1:]) / 2 / pitch)) + 1)
    of_fields, of_parts = (GREY, GREY_HALVES) if n_phases is None else (names, names)
    correlation = _named(_correlation_table(fields, lags, pitch, voxel_nm[0]), of_fields)
    chords = _named(_chord_table(inside, pitch, voxel_nm[0]), of_parts)
    return Isotropy(correlation, chords, tuple(anisotropy_warnings(correlation, chords)))


def _named(table: Table, names: Sequence[str]) -> Table:
    """Return a table with the phases' names instead of their numbers."""
    if not names:
        return table
    return {**table, "phase": np.array([names[int(phase)] for phase in table["phase"]])}


def middle_box(slices: Any, pitch_px: float, n_values: int) -> NDArray[Any]:
    """Return the middle of a stack on disk, as much as memory has room to test; small ones whole.

    Parameters
    ----------
    slices : (n, H, W), numpy or Zarr
    n_values : 1 for grey levels, the number of phases for labels
    """
    n, height, width = slices.shape
    depth = min(n, BOX_SLICES)
    edge = max(math.isqrt(BOX_VOXELS // (n_values * depth)), math.ceil(3 * pitch_px) + N_BLOCKS)
    return np.asarray(slices[_middle(n, depth), _middle(height, edge), _middle(width, edge)])


def _middle(length: int, part: int) -> slice:
    first = max(0, (length - part) // 2)
    return slice(first, first + part)


def _standardised(values: NDArray[Any]) -> NDArray[np.float32]:
    mean, deviation = mean_and_deviation(values)
    if not deviation or on_pedestal(mean, deviation):
        return less_mean(values, mean, deviation or 1.0)
    grey = values.astype(np.float32)
    return np.asarray((grey - grey.mean()) / grey.std(), np.float32)


def _blocks(products: NDArray[np.float32]) -> Array:
    """Return the mean of (n, H, W) in 4×4 columns of the stack, (16,)."""
    rows = np.array_split(products.mean(axis=0, dtype=np.float64), N_BLOCKS, axis=0)
    return np.array([b.mean() for row in rows for b in np.array_split(row, N_BLOCKS, axis=1)])


def _correlation_table(
    fields: dict[int, NDArray[np.float32]], lags: NDArray[Any], pitch: float, pitch_nm: float
) -> Table:
    rows: list[tuple[float, ...]] = []
    for phase, field in fields.items():
        for lag in lags:
            along = _blocks(field[:-lag] * field[lag:])
            plane = 0.5 * (
                _blocks(_lagged(field, lag * pitch, 1)) + _blocks(_lagged(field, lag * pitch, 2))
            )
            error = (along - plane).std(ddof=1) / N_BLOCKS
            rows.append((phase, lag * pitch_nm, along.mean(), plane.mean(), error))
    names = ("phase", "lag_nm", "along_z", "in_plane", "difference_sd")
    return dict(zip(names, np.array(rows, float).reshape(-1, 5).T, strict=True))


def _lagged(field: NDArray[np.float32], lag_px: float, axis: int) -> NDArray[np.float32]:
    """Return products of values a distance apart, interpolated between whole pixels."""
    below = int(np.floor(lag_px + 1e-9))
    share = np.float32(lag_px - below) if lag_px - below > 1e-6 else np.float32(0)
    moved = np.moveaxis(field, axis, 2)
    n = moved.shape[2] - below - (1 if share else 0)
    far = moved[..., below : below + n]
    if share:
        far = (1 - share) * far + share * moved[..., below + 1 : below + 1 + n]
    return np.moveaxis(moved[..., :n] * far, 2, axis)


def _chord_table(inside: dict[int, NDArray[np.bool_]], pitch: float, pitch_nm: float) -> Table:
    """Compare mean chords, each counted at the pitch: twice the fraction over the crossings."""
    rows: list[tuple[float, ...]] = []
    for phase, mask in inside.items():
        along = _blocks((mask[:-1] != mask[1:]).astype(np.float32))
        plane = np.mean(
            [_blocks(_changed(mask, pitch, axis).astype(np.float32)) for axis in (1, 2)], axis=0
        )
        share = mask.mean()
        crossings, expected = max(along.mean(), 1e-9), max(plane.mean(), 1e-9)
        error = (along - plane).std(ddof=1) / N_BLOCKS / crossings
        rows.append(
            (
                phase,
                2 * share * pitch_nm / crossings,
                2 * share * pitch_nm / expected,
                expected / crossings,
                error * expected / crossings,
            )
        )
    names = ("phase", "along_z_nm", "in_plane_nm", "ratio", "ratio_sd")
    return dict(zip(names, np.array(rows, float).reshape(-1, 5).T, strict=True))


def _changed(mask: NDArray[np.bool_], pitch: float, axis: int) -> NDArray[np.bool_]:
    moved = np.moveaxis(mask, axis, 2)
    step = max(1, round(pitch))
    return np.moveaxis(moved[..., :-step] != moved[..., step:], 2, axis)
