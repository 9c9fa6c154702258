"""The analysis ``reconstruct``: slices of a FIB-SEM to a volume, and what that holds."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field

from bl_steer.analysis import reconstruction, segmentation, slices
from bl_steer.analysis.provenance import provenance_of
from bl_steer.analysis.reconstruction.checks import gap_warnings, training_warnings
from bl_steer.analysis.segmentation.checks import negative_warnings
from bl_steer.analysis.segmentation.shipped import DEFAULT_MODEL
from bl_steer.analysis.superresolution.effort import MOST, n_doublings
from bl_steer.files.pixel_size import IN_MICROMETRES, small_edges
from bl_steer.files.volumes import planes_of
from bl_steer.processing.executors.part_processes import usable_processes
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table
from bl_steer.stages import STAGES, Stages

__all__ = ["Reconstruct", "ReconstructParams"]


class ReconstructParams(slices.SliceParams):
    """Parameters of the analysis ``reconstruct``."""

    model: str = Field(
        default=DEFAULT_MODEL,
        description="of the segmentation: a shipped model's name, or a model's folder",
    )
    views: Literal[1, 2, 4, 8] = Field(
        default=1, description="of a slice to average the segmentation over; more is slower"
    )
    speck_px: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="parts of fewer pixels in a plane take the phase beside them; 1 keeps all",
    )
    factor: int = Field(default=8, ge=2, le=16, description="planes for each slice, about")
    plane_nm: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="distance of the planes; pitch over factor by default",
    )
    blocks: int = Field(default=4, ge=1, le=32, description="RAM blocks of each stage")
    channels: int = Field(
        default=24, ge=4, le=256, description="of the super-resolution's networks"
    )
    steps: int = Field(default=300, ge=1, le=100_000, description="of training for each stage")
    check: bool = Field(
        default=True, description="leave slices out and predict them, to know how far to trust it"
    )
    interval_blocks: int = Field(
        default=4, ge=1, le=16, description="blocks along each axis, for the 95 % intervals"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="of training and intervals")


class Reconstruct:
    """Align, segment, super-resolve and measure the slices of a run.

    A chain of ``align-slices``, the shipped segmentation less its specks, networks that learn from
    the run's own label maps, and ``structure``; with the same measures on the slices taken as
    thick slabs, and on Lanczos' interpolation of their grey levels.
    """

    name: ClassVar[str] = "reconstruct"
    version: ClassVar[str] = "29"
    Params: ClassVar[type[BaseModel]] = ReconstructParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return the slices of a stored run and of those that it carries on."""
        return slices.stack_of(run)

    def run(
        self, inputs: Inputs, params: ReconstructParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Reconstruct the volume.

        Parameters
        ----------
        inputs : as of ``align-slices``: array ``slices`` (n, H, W), if known ``slice``, ``z_nm``
            and ``beam_shift_nm``; metadata ``pixel_size_nm``, ``pitch_nm``, if known ``marks``
        progress : called with steps of which `bl_steer.stages.stage_of` reads the stage

        Returns
        -------
        result : arrays ``slices`` and ``labels`` (n, H', W'), ``slice_z_nm`` (n,), ``volume`` and
            ``uncertainty`` (N, H', W'), ``z_nm`` (N,); tables ``table_1`` and ``table_2``; those
            of ``structure`` with a first column ``method``; ``slices`` and ``thin``; of the trust
            ``leave_out``, ``isotropy_chords``, ``isotropy_correlation``, ``shell_correlation``

        Raises
        ------
        ValueError
            When the slices are too few or too small, or pixel size and pitch are not known.
        """
        began = perf_counter()
        given, inputs = inputs, slices.prepare(inputs, params)
        pixel_nm = float(inputs.metadata["pixel_size_nm"])
        _check_pitch(float(inputs.metadata["pitch_nm"]), pixel_nm)
        model = segmentation.find_model(params.model)
        names = model.phases.names
        stages = Stages(STAGES["reconstruct"], _expected_s(inputs, params), progress)
        aligned = slices.AlignSlices().run(
            replace(inputs, notes=(), source={}),
            slices.AlignParams(bar_px=0, keep_bad=params.keep_bad),
            stages.of("align"),
        )
        images, window = aligned.arrays["slices"], aligned.provenance["window"]
        slice_names, middle = aligned.provenance["slice_names"], len(images) // 2
        negative = segmentation.seems_negative(model, images[middle], pixel_nm)
        depths = _depths(aligned.tables["slices"], params)
        params = params.model_copy(update={"factor": depths.factor})
        labels = reconstruction.segment_slices(
            model,
            images,
            pixel_nm,
            views=params.views,
            speck_px=params.speck_px,
            progress=stages.of("segment"),
        )
        settings = reconstruction.settings_for(
            depths,
            pixel_nm,
            **{key: getattr(params, key) for key in ("blocks", "channels", "steps", "seed")},
        )
        parts = 1 + bool(len(depths.gaps))
        network = reconstruction.train_on_labels(
            labels, settings, len(names), stages.of("learn", 0, parts)
        )
        filled = reconstruction.fill_gaps(
            labels,
            depths,
            settings,
            len(names),
            speck_px=params.speck_px,
            progress=stages.of("learn", parts - 1, parts),
        )
        volume, uncertainty = reconstruction.insert_planes(
            network, filled.labels, filled.depths, stages.of("insert")
        )
        filled.doubt(uncertainty)
        reconstruction.take_out_specks(volume, params.speck_px)
        trust = reconstruction.judge(
            labels,
            network,
            depths,
            pixel_nm,
            names,
            slice_names=slice_names,
            check=params.check,
            progress=stages.of("leave_out"),
        )
        compared = reconstruction.compare(
            reconstruction.Reconstruction(images, labels, volume, depths, pixel_nm, names),
            blocks=params.interval_blocks,
            seed=params.seed,
            stages=stages,
        )
        return _with_figures(
            AnalysisResult(
                tables={**compared.tables, "slices": aligned.tables["slices"], **trust.tables},
                arrays={
                    "slices": images,
                    "labels": labels,
                    "slice_z_nm": depths.slice_z_nm,
                    "volume": volume,
                    "uncertainty": uncertainty,
                    "z_nm": depths.z_nm,
                },
                provenance=provenance_of(
                    self,
                    params,
                    given,
                    began,
                    weights=model.weights_sha256,
                    model=params.model,
                    superresolution_weights=network.weights_sha256,
                    gap_weights=filled.weights_sha256,
                    phases=model.phases.to_list(),
                    voxel_nm=[depths.step_nm, pixel_nm, pixel_nm],
                    pitch_nm=depths.pitch_nm,
                    voxels_nm={
                        name: [step, pixel_nm, pixel_nm]
                        for step, names in (
                            (depths.step_nm, ("volume", "uncertainty")),
                            (depths.pitch_nm, ("slices", "labels")),
                        )
                        for name in names
                    },
                    planes=dict.fromkeys(
                        ("slices", "labels"), planes_of(depths.slice_z_nm, depths.pitch_nm)
                    ),
                    resolution_nm=trust.resolution_nm,
                    window=window,
                    versions=dict(network.card.get("versions", {})),
                ),
                warnings=(
                    *inputs.notes,
                    *aligned.warnings,
                    *training_warnings(model, inputs, window),
                    *negative_warnings({f"slice {slice_names[middle]}": negative}),
                    *gap_warnings(depths),
                    *trust.warnings,
                    *compared.warnings,
                ),
            )
        )


def _expected_s(inputs: Inputs, params: ReconstructParams) -> dict[str, float]:
    """Return about how long each stage takes, s, of slices with these parameters.

    In the proportions of one processor; what goes on in several processes takes less.
    """
    n, height, width = inputs.arrays["slices"].shape
    pitch_nm = float(inputs.metadata["pitch_nm"])
    planes = max(params.factor, round(pitch_nm / (params.plane_nm or pitch_nm)))
    pixels, size = 1e-6 * height * width, params.blocks * params.channels**2
    beside = usable_processes()
    step, voxels = 2e-5 * size * params.steps, 1.2e-3 * size * pixels / beside
    left_out = min(n, MOST) if params.check else 0
    return {
        "align": 1.3 * n * pixels,
        "segment": 1.2 * n * pixels * params.views / beside,
        "learn": step * (n_doublings(planes) + 1),
        "insert": voxels * n * planes,
        "leave_out": step * 2 * (left_out > 0) + voxels * left_out,
        "measure": 0.5 * n * planes * pixels,
    }


def _check_pitch(pitch_nm: float, pixel_nm: float) -> None:
    """Refuse slices no further apart than their pixels, before anything is computed."""
    if pitch_nm <= pixel_nm:
        unit = f"{IN_MICROMETRES} Else " if any(small_edges("pixels", pitch_nm)) else ""
        raise ValueError(
            f"pitch_nm must be more than a pixel's {pixel_nm:g} nm, for planes to be inserted "
            f"between the slices, got {pitch_nm:g} nm; {unit}give the distance of two slices in nm"
        )


def _depths(table: Table, params: ReconstructParams) -> reconstruction.EvenDepths:
    recorded = np.asarray(table["plane"]) >= 0
    measured = np.asarray(table["z_nm"])[recorded]
    return reconstruction.EvenDepths.of(measured, params.factor, step_nm=params.plane_nm)


def _with_figures(result: AnalysisResult) -> AnalysisResult:
    return replace(
        result,
        figures={
            "figure_5": lambda: reconstruction.draw_figure_5(result),
            "amounts": lambda: reconstruction.draw_amounts(result.tables),
            "trust": lambda: reconstruction.draw_trust(result),
        },
    )
