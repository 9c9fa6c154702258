"""The measures of a volume as tables: µm³, µm², µm for amounts, nm for lengths of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bl_steer.analysis.structure.areas import ContactAreas
from bl_steer.analysis.structure.chords import Chords
from bl_steer.analysis.structure.connectivity import Connectivity
from bl_steer.analysis.structure.correlation import Correlation
from bl_steer.analysis.structure.directions import flat_ratio
from bl_steer.analysis.structure.fractions import Fractions
from bl_steer.analysis.structure.thick_parts import AREA_ALLOWANCE, LINE_ALLOWANCE, between
from bl_steer.analysis.structure.triple_lines import TripleLines
from bl_steer.analysis.structure.volume import LabelVolume
from bl_steer.protocols import Array, Table

__all__ = ["Measures", "flat_ratios", "tables_of"]

UM = 1e-3
"""µm in a nm."""
AXES = ("z", "y", "x")


@dataclass(frozen=True)
class Measures:
    """All that was measured of a volume.

    Parameters
    ----------
    thick_areas, thick_lines : areas and lines once more, without what is one voxel thick
    """

    volume: LabelVolume
    fractions: Fractions
    areas: ContactAreas
    lines: TripleLines
    connectivity: Connectivity
    chords: Chords
    correlation: Correlation
    thick_areas: ContactAreas
    thick_lines: TripleLines


def tables_of(measures: Measures) -> dict[str, Table]:
    """Return the tables of the analysis ``structure``.

    ``volumes``: a row for each phase, with its surface to all others; ``areas``: a row for each
    pair of phases; ``directions``: the area that each direction alone would give; ``triple_lines``:
    a row for each three phases; in both, ``labels_least`` and ``labels_largest``: between what the
    labels leave it, `thick_parts.between`, with `directions.flat_ratio`;
    ``connectivity``; ``chords``: mean and median by phase and axis; ``chord_lengths``: their
    distribution; ``correlation``: by phase, axis and lag.
    """
    return {
        "volumes": _volumes(measures),
        "areas": _areas(measures),
        "directions": _directions(measures),
        "triple_lines": _triple_lines(measures),
        "connectivity": _connectivity(measures),
        "chords": _chords(measures),
        "chord_lengths": _chord_lengths(measures),
        "correlation": _correlation(measures),
    }


def _volumes(measures: Measures) -> Table:
    volume, areas, shares = measures.volume, measures.areas, measures.fractions
    box_um3 = volume.n_voxels * volume.voxel_nm3 * UM**3
    return {
        "phase": np.array(volume.phases),
        "label": np.array(list(volume.names)),
        "volume_um3": shares.fraction * box_um3,
        "volume_low_um3": shares.low * box_um3,
        "volume_high_um3": shares.high * box_um3,
        "fraction": shares.fraction,
        "fraction_low": shares.low,
        "fraction_high": shares.high,
        "surface_um2": areas.surface_nm2 * UM**2,
        "surface_low_um2": areas.surface_low_nm2 * UM**2,
        "surface_high_um2": areas.surface_high_nm2 * UM**2,
    }


def _areas(measures: Measures) -> Table:
    volume, areas = measures.volume, measures.areas
    names = np.array(volume.phases)
    a, b = np.triu_indices(len(names), 1)
    area = areas.area_nm2[a, b] * UM**2
    by_direction = areas.by_direction_nm2[:, a, b]
    mean = np.where(area > 0, areas.area_nm2[a, b], np.nan)
    spread = np.sqrt(areas.directions.weights @ (by_direction / mean - 1) ** 2)
    thick = measures.thick_areas.area_nm2[a, b] * UM**2
    one, other = area * flat_ratios(areas), thick * flat_ratios(measures.thick_areas)
    least, _ = between(np.minimum(area, one), np.minimum(thick, other), AREA_ALLOWANCE)
    _, largest = between(np.maximum(area, one), np.maximum(thick, other), AREA_ALLOWANCE)
    return {
        "phase_a": names[a],
        "phase_b": names[b],
        "area_um2": area,
        "area_low_um2": areas.low_nm2[a, b] * UM**2,
        "area_high_um2": areas.high_nm2[a, b] * UM**2,
        "area_per_volume_1_um": area / (volume.n_voxels * volume.voxel_nm3 * UM**3),
        "labels_least_um2": least,
        "labels_largest_um2": largest,
        "direction_spread": spread,
        "if_flat_least_um2": _over(area, areas.flat_largest),
        "if_flat_largest_um2": _over(area, areas.flat_least),
    }


def flat_ratios(areas: ContactAreas) -> Array:
    """Return what the directions leave of each pair's area, where its interfaces are flat."""
    a, b = np.triu_indices(len(areas.area_nm2), 1)
    directions = areas.directions
    pairs = areas.by_direction_nm2[:, a, b].T
    return np.array([flat_ratio(directions.units, directions.weights, pair) for pair in pairs])


