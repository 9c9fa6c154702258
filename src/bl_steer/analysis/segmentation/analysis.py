"""The analysis ``segment``: micrographs to label maps, uncertainty and phase fractions.

It loads no torch before it runs: a browser's form needs its parameters alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from time import perf_counter
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bl_steer.analysis import segmentation
from bl_steer.analysis.grey_levels import few_levels
from bl_steer.analysis.provenance import provenance_of
from bl_steer.analysis.segmentation.checks import count_compared
from bl_steer.analysis.segmentation.fields import FieldOfView, field_name, fields_of
from bl_steer.analysis.segmentation.passes import TILE_PX, Passes
from bl_steer.analysis.segmentation.shipped import DEFAULT_MODEL, find_model
from bl_steer.analysis.segmentation.verdict import look_at, verdict_on
from bl_steer.files.many import read_each, unsound
from bl_steer.files.pixel_size import contradictions
from bl_steer.protocols import AnalysisResult, Inputs, Progress

__all__ = ["SegmentMicrographs", "SegmentParams", "provenance_for"]


class SegmentParams(BaseModel):
    """Parameters of the analysis ``segment``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        default=DEFAULT_MODEL, description="a shipped model's name, or a model's folder"
    )
    pixel_size_nm: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="of the micrographs, nm; from their metadata by default",
    )
    views: Literal[1, 2, 4, 8] = Field(
        default=1,
        description="mirrored and turned views to average over; more is slower and better",
    )
    precision: Literal["f32", "bf16"] = Field(
        default="f32", description="of the network's arithmetic"
    )
    keep_probability: bool = Field(default=False, description="keep the probability of every phase")
    bar_px: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="rows of a data bar below each micrograph, which are left out; those that a "
        "file states by default",
    )
    tile_px: int = Field(
        default=TILE_PX, ge=64, le=4096, description="edge of a tile, px; bounds the memory"
    )


class SegmentMicrographs:
    """Split micrographs into phases with a trained network.

    Takes arrays of shape (H, W), or stacks (n, H, W), as fields of view of one sample.
    """

    name: ClassVar[str] = "segment"
    version: ClassVar[str] = "17"
    Params: ClassVar[type[BaseModel]] = SegmentParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return the micrographs of a stored run and its acquisition metadata."""
        if run.frames is None or not len(run.frames):
            raise ValueError(
                f"a run must hold micrographs to be segmented, got run {run.uid} without frames; "
                "take some with take_micrographs"
            )
        frames = (frame for point in range(len(run.frames)) for frame in run.frames[point])
        return Inputs(
            {field_name(number): frame for number, frame in enumerate(frames)},
            {k: v for k, v in run.start.get("conditions", {}).items() if v is not None},
            {"run": run.uid},
        )

    def run(
        self, inputs: Inputs, params: SegmentParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Segment every field of view.

        Returns
        -------
        result : tables ``fractions`` (a row for each field and phase) and ``sample`` (a row for
            each phase, all fields together), with intervals that are NaN where a field holds no
            texture to judge; arrays ``{field}_labels`` and
            ``{field}_uncertainty`` (H, W), and with `keep_probability` ``{field}_probability``
            (n_phases, H, W); `progress` is called after each tile of each field, and after each
            field whose appearance is compared with the training's

        Raises
        ------
        ValueError
            When there is no micrograph that can be segmented; others are left out, and named.
        """
        began = perf_counter()
        model = find_model(params.model)
        passes = Passes(params.tile_px, params.views, params.precision)
        bars: list[str] = []
        every = list(fields_of(inputs, params, bars))
        if not every:
            raise ValueError("there must be a micrograph to segment, got none; give some")
        counted, problems = read_each(lambda field: _steps(model, field, passes), every)
        fields = [field for field, n in zip(every, counted, strict=True) if n is not None]
        steps = [n for n in counted if n is not None]
        if not fields:
            raise unsound(problems)
        n_textured = sum(not few_levels([field.image]) for field in fields)
        total = sum(steps) + count_compared(model, n_textured)
        results: dict[str, segmentation.Segmentation] = {}
        for number, field in enumerate(fields):
            results[field.name] = segmentation.segment(
                model,
                field.image,
                pixel_size_nm=field.size_nm,
                keep_probability=params.keep_probability,
                passes=passes,
                progress=_after(sum(steps[:number]), total, progress),
            )
        images = {field.name: field.image for field in fields}
        verdict = verdict_on(
            model,
            look_at(model, fields),
            {name: result.labels for name, result in results.items()},
            lambda name: results[name].mean_uncertainty,
            image_of=images.__getitem__,
            metadata=_shared(fields, params.pixel_size_nm),
            progress=_after(sum(steps), total, progress),
        )
        arrays = _arrays(results, params.keep_probability)
        return AnalysisResult(
            tables=verdict.tables,
            arrays=arrays,
            provenance={
                **provenance_for(model, params, inputs, began),
                "voxels_nm": _voxels(fields, arrays),
            },
            figures={
                field.name: partial(_draw, field, results[field.name], model.phases)
                for field in fields
            },
            warnings=(
                *inputs.notes,
                *(f"left out: {problem}" for problem in problems),
                *_told_otherwise(inputs.metadata.get("pixel_size_nm"), params.pixel_size_nm),
                *dict.fromkeys(bars),
                *verdict.warnings,
            ),
        )


