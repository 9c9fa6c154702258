"""Stacks from files, and what ``bl-steer superres …`` does with them.

Each command returns what is printed and written as JSON. `bl_steer.files.stacks` opens the stacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import zarr

from bl_steer.analysis.segmentation.training.checkpoint import resumable
from bl_steer.analysis.superresolution.analysis import (
    SuperResolutionAnalysis,
    SuperResolutionParams,
    result_of,
    voxel_of,
)
from bl_steer.analysis.superresolution.checks import (
    check_lessons,
    check_slices,
    lesson_warnings,
    limit_of,
)
from bl_steer.analysis.superresolution.decimation import even_subset
from bl_steer.analysis.superresolution.isotropy import measure_isotropy, middle_box
from bl_steer.analysis.superresolution.model import SuperResolutionModel, train_model
from bl_steer.analysis.superresolution.numbering import numbered
from bl_steer.analysis.superresolution.training import TrainingSettings
from bl_steer.analysis.superresolution.validation import checked, leave_out
from bl_steer.analysis.superresolution.verdict import check_warnings, verdict
from bl_steer.analysis.superresolution.volume import SuperResolved
from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr
from bl_steer.files.atomic import check_place, draft_of
from bl_steer.files.errors import lossy_told
from bl_steer.files.formats import FORMS
from bl_steer.files.images.image_metadata import notes_of_pixels
from bl_steer.files.pixel_size import contradictions
from bl_steer.files.planes import some_planes
from bl_steer.files.slice_names import natural_key
from bl_steer.files.stacks import check_apart, open_slices, open_stack, open_zarr
from bl_steer.files.volumes import check_form, write_volume
from bl_steer.files.volumes.ome_zarr import described
from bl_steer.processing.digest import digest_of
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table
from bl_steer.stages import STAGES, Stages

__all__ = [
    "check",
    "inputs_from_files",
    "run",
    "run_zarr",
    "train",
    "voxel_of_stack",
]

Voxel = tuple[float, float, float]
VOLUMES = ("volume", "uncertainty")
RESULTS = (
    *(f"{name}{ending}" for name in VOLUMES for ending in FORMS.values()),
    "volume.zarr",
    "section.png",
)


def inputs_from_files(paths: Sequence[Path]) -> Inputs:
    """Return one stack, or single slices in the order of the numbers in their names.

    Raises
    ------
    ValueError
        When a file cannot be read, or slices differ in shape or type or have one name.
    """
    if len(paths) == 1:
        stored, files = open_stack(paths[0]), list(paths)
    else:
        stored, files = open_slices(paths), sorted(paths, key=natural_key)
    wanted = ("pitch_nm", "pixel_size_nm", "stated_voxel", "lossy")
    known = {key: stored.known[key] for key in wanted if key in stored.known}
    if stored.names:
        known["slice_files"] = list(stored.names)
    source = {"files": [str(path) for path in files]}
    notes = [*stored.notes, *stored.gaps, *notes_of_pixels(stored.known)]
    return Inputs({"slices": stored.array}, known, source, notes)


def voxel_of_stack(stack: Path, params: SuperResolutionParams) -> Voxel:
    """Return the voxel of the parameters, or as the files of a stack state it; see `voxel_of`."""
    return voxel_of(open_stack(stack).known, params)


def train(
    stack: Path,
    settings: TrainingSettings,
    voxel_nm: Voxel,
    *,
    n_phases: int | None,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model on a stack and save it in `out`; take up an unfinished training there."""
    check_apart(stack, out)
    check_place(out)
    inputs = _lessons(stack, n_phases)
    slices = even_subset(inputs.arrays["slices"])
    check_lessons(slices)
    with resumable(out, "checkpoint.pt", "training"):
        model = train_model(
            slices, settings, n_phases=n_phases, folder=out, voxel_nm=voxel_nm, progress=progress
        )
        model = checked(model, inputs.arrays["slices"], progress)
        model.save(out)
    return {
        "model": str(out),
        "kind": model.kind,
        "factor": model.factor,
        "n_slices": len(slices),
        "warnings": [
            *inputs.notes,
            *contradictions("a pitch", voxel_nm[0], inputs.metadata.get("pitch_nm")),
            *contradictions("a pixel", voxel_nm[2], inputs.metadata.get("pixel_size_nm")),
            *lesson_warnings(inputs.arrays["slices"], n_phases, voxel_nm, inputs.metadata),
            *check_warnings(model.card),
        ],
        "check": model.card.get("check"),
        "weights_sha256": model.weights_sha256,
        "history": model.card["history"],
    }


