"""The analysis ``superres``: a slice-and-view stack to a volume with planes inserted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bl_steer.analysis import superresolution
from bl_steer.analysis.provenance import provenance_of
from bl_steer.analysis.superresolution.checks import (
    absent_labels,
    check_lessons,
    check_slices,
    limit_of,
    lossy_warnings,
    stack_warnings,
    voxel_warnings,
)
from bl_steer.analysis.superresolution.decimation import Decimation, even_subset
from bl_steer.analysis.superresolution.effort import MOST, n_doublings
from bl_steer.analysis.superresolution.numbering import numbered
from bl_steer.analysis.superresolution.verdict import check_warnings
from bl_steer.files.errors import lossy_told
from bl_steer.files.pixel_size import contradictions
from bl_steer.files.planes import some_planes
from bl_steer.processing.executors.part_processes import usable_processes
from bl_steer.protocols import AnalysisResult, Array, Inputs, Progress, Table
from bl_steer.stages import STAGES, Stages

__all__ = ["SuperResolutionAnalysis", "SuperResolutionParams", "result_of", "voxel_of"]

STACK = "slices"


class SuperResolutionParams(BaseModel):
    """Parameters of the analysis ``superres``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pitch_nm: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="distance of the slices; from their metadata by default",
    )
    pixel_size_nm: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="edge of a pixel; from the metadata by default",
    )
    n_phases: int | None = Field(
        default=None,
        ge=2,
        le=254,
        description="for labels: how many phases; none for grey levels",
    )
    factor: int = Field(default=8, ge=2, le=16, description="planes for each slice, about")
    model: str | None = Field(
        default=None, description="a trained model's folder; none trains on the stack itself"
    )
    blocks: int = Field(default=4, ge=1, le=32, description="RAM blocks of each stage")
    channels: int = Field(default=24, ge=4, le=256, description="of the networks")
    steps: int = Field(default=300, ge=1, le=100_000, description="of training for each stage")
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the training")
    keep_fractions: bool = Field(
        default=True,
        description="for labels: inserted planes have the fractions and boundaries of the slices",
    )


class SuperResolutionAnalysis:
    """Insert planes between the slices of a stack, learnt from the stack's own planes."""

    name: ClassVar[str] = "superres"
    version: ClassVar[str] = "10"
    Params: ClassVar[type[BaseModel]] = SuperResolutionParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return the frames of a stored run as slices, in their order, with its metadata."""
        if run.frames is None or len(run.frames) < 2:
            raise ValueError(
                f"a run must hold slices to be super-resolved, got run {run.uid} with fewer than "
                "two; take some"
            )
        slices = np.concatenate([np.asarray(run.frames[point]) for point in range(len(run.frames))])
        known = {k: v for k, v in run.start.get("conditions", {}).items() if v is not None}
        return Inputs({STACK: slices}, known, {"run": run.uid})

    def run(
        self, inputs: Inputs, params: SuperResolutionParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Train where no model is given, insert the planes, test the isotropy.

        Parameters
        ----------
        inputs : the array ``slices`` (n, H, W); metadata ``pitch_nm`` and ``pixel_size_nm``

        Returns
        -------
        result : arrays ``volume`` and ``uncertainty`` (N, H, W); tables ``voxel``,
            ``correlation``, ``chords``, and for labels ``fractions``

        Raises
        ------
        ValueError
            When the stack, its voxel or the model do not fit.
        """
        began = perf_counter()
        if list(inputs.arrays) != [STACK]:
            raise ValueError(
                f"there must be one array named {STACK!r}, got {list(inputs.arrays)}; stack the "
                "slices"
            )
        # Sums depend, in their last bits, on the order in memory.
        slices = np.ascontiguousarray(inputs.arrays[STACK])
        voxel_nm = voxel_of(inputs.metadata, params)
        slices, notes = numbered(slices, params.n_phases)
        with lossy_told(inputs.metadata):
            check_slices(slices, params.n_phases)
        stages = Stages(STAGES["superres"], _expected_s(slices.shape, params), progress)
        model = _model(slices, voxel_nm, params, stages)
        params = params.model_copy(update={"n_phases": _n_phases(model, params)})
        slices, told = numbered(slices, params.n_phases)
        with lossy_told(inputs.metadata):
            check_slices(slices, params.n_phases)
        isotropy = superresolution.measure_isotropy(slices, voxel_nm, n_phases=params.n_phases)
        resolved = superresolution.super_resolve(
            model, slices, keep_fractions=params.keep_fractions, progress=stages.of("insert")
        )
        inputs = replace(inputs, arrays={STACK: slices}, notes=[*inputs.notes, *notes, *told])
        return result_of(model, inputs, resolved, isotropy, params, began=began)