def _told_otherwise(stated: Any, told: float | None) -> Iterator[str]:
    """Yield what to say of pixel sizes, one or one for each field, that were told otherwise."""
    for size_nm in dict.fromkeys(stated if isinstance(stated, list) else [stated]):
        yield from contradictions("a pixel", told, size_nm)


def _steps(model: segmentation.SegmentationModel, field: FieldOfView, passes: Passes) -> int:
    try:
        return segmentation.count_steps(
            model, field.image, pixel_size_nm=field.size_nm, passes=passes
        )
    except ValueError as error:
        raise ValueError(f"{field.title}: {error}") from error


def _shared(fields: list[FieldOfView], pixel_size_nm: float | None) -> dict[str, Any]:
    """Return the metadata of all fields, a list for each name."""
    keys = dict.fromkeys(key for field in fields for key in field.metadata)
    shared: dict[str, Any] = {key: [field.metadata.get(key) for field in fields] for key in keys}
    return shared if pixel_size_nm is None else shared | {"pixel_size_nm": pixel_size_nm}


def _after(before: int, total: int, progress: Progress | None) -> Progress | None:
    """Return the progress of a part, which begins after so many steps of all."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def provenance_for(
    model: segmentation.SegmentationModel, params: SegmentParams, inputs: Inputs, began: float
) -> dict[str, Any]:
    """Return the provenance of segmented fields."""
    return provenance_of(
        SegmentMicrographs,
        params,
        inputs,
        began,
        weights=model.weights_sha256,
        model=params.model,
        phases=model.phases.to_list(),
        versions={name: version(name) for name in ("torch", "numpy")},
    )


def _arrays(
    results: Mapping[str, segmentation.Segmentation], keep_probability: bool
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for name, result in results.items():
        arrays[f"{name}_labels"] = result.labels
        arrays[f"{name}_uncertainty"] = result.uncertainty
        if keep_probability and result.probability is not None:
            arrays[f"{name}_probability"] = result.probability
    return arrays


def _voxels(
    fields: Sequence[FieldOfView], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, list[float | None]]:
    """Return the edges z, y, x of each array of the fields whose pixel size is known, nm."""
    sizes = {field.name: field.size_nm for field in fields}
    of_arrays = {name: sizes[name.rpartition("_")[0]] for name in arrays}
    return {name: [None, size, size] for name, size in of_arrays.items() if size}


def _draw(
    field: FieldOfView, result: segmentation.Segmentation, phases: segmentation.Phases
) -> Any:
    return segmentation.draw_segmentation(
        field.image, result, phases, pixel_size_nm=field.size_nm, title=field.title
    )
