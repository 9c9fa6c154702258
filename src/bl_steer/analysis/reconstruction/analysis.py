"""The analysis ``reconstruct``: slices of a FIB-SEM to a volume, and what that holds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.reconstruction.stages import Stages
from bl_steer.analysis.segmentation.shipped import DEFAULT_MODEL
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table

if TYPE_CHECKING:
    from bl_steer.analysis.segmentation.model import SegmentationModel

__all__ = ["Reconstruct", "ReconstructParams"]


class ReconstructParams(BaseModel):
    """Parameters of the analysis ``reconstruct``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        description="parts of fewer pixels in a slice take the phase beside them; 1 keeps all",
    )
    factor: Literal[2, 4, 8, 16] = Field(default=8, description="planes for each slice, about")
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
    seed: int = Field(default=0, ge=0, lt=2**32)


class Reconstruct:
    """Align, segment, super-resolve and measure the slices of a run.

    A chain of ``align-slices``, the shipped segmentation less its specks, networks that learn from
    the run's own label maps, and ``structure``; with the same measures on the slices taken as
    thick slabs, and on Lanczos' interpolation of their grey levels.
    """

    name: ClassVar[str] = "reconstruct"
    version: ClassVar[str] = "3"
    Params: ClassVar[type[BaseModel]] = ReconstructParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return the slices of a stored run and of those that it carries on."""
        from bl_steer.analysis.slices.recorded_slices import stack_of

        return stack_of(run)

    def run(
        self, inputs: Inputs, params: ReconstructParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Reconstruct the volume.

        Parameters
        ----------
        inputs : as of ``align-slices``: array ``slices`` (n, H, W), if known ``slice``, ``z_nm``
            and ``beam_shift_nm``; metadata ``pixel_size_nm``, ``pitch_nm``, if known ``marks``
        progress : told of 1000 steps; `bl_steer.analysis.reconstruction.stages.stage_at` names
            the stage

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
        from bl_steer.analysis.reconstruction.comparison import Reconstruction, compare
        from bl_steer.analysis.reconstruction.insertion import insert_planes, settings_for, train
        from bl_steer.analysis.reconstruction.trust import judge
        from bl_steer.analysis.segmentation.shipped import find_model
        from bl_steer.analysis.slices.analysis import AlignParams, AlignSlices

        began = perf_counter()
        size = _pixel_size(inputs)
        model = find_model(params.model)
        names = model.phases.names
        stages = Stages(progress)
        aligned = AlignSlices().run(inputs, AlignParams(), stages.of("align"))
        slices, window = aligned.arrays["slices"], aligned.provenance["window"]
        depths = _depths(aligned.tables["slices"], params)
        labels = _segmented(model, slices, size, params, stages.of("segment"))
        settings = settings_for(
            depths,
            size,
            **{key: getattr(params, key) for key in ("blocks", "channels", "steps", "seed")},
        )
        network = train(labels, settings, len(names), stages.of("learn"))
        volume, uncertainty = insert_planes(network, labels, depths, stages.of("insert"))
        trust = judge(
            labels,
            network,
            depths,
            size,
            names,
            check=params.check,
            progress=stages.of("leave out"),
        )
        made = Reconstruction(slices, labels, volume, depths, size, names)
        compared = compare(made, blocks=params.interval_blocks, seed=params.seed, stages=stages)
        return _with_figures(
            AnalysisResult(
                tables={**compared.tables, "slices": aligned.tables["slices"], **trust.tables},
                arrays={
                    "slices": slices,
                    "labels": labels,
                    "slice_z_nm": depths.slice_z_nm,
                    "volume": volume,
                    "uncertainty": uncertainty,
                    "z_nm": depths.z_nm,
                },
                provenance={
                    "name": self.name,
                    "version": self.version,
                    # The hash of the weights says which model it was, wherever its folder is.
                    "params": params.model_dump(mode="json", exclude={"model"}),
                    "weights": model.weights_sha256,
                    "model": params.model,
                    "superresolution_weights": network.weights_sha256,
                    "phases": model.phases.to_list(),
                    "voxel_nm": [depths.step_nm, size, size],
                    "pitch_nm": depths.pitch_nm,
                    "resolution_nm": trust.resolution_nm,
                    "window": window,
                    "source": dict(inputs.source),
                    "versions": dict(network.card.get("versions", {})),
                    "duration_s": perf_counter() - began,
                },
                warnings=(
                    *aligned.warnings,
                    *_unlike_training(model, inputs, window),
                    *_gaps(depths),
                    *trust.warnings,
                    *compared.warnings,
                ),
            )
        )


def _pixel_size(inputs: Inputs) -> float:
    size, pitch = (inputs.metadata.get(key) for key in ("pixel_size_nm", "pitch_nm"))
    if "slices" not in inputs.arrays or size is None or pitch is None:
        raise ValueError(
            "a reconstruction must have slices, pixel_size_nm and pitch_nm, got "
            f"{sorted(inputs.arrays)}, {size} and {pitch}; give them as arrays and metadata"
        )
    return float(size)


def _depths(table: Table, params: ReconstructParams) -> EvenDepths:
    taken = np.asarray(table["plane"]) >= 0
    measured = np.asarray(table["z_nm"])[taken]
    return EvenDepths.of(measured, params.factor, step_nm=params.plane_nm)


def _segmented(
    model: SegmentationModel,
    slices: NDArray[np.uint8],
    size: float,
    params: ReconstructParams,
    progress: Progress | None,
) -> NDArray[np.uint8]:
    from bl_steer.analysis.reconstruction.specks import without_specks
    from bl_steer.analysis.segmentation import Passes
    from bl_steer.analysis.segmentation.segmentation import segment

    labels = np.empty(slices.shape, np.uint8)
    passes = Passes(views=params.views)
    for number, image in enumerate(slices):
        found = segment(model, image, pixel_size_nm=size, keep_probability=False, passes=passes)
        labels[number] = without_specks(found.labels, params.speck_px)
        if progress is not None:
            progress(number + 1, len(slices))
    return labels


def _unlike_training(
    model: SegmentationModel, inputs: Inputs, window: list[list[int]]
) -> list[str]:
    """Compare the images as recorded with the training's; aligning them has changed their noise."""
    from bl_steer.analysis.segmentation import Acquisition, compared_images

    recorded = model.card.get("conditions")
    if recorded is None:
        return []
    (top, bottom), (left, right) = window
    images: Any = inputs.arrays["slices"]
    some = [np.asarray(images[k])[top:bottom, left:right] for k in compared_images(len(images))]
    return Acquisition.from_dict(recorded).warnings_for(some, inputs.metadata)


def _gaps(depths: EvenDepths) -> Iterator[str]:
    gaps = depths.gaps
    if len(gaps):
        z = depths.slice_z_nm
        wide = ", ".join(f"{z[k]:.0f} to {z[k + 1]:.0f}" for k in gaps[:5])
        more = f" and {len(gaps) - 5} more" if len(gaps) > 5 else ""
        yield (
            f"nothing was measured between the depths {wide} nm{more}: the planes that are "
            "inserted there know less than the others"
        )


def _with_figures(result: AnalysisResult) -> AnalysisResult:
    from bl_steer.analysis.reconstruction import figures

    drawn = {
        "figure_5": partial(figures.draw_figure_5, result),
        "amounts": partial(figures.draw_amounts, result.tables),
        "trust": partial(figures.draw_trust, result),
    }
    return AnalysisResult(result.tables, result.arrays, result.provenance, drawn, result.warnings)