def run(
    stack: Path,
    model: Path,
    voxel_nm: Voxel,
    *,
    keep_fractions: bool,
    out: Path,
    form: str = "imagej",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Insert planes between the slices of a stack in memory; write volumes and a figure.

    Parameters
    ----------
    form : of the volumes: `bl_steer.files.volumes.FORMS`
    """
    check_form(form)
    check_apart(stack, out, RESULTS)
    check_place(out)
    params = _params(model, SuperResolutionModel.load(model), voxel_nm, keep_fractions)
    result = SuperResolutionAnalysis().run(inputs_from_files([stack]), params, progress)
    voxels = result.provenance["voxels_nm"]
    files = [write_volume(out / name, result.arrays[name], voxels[name], form) for name in VOLUMES]
    report = _report(result, out)
    return {**report, "files": [*map(str, files), *report["files"]]}


def run_zarr(
    stack: Path,
    model: Path,
    voxel_nm: Voxel,
    *,
    keep_fractions: bool,
    scheduler: str | None,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Insert planes between the slices of a Zarr stack, slab by slab, into a Zarr group."""
    check_apart(stack, out, RESULTS)
    check_place(out)
    began = perf_counter()
    network = SuperResolutionModel.load(model)
    params = _params(model, network, voxel_nm, keep_fractions)
    slices, notes = numbered(open_zarr(stack), params.n_phases)
    target = out / "volume.zarr"
    box = middle_box(slices, voxel_nm[0] / voxel_nm[1], network.n_values)
    check_slices(box, params.n_phases)
    isotropy = measure_isotropy(box, voxel_nm, n_phases=params.n_phases)
    with resumable(out, target.name, "volume"):
        super_resolve_zarr(
            model,
            stack,
            target,
            keep_fractions=keep_fractions,
            scheduler=scheduler,
            progress=Stages(STAGES["superres"], {"insert": 1.0}, progress).of("insert"),
        )
    group: Any = zarr.open_group(str(target), mode="a")
    step = voxel_nm[0] / network.factor
    group.attrs.update(described("volume", (step, *voxel_nm[1:])))
    resolved = SuperResolved(group["volume"], group["uncertainty"])
    inputs = inputs_from_files([stack])
    inputs = replace(inputs, arrays={"slices": slices}, notes=[*inputs.notes, *notes])
    report = _report(result_of(network, inputs, resolved, isotropy, params, began=began), out)
    return {
        **report,
        "isotropy_tested_on": list(box.shape),
        "files": [str(target), *report["files"]],
    }


def _lessons(stack: Path, n_phases: int | None) -> Inputs:
    """Return a stack to learn from, labels of two phases as 0 and 1."""
    inputs = inputs_from_files([stack])
    slices, notes = numbered(inputs.arrays["slices"], n_phases)
    with lossy_told(inputs.metadata):
        for planes in some_planes(slices):
            check_slices(planes, n_phases)
    return replace(inputs, arrays={"slices": slices}, notes=[*inputs.notes, *notes])


def check(
    stack: Path,
    settings: TrainingSettings,
    voxel_nm: Voxel,
    *,
    n_phases: int | None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Say how far a super-resolution of this stack can be trusted; no ground truth is needed."""
    inputs = _lessons(stack, n_phases)
    slices = np.asarray(inputs.arrays["slices"][:])
    check_slices(slices, n_phases)
    check_lessons(slices)
    isotropy = measure_isotropy(slices, voxel_nm, n_phases=n_phases)
    scores = leave_out(slices, settings, n_phases=n_phases, progress=progress)
    return {
        "slices": list(slices.shape),
        "leave_out": _lists(scores),
        "verdict": verdict(scores),
        "correlation": _lists(isotropy.correlation),
        "chords": _lists(isotropy.chords),
        "warnings": [
            *inputs.notes,
            *contradictions("a pitch", voxel_nm[0], inputs.metadata.get("pitch_nm")),
            *contradictions("a pixel", voxel_nm[2], inputs.metadata.get("pixel_size_nm")),
            *lesson_warnings(inputs.arrays["slices"], n_phases, voxel_nm, inputs.metadata),
            *isotropy.warnings,
            limit_of(voxel_nm[0]),
        ],
        "limit": limit_of(voxel_nm[0]),
    }


def _params(
    folder: Path, model: SuperResolutionModel, voxel_nm: Voxel, keep_fractions: bool
) -> SuperResolutionParams:
    """Return the analysis' parameters for a trained model."""
    settings = model.settings
    return SuperResolutionParams(
        model=str(folder),
        n_phases=model.n_values if model.kind == "labels" else None,
        keep_fractions=keep_fractions,
        pitch_nm=voxel_nm[0],
        pixel_size_nm=voxel_nm[1],
        factor=settings.factor,
        blocks=settings.blocks,
        channels=settings.channels,
        steps=settings.steps,
        seed=settings.seed,
    )


def _report(result: AnalysisResult, out: Path) -> dict[str, Any]:
    """Draw the figure of a result, in memory or in Zarr, and return what is said of it."""
    figure = out / "section.png"
    with draft_of(figure) as draft:
        result.figures["section"]().savefig(draft, dpi=130)
    uncertainty = result.arrays["uncertainty"]
    total = sum(float(planes.sum(dtype=np.float64)) for planes in some_planes(uncertainty))
    return {
        "shape": list(result.arrays["volume"].shape),
        "voxel_nm": result.tables["voxel"]["edge_nm"].tolist(),
        "mean_uncertainty": total / math.prod(uncertainty.shape),
        "fractions": _lists(result.tables.get("fractions")),
        "limit": result.provenance["limit"],
        "warnings": list(result.warnings),
        "digest": digest_of(result),
        "weights_sha256": result.provenance["weights"],
        "duration_s": result.provenance["duration_s"],
        "files": [str(figure)],
    }


def _lists(table: Table | None) -> Mapping[str, list[Any]] | None:
    return None if table is None else {k: np.asarray(v).tolist() for k, v in table.items()}
