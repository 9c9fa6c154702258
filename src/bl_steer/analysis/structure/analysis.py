"""The analysis ``structure``: a label volume to tables of what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from time import perf_counter
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bl_steer.analysis import structure
from bl_steer.analysis.provenance import provenance_of
from bl_steer.analysis.structure.blocks import Blocks
from bl_steer.analysis.structure.checks import (
    check_labels,
    check_voxel,
    empty_phase_warnings,
    interval_warnings,
    orientation_warnings,
    plane_warnings,
    resolution_warnings,
    thin_part_warnings,
    unlabelled_warnings,
    voxel_warnings,
    white_notes,
)
from bl_steer.analysis.structure.odd_planes import odd_plane_warnings
from bl_steer.analysis.structure.phases import parse_phases
from bl_steer.files.errors import lossy_told
from bl_steer.files.pixel_size import contradictions
from bl_steer.processing.publish import is_analysis
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table
from bl_steer.single_thread import single_thread
from bl_steer.slicing.breaks import break_warnings
from bl_steer.slicing.order import order_warnings

__all__ = ["StructureAnalysis", "StructureParams"]

PASSES = 9
"""Times that the volume is read: once to check it, and once for each measure."""


class StructureParams(BaseModel):
    """Parameters of the analysis ``structure``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voxel_size_nm: tuple[float, float, float] | None = Field(
        default=None,
        description="edges of a voxel along z, y, x, nm; from the volume's metadata by default",
        json_schema_extra={"option": "voxel-nm", "metavar": "Z,Y,X"},
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
        default=4,
        ge=1,
        le=16,
        description="blocks along each axis, for the 95 % intervals",
        json_schema_extra={"option": "interval-blocks"},
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

    @field_validator("voxel_size_nm")
    @classmethod
    def _is_voxel(cls, edges: tuple[float, float, float] | None) -> Any:
        return edges if edges is None else check_voxel(edges)


class StructureAnalysis:
    """Measure a label volume: volumes, contact areas, triple lines, connectivity, lengths."""

    name: ClassVar[str] = "structure"
    version: ClassVar[str] = "8"
    Params: ClassVar[type[BaseModel]] = StructureParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return the labels of a stored run: an analysis, or frames that are maps in order of z."""
        if is_analysis(run.start):
            return structure.inputs_from_analysis(run)
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
        began = perf_counter()
        if "labels" not in inputs.arrays:
            raise ValueError(
                f"a structure must be measured on the array labels, got {sorted(inputs.arrays)}; "
                "give the label volume under that name"
            )
        with lossy_told(inputs.metadata):
            labels = check_labels(inputs.arrays["labels"])
        voxel = check_voxel(
            params.voxel_size_nm or inputs.metadata.get("voxel_size_nm"),
            inputs.metadata.get("stated_voxel", ""),
        )
        names = parse_phases(params.phases or inputs.metadata.get("phases"))
        steps = _steps(progress)
        tables_of = structure.tables_of  # loads what `single_thread` reaches only once it is loaded
        with single_thread(), lossy_told(inputs.metadata):
            volume = structure.LabelVolume.of(labels, voxel, names, progress=next(steps))
        with single_thread():
            measures = _measure(volume, params, steps)
        tables = tables_of(measures)
        return AnalysisResult(
            tables=tables,
            arrays={},
            provenance=provenance_of(
                self,
                # As used, so that the digest does not depend on who named voxel and phases.
                {
                    **params.model_dump(mode="json"),
                    "voxel_size_nm": list(voxel),
                    "phases": ",".join(f"{k}:{name}" for k, name in volume.names.items()),
                },
                inputs,
                began,
                phases={str(label): name for label, name in volume.names.items()},
                shape=list(volume.shape),
                interval_blocks=list(Blocks.of(volume.shape, params.blocks).shape),
                flat_interface_seen=[measures.areas.flat_least, measures.areas.flat_largest],
                straight_line_seen=[
                    measures.lines.straight_least,
                    measures.lines.straight_largest,
                ],
            ),
            figures={
                "structure": lambda: structure.draw_structure(measures),
                "isotropy": lambda: structure.draw_isotropy(measures),
            },
            warnings=(
                *inputs.notes,
                *white_notes(names, volume.names),
                *unlabelled_warnings(names, volume.names),
                *contradictions(
                    "a voxel", params.voxel_size_nm, inputs.metadata.get("voxel_size_nm")
                ),
                *_of_edges(params.voxel_size_nm, inputs.metadata),
                *_warnings(measures, tables, params),
                *odd_plane_warnings(labels),
                *order_warnings(labels, labels=True),
                *break_warnings(labels, labels=True),
            ),
        )


def _measure(
    volume: structure.LabelVolume, params: StructureParams, steps: Iterator[Progress | None]
) -> structure.Measures:
    by_blocks: dict[str, Any] = {
        "blocks": params.blocks,
        "n_draws": params.n_bootstrap,
        "seed": params.seed,
    }
    in_box = {"fills_box": params.edge_correction, **by_blocks}
    as_a_whole: dict[str, Any] = {"fills_box": params.edge_correction, "blocks": 1}
    thick = structure.thick_parts_of(volume)
    return structure.Measures(
        volume,
        structure.volume_fractions(volume, progress=next(steps), **by_blocks),
        structure.contact_areas(
            volume, n_directions=params.directions, progress=next(steps), **in_box
        ),
        structure.triple_line_lengths(volume, progress=next(steps), **in_box),
        structure.connected_parts(volume, progress=next(steps)),
        structure.chord_lengths(volume, progress=next(steps)),
        structure.two_point_correlation(volume, max_lag_nm=params.max_lag_nm, progress=next(steps)),
        structure.contact_areas(
            thick, n_directions=params.directions, progress=next(steps), **as_a_whole
        ),
        structure.triple_line_lengths(thick, progress=next(steps), **as_a_whole),
    )


def _of_edges(
    told: tuple[float, float, float] | None, metadata: Mapping[str, Any]
) -> Iterator[str]:
    """Compare a voxel that was told with a pitch or a pixel, where a file states no whole voxel."""
    if told is not None and "voxel_size_nm" not in metadata:
        yield from contradictions("a pitch", told[0], metadata.get("pitch_nm"))
        yield from contradictions("a pixel", told[2], metadata.get("pixel_size_nm"))


def _warnings(
    measures: structure.Measures, tables: dict[str, Table], params: StructureParams
) -> Iterator[str]:
    volume, chords_nm = measures.volume, measures.chords.mean_nm
    voxel = volume.voxel_size_nm
    yield from voxel_warnings(voxel, by_hand=params.voxel_size_nm is not None)
    yield from empty_phase_warnings(volume.phases, volume.counts.tolist())
    yield from interval_warnings(volume.shape, voxel, chords_nm, blocks=params.blocks)
    yield from resolution_warnings(volume.phases, voxel, chords_nm, directions=params.directions)
    yield from plane_warnings(volume.shape)
    if 1 not in volume.shape:  # one plane has been spoken of
        flat = structure.flat_ratios(measures.areas)
        yield from orientation_warnings(tables["areas"], "area", "um2", flat, "counting lines")
        straight = measures.lines.straight_ratio
        lines = tables["triple_lines"]
        yield from orientation_warnings(lines, "length", "um", straight, "counting planes")
    a, b = np.triu_indices(len(volume.phases), 1)
    thick = structure.UM**2 * measures.thick_areas.area_nm2[a, b]
    yield from thin_part_warnings(tables["areas"], "area", "um2", thick)
    thick = structure.UM * measures.thick_lines.length_nm
    yield from thin_part_warnings(tables["triple_lines"], "length", "um", thick)


def _steps(progress: Progress | None) -> Iterator[Progress | None]:
    """Yield for each pass what reports its progress as a part of all passes."""
    for number in range(PASSES):
        yield None if progress is None else partial(_report, progress, number)


def _report(progress: Progress, number: int, done: int, total: int) -> None:
    progress(number * total + done, PASSES * total)