def _directions(measures: Measures) -> Table:
    areas = measures.areas
    names = np.array(measures.volume.phases)
    a, b = np.triu_indices(len(names), 1)
    n = len(areas.directions.offsets)
    offsets = np.repeat(areas.directions.offsets, len(a), axis=0)
    return {
        "phase_a": np.tile(names[a], n),
        "phase_b": np.tile(names[b], n),
        "dz": offsets[:, 0],
        "dy": offsets[:, 1],
        "dx": offsets[:, 2],
        "step_nm": np.repeat(areas.directions.lengths_nm, len(a)),
        "weight": np.repeat(areas.directions.weights, len(a)),
        "area_um2": areas.by_direction_nm2[:, a, b].ravel() * UM**2,
    }


def _triple_lines(measures: Measures) -> Table:
    volume, lines = measures.volume, measures.lines
    names = np.array(volume.phases)
    columns: dict[str, Any] = {
        f"phase_{letter}": names[lines.triples[:, k]] for k, letter in enumerate("abc")
    }
    box_um3 = volume.n_voxels * volume.voxel_nm3 * UM**3
    length, thick = lines.length_nm * UM, measures.thick_lines.length_nm * UM
    one, other = length * lines.straight_ratio, thick * measures.thick_lines.straight_ratio
    least, _ = between(np.minimum(length, one), np.minimum(thick, other), LINE_ALLOWANCE)
    _, largest = between(np.maximum(length, one), np.maximum(thick, other), LINE_ALLOWANCE)
    return {
        **columns,
        "length_um": lines.length_nm * UM,
        "length_low_um": lines.low_nm * UM,
        "length_high_um": lines.high_nm * UM,
        "length_per_volume_1_um2": lines.length_nm * UM / box_um3,
        "labels_least_um": least,
        "labels_largest_um": largest,
        "if_straight_least_um": _over(lines.length_nm * UM, lines.straight_largest),
        "if_straight_largest_um": _over(lines.length_nm * UM, lines.straight_least),
    }


def _over(amount: Array, seen: float) -> Array:
    """Return an amount of which a share is seen; NaN, for no bound, where that may be nothing."""
    return amount / seen if seen else np.full(amount.shape, np.nan)


def _connectivity(measures: Measures) -> Table:
    parts = measures.connectivity
    return {
        "phase": np.array(measures.volume.phases),
        "n_parts": parts.n_parts,
        "largest": parts.largest,
        "isolated": parts.isolated,
        "single_voxels": parts.single_voxels,
        **{f"percolating_{axis}": parts.percolating[:, k] for k, axis in enumerate(AXES)},
    }


def _chords(measures: Measures) -> Table:
    chords = measures.chords
    n = len(measures.volume.phases)
    uncut = np.array([[chords.uncut[axis][phase].sum() for axis in range(3)] for phase in range(n)])
    return {
        "phase": np.repeat(np.array(measures.volume.phases), 3),
        "axis": np.tile(np.array(AXES), n),
        "mean_nm": chords.mean_nm.ravel(),
        "median_nm": chords.median_nm.ravel(),
        "whole_chords": uncut.ravel(),
    }


def _chord_lengths(measures: Measures) -> Table:
    rows: list[Table] = []
    for phase, axis in np.ndindex(len(measures.volume.phases), 3):
        lengths, shares = measures.chords.shares(phase, axis)
        line = {"phase": measures.volume.phases[phase], "axis": AXES[axis]}
        rows.append(_rows(line, {"length_nm": lengths, "share": shares}))
    return _stacked(rows)


def _correlation(measures: Measures) -> Table:
    correlation = measures.correlation
    rows: list[Table] = []
    for phase, axis in np.ndindex(len(measures.volume.phases), 3):
        line = {"phase": measures.volume.phases[phase], "axis": AXES[axis]}
        probability = correlation.probability[axis][phase]
        rows.append(_rows(line, {"lag_nm": correlation.lags_nm[axis], "probability": probability}))
    return _stacked(rows)


def _rows(line: dict[str, str], columns: dict[str, Any]) -> Table:
    n = len(next(iter(columns.values())))
    return {**{key: np.full(n, value) for key, value in line.items()}, **columns}


def _stacked(tables: list[Table]) -> Table:
    return {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
