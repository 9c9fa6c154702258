"""The analysis ``structure``: a label volume to tables of what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bl_steer.analysis.structure.blocks import MIN_BLOCKS, Blocks
from bl_steer.analysis.structure.directions import DIRECTIONS
from bl_steer.analysis.structure.phases import parse_phases
from bl_steer.analysis.structure.volume import LabelVolume, check_labels, check_voxel
from bl_steer.processing.single_thread import single_thread
from bl_steer.protocols import AnalysisResult, Inputs, Progress

if TYPE_CHECKING:
    from bl_steer.analysis.structure.tables import Measures

__all__ = ["StructureAnalysis", "StructureParams"]

LEAST_NM = 1.0
"""Edge of a voxel below which its unit is asked for."""
NEARLY = 0.95
"""Share of a pixel's edge from which a voxel counts as no thinner."""
PASSES = 7
"""Times that the volume is read: once to check it, and once for each measure."""


class StructureParams(BaseModel):
    """Parameters of the analysis ``structure``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voxel_size_nm: tuple[float, float, float] | None = Field(
        default=None,
        description="edges of a voxel along z, y, x, nm; from the volume's metadata by default",
    )
    phases: str = Field(
        default="",
        description="names of the labels 0, 1, …, or LABEL:NAME,…; from the volume's metadata, or "
        "all labels that occur, by default",
    )
    directions: Literal[13, 49] = Field(
        default=13,
        description="directions of the lines that count interfaces; 49 is more even, but steps "
        "over films thinner than three voxels",
    )
    edge_correction: bool = Field(
        default=True,
        description="the structure goes on beyond the box; off for a body wholly inside it",
    )
    blocks: int = Field(
        default=4, ge=1, le=16, description="blocks along each axis, for the intervals"
    )
    n_bootstrap: int = Field(default=1000, ge=100, le=100_000, description="draws of the blocks")
    max_lag_nm: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        description="longest lag of the two-point correlation, nm; a quarter of the shortest edge "
        "by default",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the draws")


class StructureAnalysis:
    """Measure a label volume: volumes, contact areas, triple lines, connectivity, lengths."""

    name: ClassVar[str] = "structure"
    version: ClassVar[str] = "1"
    Params: ClassVar[type[BaseModel]] = StructureParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return the labels of a stored run: an analysis, or frames that are maps in order of z."""
        from bl_steer.analysis.structure.stored import inputs_from_analysis
        from bl_steer.processing.publish import is_analysis

        if is_analysis(run.start):
            return inputs_from_analysis(run)
        if run.frames is None or not len(run.frames):
            raise ValueError(
                f"structure must come from a run whose frames are label maps, got run {run.uid} "
                "without frames; give it the labels of a super-resolved stack"
            )
        labels = np.concatenate(list(run.frames[:]))
        check_labels(labels)
        conditions = run.start.get("conditions", {})
        known = {key: conditions[key] for key in ("voxel_size_nm", "phases") if key in conditions}
        return Inputs({"labels": labels}, known, {"run": run.uid})

    def run(
        self, inputs: Inputs, params: StructureParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Measure the volume ``labels`` of shape (Z, Y, X); numpy, Zarr or dask.

        The metadata may hold ``voxel_size_nm`` (z, y, x) and ``phases``, names by label.

        Returns
        -------
        result : tables ``volumes``, ``areas``, ``directions``, ``triple_lines``, ``connectivity``,
            ``chords``, ``chord_lengths`` and ``correlation``; see
            `bl_steer.analysis.structure.tables`. No arrays.

        Raises
        ------
        ValueError
            When there is no such volume, or labels, names or voxel do not fit.
        """
        from bl_steer.analysis.structure import tables

        began = perf_counter()
        if "labels" not in inputs.arrays:
            raise ValueError(
                f"a structure must be measured on the array labels, got {sorted(inputs.arrays)}; "
                "give the label volume under that name"
            )
        labels = inputs.arrays["labels"]
        check_labels(labels)
        voxel = check_voxel(params.voxel_size_nm or inputs.metadata.get("voxel_size_nm"))
        names = parse_phases(params.phases or inputs.metadata.get("phases"))
        steps = _steps(progress)
        with single_thread():
            volume = LabelVolume.of(labels, voxel, names, progress=next(steps))
            measures = _measure(volume, params, steps)
        return AnalysisResult(
            tables=tables.tables_of(measures),
            arrays={},
            provenance={
                "name": self.name,
                "version": self.version,
                # As used, so that the digest does not depend on who named voxel and phases.
                "params": {
                    **params.model_dump(mode="json"),
                    "voxel_size_nm": list(voxel),
                    "phases": ",".join(f"{k}:{name}" for k, name in volume.names.items()),
                },
                "weights": None,
                "phases": {str(label): name for label, name in volume.names.items()},
                "shape": list(volume.shape),
                "flat_interface_seen": [measures.areas.flat_least, measures.areas.flat_largest],
                "straight_line_seen": [
                    measures.lines.straight_least,
                    measures.lines.straight_largest,
                ],
                "source": dict(inputs.source),
                "duration_s": perf_counter() - began,
            },
            figures=_figures(measures),
            warnings=tuple(_warnings(measures, params)),
        )


def _measure(
    volume: LabelVolume, params: StructureParams, steps: Iterator[Progress | None]
) -> Measures:
    from bl_steer.analysis.structure.areas import contact_areas
    from bl_steer.analysis.structure.chords import chord_lengths
    from bl_steer.analysis.structure.connectivity import connectivity
    from bl_steer.analysis.structure.correlation import two_point_correlation
    from bl_steer.analysis.structure.fractions import volume_fractions
    from bl_steer.analysis.structure.tables import Measures
    from bl_steer.analysis.structure.triple_lines import triple_lines

    shared: dict[str, Any] = {
        "blocks": params.blocks,
        "n_draws": params.n_bootstrap,
        "seed": params.seed,
    }
    drawn = {"fills_box": params.edge_correction, **shared}
    return Measures(
        volume,
        volume_fractions(volume, progress=next(steps), **shared),
        contact_areas(volume, n_directions=params.directions, progress=next(steps), **drawn),
        triple_lines(volume, progress=next(steps), **drawn),
        connectivity(volume, progress=next(steps)),
        chord_lengths(volume, progress=next(steps)),
        two_point_correlation(volume, max_lag_nm=params.max_lag_nm, progress=next(steps)),
    )


def _steps(progress: Progress | None) -> Iterator[Progress | None]:
    """Yield for each pass what tells its progress as a part of the whole."""
    for number in range(PASSES):
        yield None if progress is None else partial(_report, progress, number)


def _report(progress: Progress, number: int, done: int, total: int) -> None:
    progress(number * total + done, PASSES * total)


def _warnings(measures: Measures, params: StructureParams) -> Iterator[str]:
    """Say where intervals or the resolution do not suffice."""
    volume = measures.volume
    if min(volume.voxel_size_nm) < LEAST_NM:
        yield (
            f"voxels of {' × '.join(f'{edge:g}' for edge in volume.voxel_size_nm)} nm are smaller "
            "than those of any microscope; were they meant in µm?"
        )
    z, *pixel = volume.voxel_size_nm
    if params.voxel_size_nm is not None and z < NEARLY * max(pixel):
        yield (
            f"a voxel of {z:g} nm along z and {pixel[0]:g} × {pixel[1]:g} nm in the slices is "
            "thinner than wide, as is rare; the order is Z,Y,X"
        )
    blocks = Blocks.of(volume.shape, params.blocks)
    if len(blocks) < MIN_BLOCKS:
        yield (
            f"no intervals: the volume of {' × '.join(map(str, volume.shape))} voxels makes "
            f"{len(blocks)} blocks of 8 voxels or more, fewer than {MIN_BLOCKS}"
        )
    edges = np.array(volume.shape) / np.array(blocks.shape) * np.array(volume.voxel_size_nm)
    chords = measures.chords.mean_nm
    longest = np.nanmax(chords, axis=0) if np.isfinite(chords).any(axis=0).all() else edges
    if len(blocks) >= MIN_BLOCKS and (edges < 2 * longest).any():
        axis = int(np.argmin(edges / longest))
        remedy = "take fewer blocks or a larger volume"
        if blocks.shape[axis] == 1:
            remedy = "take a larger volume"
        yield (
            f"intervals are too narrow: blocks are {edges[axis]:.4g} nm along {'zyx'[axis]}, under "
            f"twice the mean chord of {longest[axis]:.4g} nm; {remedy}"
        )
    thick = 4 * DIRECTIONS[params.directions]
    thin = chords < thick * np.array(volume.voxel_size_nm)
    for phase, name in enumerate(volume.phases):
        if thin[phase].any():
            axis = int(np.argmax(thin[phase]))
            yield (
                f"{name} is barely resolved: its mean chord along {'zyx'[axis]} is "
                f"{chords[phase, axis]:.4g} nm, under {thick} voxels; its areas and lines are "
                "uncertain beyond the intervals"
            )


def _figures(measures: Measures) -> Mapping[str, Callable[[], Any]]:
    def draw(name: str) -> Any:
        from bl_steer.analysis.structure import figures as structure_figures

        return getattr(structure_figures, name)(measures)

    return {
        "structure": partial(draw, "draw_structure"),
        "isotropy": partial(draw, "draw_isotropy"),
    }
