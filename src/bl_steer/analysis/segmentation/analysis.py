"""The analysis ``segment``: micrographs to label maps, uncertainty and phase fractions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bl_steer.analysis.segmentation.fractions import Fractions, phase_fractions
from bl_steer.analysis.segmentation.shipped import DEFAULT_MODEL, find_model
from bl_steer.analysis.segmentation.tiles import TILE_PX, Passes
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table

if TYPE_CHECKING:
    from bl_steer.analysis.segmentation.model import SegmentationModel
    from bl_steer.analysis.segmentation.segmentation import Segmentation

__all__ = ["SegmentMicrographs"]

Figures = dict[str, Callable[[], Any]]


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
    tile_px: int = Field(
        default=TILE_PX, ge=64, le=4096, description="edge of a tile, px; bounds the memory"
    )


class SegmentMicrographs:
    """Split micrographs into phases with a trained network.

    Takes arrays of shape (H, W), or stacks (n, H, W), as fields of view of one sample.
    """

    name: ClassVar[str] = "segment"
    version: ClassVar[str] = "2"
    Params: ClassVar[type[BaseModel]] = SegmentParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return the micrographs of a stored run and its conditions."""
        if run.frames is None or not len(run.frames):
            raise ValueError(
                f"a run must hold micrographs to be segmented, got run {run.uid} without frames; "
                "take some with take_micrographs"
            )
        frames = (frame for point in range(len(run.frames)) for frame in run.frames[point])
        return Inputs(
            {f"field_{number:03d}": frame for number, frame in enumerate(frames)},
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
            each phase, all fields together); arrays ``{field}_labels`` and
            ``{field}_uncertainty`` (H, W), and with `keep_probability` ``{field}_probability``
            (n_phases, H, W); `progress` is told of each tile of each field, and of each field
            whose looks are compared with the training's

        Raises
        ------
        ValueError
            When there is no micrograph, or one cannot be segmented.
        """
        from bl_steer.analysis.segmentation.segmentation import count_steps, segment

        began = perf_counter()
        model = find_model(params.model)
        passes = Passes(params.tile_px, params.views, params.precision)
        fields = list(_fields(inputs))
        if not fields:
            raise ValueError("there must be a micrograph to segment, got none; give some")
        sizes = [params.pixel_size_nm or one.get("pixel_size_nm") for _, _, one in fields]
        steps = [
            count_steps(model, image, pixel_size_nm=size, passes=passes)
            for (_, image, _), size in zip(fields, sizes, strict=True)
        ]
        total = sum(steps) + len(_looked_at(model, fields))
        found: dict[str, Segmentation] = {}
        for number, (name, image, _) in enumerate(fields):
            found[name] = segment(
                model,
                image,
                pixel_size_nm=sizes[number],
                keep_probability=params.keep_probability,
                passes=passes,
                progress=_after(sum(steps[:number]), total, progress),
            )
        warnings = _warnings(
            model, fields, params.pixel_size_nm, _after(sum(steps), total, progress)
        )
        return AnalysisResult(
            tables=_tables(model, found),
            arrays=_arrays(found, params.keep_probability),
            provenance=self._provenance(params, model, inputs, perf_counter() - began),
            figures=_figures(model, fields, found, params.pixel_size_nm),
            warnings=tuple(warnings),
        )

    def _provenance(
        self, params: SegmentParams, model: SegmentationModel, inputs: Inputs, duration_s: float
    ) -> dict[str, Any]:
        import torch

        return {
            "name": self.name,
            "version": self.version,
            # The hash of the weights says which model it was, wherever its folder is.
            "params": params.model_dump(mode="json", exclude={"model"}),
            "weights": model.weights_sha256,
            "model": params.model,
            "phases": model.phases.to_list(),
            "source": dict(inputs.source),
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
            "duration_s": duration_s,
        }


def _after(before: int, total: int, progress: Progress | None) -> Progress | None:
    """Return what tells of one field's tiles as a part of all fields' tiles."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def _fields(inputs: Inputs) -> Iterator[tuple[str, NDArray[Any], dict[str, Any]]]:
    """Yield name, micrograph (H, W) and metadata of each field of view."""
    for number, (name, array) in enumerate(inputs.arrays.items()):
        metadata = {key: _one(value, number) for key, value in inputs.metadata.items()}
        if np.ndim(array) == 3:
            for plane in range(len(array)):
                yield f"{name}_{plane:04d}", np.asarray(array[plane]), metadata
        else:
            yield name, np.asarray(array), metadata


