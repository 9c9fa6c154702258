"""One specimen by several methods: slices as thick slabs, Lanczos, super-resolution, and truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.grey_levels import on_pedestal
from bl_steer.analysis.reconstruction.checks import thin_warnings
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.reconstruction.measures import (
    CONVENTIONAL,
    LANCZOS,
    SUPERRESOLVED,
    TRUTH,
    against_truth,
    areas_of_slices,
    beside_each_other,
    measure,
    table_1,
    table_2,
)
from bl_steer.analysis.superresolution.baselines import lanczos
from bl_steer.analysis.superresolution.validation import label_scores
from bl_steer.files.large_arrays import large_array, let_go
from bl_steer.protocols import AnalysisResult, Array, Progress, Table
from bl_steer.stages import Stages

__all__ = ["Comparison", "Reconstruction", "compare", "lanczos_labels", "tables_with_truth"]

ROWS = 16
"""Worked on at a time: grey levels need four bytes a voxel."""
SMOOTH_PX = 1.0
"""Of a Gaussian in the plane before grey levels are compared with a threshold, against noise."""
REACH_PX = 4
"""Of that Gaussian: scipy cuts it at four standard deviations."""
SHAPES = {"triple_lines": "length_um", "connectivity": "n_parts"}
"""Tables of shape, and the column that is compared with the truth's."""

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Reconstruction:
    """A stack, its phases, and the volume between.

    Parameters
    ----------
    slices, labels : grey levels and phases of the slices, (n, H, W)
    volume : super-resolved phases at the even depths, (N, H, W)
    depths : of slices and planes
    pixel_nm : edge of a pixel
    names : of the phases
    """

    slices: Labels
    labels: Labels
    volume: Labels
    depths: EvenDepths
    pixel_nm: float
    names: tuple[str, ...]

    @property
    def voxel_nm(self) -> tuple[float, float, float]:
        """Edges z, y, x of a voxel of the volume."""
        return self.depths.step_nm, self.pixel_nm, self.pixel_nm

    @classmethod
    def of(cls, result: AnalysisResult) -> Self:
        """Return what a result of ``reconstruct`` holds."""
        slices, labels, volume = (result.arrays[key] for key in ("slices", "labels", "volume"))
        names = tuple(str(phase["name"]) for phase in result.provenance["phases"])
        pixel = float(result.provenance["voxel_nm"][1])
        return cls(slices, labels, volume, EvenDepths.of_result(result), pixel, names)

    def volumes(self) -> dict[str, Callable[[], Labels]]:
        """Return by method what makes its volume (N, H, W): each is as large as the result."""
        return {
            CONVENTIONAL: self._as_slabs,
            LANCZOS: lambda: lanczos_labels(self.slices, self.labels, self.depths),
            SUPERRESOLVED: lambda: self.volume,
        }

    def _as_slabs(self) -> Labels:
        """Return the slices as thick slabs, (N, H, W)."""
        volume = large_array(self.volume.shape, np.uint8)
        for plane, nearest in enumerate(self.depths.nearest_slice()):
            volume[plane] = self.labels[nearest]
            let_go(volume)
        let_go(self.labels)
        return volume


@dataclass(frozen=True)
class Comparison:
    """Tables of all methods, and what a user must know of them."""

    tables: dict[str, Table]
    warnings: tuple[str, ...]


def compare(
    reconstruction: Reconstruction, *, blocks: int, seed: int, stages: Stages
) -> Comparison:
    """Measure the volume beside the conventional and the interpolated one, method by method."""
    volumes, thin = reconstruction.volumes(), thin_features(reconstruction)
    measured = {}
    warnings = tuple(thin_warnings(thin, reconstruction.depths.pitch_nm))
    for number, (method, volume) in enumerate(volumes.items()):
        structure = measure(
            volume(),  # one at a time: each is as large as the result
            reconstruction.voxel_nm,
            reconstruction.names,
            blocks=blocks,
            seed=seed,
            progress=stages.of("measure", number, len(volumes)),
        )
        measured[method] = structure.tables
        if method == SUPERRESOLVED:
            warnings += tuple(structure.warnings)
    joined = beside_each_other(measured)
    z, (_, y, x) = reconstruction.depths.slice_z_nm, reconstruction.voxel_nm
    alone = areas_of_slices(
        reconstruction.labels,
        (float(np.diff(z).mean()), y, x),
        reconstruction.names,
        box_um3=reconstruction.volume.size * float(np.prod(reconstruction.voxel_nm)) * 1e-9,
        blocks=blocks,
        seed=seed,
    )
    joined["areas"] = _appended(joined["areas"], alone)
    tables = {
        "table_1": table_1(joined["volumes"]),
        "table_2": table_2(joined["areas"]),
        "thin": thin,
        **joined,
    }
    return Comparison(tables, warnings)