def result_of(
    model: superresolution.SuperResolutionModel,
    inputs: Inputs,
    resolved: superresolution.SuperResolved,
    isotropy: superresolution.Isotropy,
    params: SuperResolutionParams,
    *,
    began: float,
) -> AnalysisResult:
    """Return what there is to say of a volume; slices and volume may be numpy or Zarr.

    Parameters
    ----------
    began : `perf_counter` when the work began
    """
    slices: Any = inputs.arrays[STACK]
    voxel_nm = voxel_of(inputs.metadata, params)
    fine_nm = (voxel_nm[0] / model.factor, *voxel_nm[1:])
    tables: dict[str, Table] = {
        "voxel": {"axis": np.array(["z", "y", "x"]), "edge_nm": np.array(fine_nm)},
        "correlation": isotropy.correlation,
        "chords": isotropy.chords,
    }
    if params.n_phases is not None:
        tables["fractions"] = _fractions(slices, resolved.volume, params.n_phases)
    return AnalysisResult(
        tables=tables,
        arrays={"volume": resolved.volume, "uncertainty": resolved.uncertainty},
        provenance=provenance_of(
            SuperResolutionAnalysis,
            params,
            inputs,
            began,
            weights=model.weights_sha256,
            model=params.model,
            limit=limit_of(voxel_nm[0]),
            voxels_nm=dict.fromkeys(("volume", "uncertainty"), fine_nm),
            versions=dict(model.card.get("versions", {})),
        ),
        figures={
            "section": lambda: superresolution.draw_section(
                slices, resolved.volume, resolved.uncertainty, voxel_nm
            )
        },
        warnings=(
            *inputs.notes,
            *contradictions("a pitch", params.pitch_nm, inputs.metadata.get("pitch_nm")),
            *contradictions("a pixel", params.pixel_size_nm, inputs.metadata.get("pixel_size_nm")),
            *lossy_warnings(inputs.metadata, params.n_phases),
            *_warnings(model, slices, voxel_nm, inputs.metadata, learnt_here=params.model is None),
            *isotropy.warnings,
            limit_of(voxel_nm[0]),
        ),
    )


def _warnings(
    model: superresolution.SuperResolutionModel,
    slices: Any,
    voxel_nm: tuple[float, float, float],
    metadata: Mapping[str, Any],
    *,
    learnt_here: bool,
) -> Iterator[str]:
    """Compare a stack with what its model learnt from."""
    n_phases = None if model.kind == "grey" else model.n_values
    if learnt_here:
        yield from absent_labels(even_subset(slices), n_phases)
    yield from voxel_warnings(
        voxel_nm,
        learnt_pitch_px=model.settings.decimation.pitch_px,
        learnt_voxel_nm=model.card.get("data", {}).get("voxel_nm"),
    )
    yield from stack_warnings(slices, n_phases, voxel_nm, metadata.get("slice_files", ()))
    yield from check_warnings(model.card)


def voxel_of(
    metadata: Mapping[str, Any], params: SuperResolutionParams
) -> tuple[float, float, float]:
    """Return the voxel, nm, of the parameters, or as the files state it (`metadata`).

    Raises
    ------
    ValueError
        Where neither tells.
    """
    pitch = params.pitch_nm or metadata.get("pitch_nm")
    size = params.pixel_size_nm or metadata.get("pixel_size_nm")
    if pitch is None or size is None:
        missing = [k for k, v in (("pixel_size_nm", size), ("pitch_nm", pitch)) if v is None]
        raise ValueError(
            f"slices must have {' and '.join(missing)}, which their files do not state"
            f"{f' ({stated})' if (stated := metadata.get('stated_voxel')) else ''}; give "
            f"{'it' if len(missing) == 1 else 'both'} in nm, as the instrument had it"
        )
    return float(pitch), float(size), float(size)


def _model(
    slices: Any,
    voxel_nm: tuple[float, float, float],
    params: SuperResolutionParams,
    stages: Stages,
) -> superresolution.SuperResolutionModel:
    """Return the model that is asked for, or one that has learnt from the stack itself."""
    if params.model is not None:
        return superresolution.SuperResolutionModel.load(params.model)
    lessons = even_subset(slices)
    check_lessons(lessons)
    settings = superresolution.TrainingSettings(
        factor=params.factor,
        decimation=Decimation(pitch_px=voxel_nm[0] / voxel_nm[1]),
        blocks=params.blocks,
        channels=params.channels,
        steps=params.steps,
        seed=params.seed,
    )
    model = superresolution.train_model(
        lessons, settings, n_phases=params.n_phases, progress=stages.of("learn")
    )
    return superresolution.checked(model, slices, stages.of("leave_out"))


def _expected_s(shape: tuple[int, ...], params: SuperResolutionParams) -> dict[str, float]:
    """Return about how long each stage takes, s, in the proportions of one processor."""
    n, height, width = shape
    size = params.blocks * params.channels**2
    step = 2e-5 * size * params.steps
    voxels = 1.2e-3 * size * 1e-6 * height * width / usable_processes()
    inserted = {"insert": voxels * n * params.factor}
    if params.model is not None:
        return inserted
    left_out = 2 * step + voxels * min(n, MOST)
    return inserted | {"learn": step * (n_doublings(params.factor) + 1), "leave_out": left_out}


def _n_phases(
    model: superresolution.SuperResolutionModel, params: SuperResolutionParams
) -> int | None:
    """Return the number of phases of a model, None for grey levels; another one is refused."""
    n_phases = None if model.kind == "grey" else model.n_values
    if params.n_phases not in (None, n_phases):
        learnt = "grey levels" if n_phases is None else f"{n_phases} phases"
        raise ValueError(
            f"n_phases must be that of the model, which learnt {learnt}, got {params.n_phases}; "
            "leave it out, or give the model of these labels"
        )
    return n_phases


def _fractions(slices: Any, volume: Any, n_phases: int) -> Table:
    return {
        "phase": np.arange(n_phases),
        "fraction_of_slices": _shares(slices, n_phases),
        "fraction_of_volume": _shares(volume, n_phases),
    }


def _shares(labels: Any, n_phases: int) -> Array:
    counts = np.zeros(n_phases, np.int64)
    for planes in some_planes(labels):
        for plane in planes:  # bincount makes 8 bytes of each voxel
            counts += np.bincount(plane.ravel(), minlength=n_phases)
    return np.asarray(counts / counts.sum())