def _one(value: Any, number: int) -> Any:
    """Return one array's share of a condition: a list holds a value for each."""
    return value[number] if isinstance(value, list) and number < len(value) else value


def _looked_at(
    model: SegmentationModel, fields: list[tuple[str, NDArray[Any], dict[str, Any]]]
) -> list[int]:
    """Return the fields whose looks are compared with those of the training."""
    from bl_steer.analysis.segmentation.conditions import looked_at

    recorded = model.card.get("conditions") or {}
    return looked_at(len(fields)) if recorded.get("count") else []


def _warnings(
    model: SegmentationModel,
    fields: list[tuple[str, NDArray[Any], dict[str, Any]]],
    pixel_size_nm: float | None,
    progress: Progress | None,
) -> list[str]:
    """Judge all fields together: they were taken alike, which finds smaller changes."""
    from bl_steer.analysis.segmentation.conditions import Conditions

    recorded = model.card.get("conditions")
    if recorded is None:
        return []
    keys = dict.fromkeys(key for _, _, metadata in fields for key in metadata)
    shared: dict[str, Any] = {key: [one.get(key) for _, _, one in fields] for key in keys}
    if pixel_size_nm is not None:
        shared["pixel_size_nm"] = pixel_size_nm
    images = [image for _, image, _ in fields]
    return Conditions.from_dict(recorded).warnings_for(images, shared, progress)


def _tables(model: SegmentationModel, found: Mapping[str, Segmentation]) -> dict[str, Table]:
    sd = model.card.get("fraction_error_sd")
    shares = phase_fractions(
        [one.labels for one in found.values()],
        len(model.phases),
        model_sd=None if sd is None else np.asarray(sd),
    )
    return {
        "fractions": _by_field(list(found), model.phases.names, shares),
        "sample": {
            "phase": np.array(model.phases.names),
            "fraction": shares.mean,
            "fraction_low": shares.mean_low,
            "fraction_high": shares.mean_high,
        },
    }


def _by_field(fields: list[str], phases: tuple[str, ...], shares: Fractions) -> Table:
    return {
        "field": np.repeat(np.array(fields), len(phases)),
        "phase": np.tile(np.array(phases), len(fields)),
        "fraction": shares.fraction.ravel(),
        "fraction_low": shares.low.ravel(),
        "fraction_high": shares.high.ravel(),
    }


def _arrays(found: Mapping[str, Segmentation], keep_probability: bool) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for name, one in found.items():
        arrays[f"{name}_labels"] = one.labels
        arrays[f"{name}_uncertainty"] = one.uncertainty
        if keep_probability and one.probability is not None:
            arrays[f"{name}_probability"] = one.probability
    return arrays


def _figures(
    model: SegmentationModel,
    fields: list[tuple[str, NDArray[Any], dict[str, Any]]],
    found: Mapping[str, Segmentation],
    pixel_size_nm: float | None,
) -> Figures:
    from bl_steer.analysis.segmentation.figures import draw_segmentation

    return {
        name: partial(
            draw_segmentation,
            image,
            found[name],
            model.phases,
            pixel_size_nm=pixel_size_nm or metadata.get("pixel_size_nm"),
            title=_title(name, metadata),
        )
        for name, image, metadata in fields
    }


def _title(name: str, metadata: Mapping[str, Any]) -> str:
    """Return a field's name, with its file's where it came from one."""
    file = metadata.get("file")
    return name if file is None else f"{name}: {Path(str(file)).name}"