def tables_with_truth(
    result: AnalysisResult, truth: Labels | None, progress: Progress | None = None
) -> dict[str, Table]:
    """Return the tables of a result of ``reconstruct``, the truth beside the methods.

    Parameters
    ----------
    truth : (N, H, W), at the depths of the result's planes; None where it is not known

    Returns
    -------
    tables : those of the result; with a truth, its rows in all that have a column ``method``, and
        a table ``scores``: agreement with the truth, voxel by voxel
    """
    if truth is None:
        return dict(result.tables)
    reconstruction = Reconstruction.of(result)
    params = result.provenance["params"]
    of_truth = measure(
        truth,
        reconstruction.voxel_nm,
        reconstruction.names,
        blocks=params["interval_blocks"],
        seed=params["seed"],
        progress=progress,
    )
    own = beside_each_other({TRUTH: of_truth.tables})
    joined = {name: _appended(result.tables[name], table) for name, table in own.items()}
    for name, value in SHAPES.items():
        joined[name] = against_truth(joined[name], value)
    agreement = [
        label_scores({method: volume()}, truth, len(reconstruction.names))
        for method, volume in reconstruction.volumes().items()
    ]
    return {
        **result.tables,
        **joined,
        "table_1": table_1(joined["volumes"]),
        "table_2": table_2(joined["areas"]),
        "scores": {
            key: np.concatenate([row[key] for row in agreement])
            for key in ("method", "miou", "accuracy")
        },
    }


def _appended(table: Table, more: Table) -> Table:
    return {
        key: np.concatenate([np.asarray(column), np.asarray(more[key])])
        for key, column in table.items()
    }


def lanczos_labels(
    slices: Labels, labels: Labels, depths: EvenDepths, *, rows: slice = slice(None)
) -> Labels:
    """Return the phases by threshold of the grey levels that Lanczos' interpolation gives.

    Parameters
    ----------
    slices, labels : (n, H, W); the phases' mean grey levels come from both
    rows : those to return

    Returns
    -------
    volume : (N, H, W); thresholds lie halfway between the levels of two phases
    """
    chosen = depths.nearest_inserted()
    present, levels = _levels(slices, labels)
    offset = float(levels.mean())
    offset = offset if on_pedestal(offset, float(np.ptp(levels))) else 0.0
    levels = levels - offset
    order = np.argsort(levels)
    thresholds = 0.5 * (levels[order][1:] + levels[order][:-1])
    height = slices.shape[1]
    wanted = range(height)[rows]
    volume = large_array((len(chosen), len(wanted), slices.shape[2]), np.uint8)
    for top in range(0, len(wanted), ROWS):
        few = wanted[top : top + ROWS]
        first, last = max(0, few.start - REACH_PX), min(height, few.stop + REACH_PX)
        smooth = np.stack(
            [
                gaussian_filter((plane[first:last] - offset).astype(np.float32), SMOOTH_PX)
                for plane in slices
            ]
        )[:, few.start - first : few.stop - first]
        grey = lanczos(smooth, depths.factor)[chosen]
        above = np.zeros(grey.shape, np.uint8)
        for threshold in thresholds:
            above += grey >= threshold
        volume[:, top : top + ROWS] = present[order][above]
        let_go(volume)
        let_go(slices)
    return volume


def _levels(slices: Labels, labels: Labels) -> tuple[Labels, Array]:
    """Return the phases that are present and the mean grey level of each, read plane by plane."""
    sums, counts = np.zeros(256), np.zeros(256)
    for plane, phases in zip(slices, labels, strict=True):
        sums += np.bincount(phases.ravel(), plane.ravel(), 256)
        counts += np.bincount(phases.ravel(), minlength=256)
        let_go(slices)
        let_go(labels)
    present = np.flatnonzero(counts)
    return present.astype(np.uint8), sums[present] / counts[present]


def thin_features(reconstruction: Reconstruction) -> Table:
    """Return the share of each phase that lies in parts thinner than the pitch, in the plane.

    Returns
    -------
    table : ``phase``, ``thinner_than_nm``, ``share``: of its area, in chords along y and x that
        are shorter than the pitch, chords that end at the border left out
    """
    names, pitch_nm = reconstruction.names, reconstruction.depths.pitch_nm
    pitch_px = pitch_nm / reconstruction.pixel_nm
    chords = [_chords(reconstruction.labels == phase) for phase in range(len(names))]
    share = [float(px[px < pitch_px].sum() / max(px.sum(), 1)) for px in chords]
    return {
        "phase": np.array(names),
        "thinner_than_nm": np.full(len(names), pitch_nm),
        "share": np.array(share),
    }


def _chords(inside: NDArray[np.bool_]) -> Array:
    """Return the lengths of all chords along y and x between two edges, px."""
    lengths = []
    for axis in (1, 2):
        lines = np.moveaxis(inside, axis, 2)
        lines = lines.reshape(-1, lines.shape[2])
        change = np.diff(lines.astype(np.int8), axis=1)
        row, begins = np.nonzero(change == 1)
        end_row, ends = np.nonzero(change == -1)
        # A line that begins inside has an end without a beginning, and the other way round.
        last = np.searchsorted(end_row * lines.shape[1] + ends, row * lines.shape[1] + begins)
        uncut = last < len(end_row)
        uncut[uncut] = end_row[last[uncut]] == row[uncut]
        lengths.append(ends[last[uncut]] - begins[uncut])
    return np.concatenate(lengths).astype(np.float64)
