"""What ``bl-steer superres …`` does; each returns what is printed and written as JSON."""

from __future__ import annotations

import errno
import math
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.atomic import UnwritableError, check_place, draft_of
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table

if TYPE_CHECKING:
    from bl_steer.analysis.superresolution.analysis import SuperResolutionParams
    from bl_steer.analysis.superresolution.model import SuperResolutionModel
    from bl_steer.analysis.superresolution.training import TrainingSettings

__all__ = ["check", "run", "run_zarr", "train"]

Voxel = tuple[float, float, float]
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MARGIN_IOU, MARGIN_DB = 0.005, 0.1
"""Methods whose scores differ by less are alike."""
MOST_LIKE_LABELS = 8
"""Different whole numbers up to which grey levels look like labels."""
RESULTS = ("volume.tif", "uncertainty.tif", "volume.zarr", "section.png")
SAME = 0.05
"""Relative deviation up to which two voxels count as one."""


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
    from bl_steer.analysis.superresolution.model import check_lessons, train_model
    from bl_steer.analysis.superresolution.stack_files import even_subset
    from bl_steer.files.stacks import check_apart, open_stack

    check_apart(stack, out)
    check_place(out)
    stored = open_stack(stack)
    slices = even_subset(stored.array)
    check_lessons(slices)
    model = train_model(
        slices, settings, n_phases=n_phases, folder=out, voxel_nm=voxel_nm, progress=progress
    )
    return {
        "model": str(out),
        "kind": model.kind,
        "factor": model.factor,
        "n_slices": len(slices),
        "warnings": [*stored.notes, *_absent(slices, n_phases), *_like_labels(slices, n_phases)],
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
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Insert planes between the slices of a stack in memory; write TIFFs and a figure."""
    from bl_steer.analysis.superresolution.analysis import SuperResolutionAnalysis
    from bl_steer.analysis.superresolution.model import SuperResolutionModel
    from bl_steer.analysis.superresolution.stack_files import write_volume
    from bl_steer.files.stacks import check_apart, open_stack

    check_apart(stack, out, RESULTS)
    check_place(out)
    made = SuperResolutionModel.load(model)
    stored = open_stack(stack)
    inputs = Inputs({"slices": stored.array}, source={"files": [str(stack)]})
    params = _params(model, made, voxel_nm, keep_fractions)
    result = SuperResolutionAnalysis().run(inputs, params, progress)
    fine = (voxel_nm[0] / made.factor, *voxel_nm[1:])
    files = [
        write_volume(out / f"{name}.tif", result.arrays[name], fine)
        for name in ("volume", "uncertainty")
    ]
    notes = [*stored.notes, *_model_warnings(made, voxel_nm, stored.array)]
    report = _told(result, out, notes)
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
    import zarr

    from bl_steer.analysis.superresolution.analysis import result_of
    from bl_steer.analysis.superresolution.isotropy import isotropy, middle_box
    from bl_steer.analysis.superresolution.model import SuperResolutionModel, check_slices
    from bl_steer.analysis.superresolution.volume import SuperResolved
    from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr
    from bl_steer.files.stacks import check_apart, open_zarr

    check_apart(stack, out, RESULTS)
    check_place(out)
    began = perf_counter()
    made = SuperResolutionModel.load(model)
    params = _params(model, made, voxel_nm, keep_fractions)
    slices, target = open_zarr(stack), out / "volume.zarr"
    box = middle_box(slices, voxel_nm[0] / voxel_nm[1], made.n_values)
    check_slices(box, params.n_phases)
    trust = isotropy(box, voxel_nm, n_phases=params.n_phases)
    try:
        super_resolve_zarr(
            model,
            stack,
            target,
            keep_fractions=keep_fractions,
            scheduler=scheduler,
            progress=progress,
        )
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise UnwritableError.at(target, error) from error
    group: Any = zarr.open_group(str(target), mode="r")
    found = SuperResolved(group["volume"], group["uncertainty"])
    source = {"files": [str(stack)]}
    result = result_of(made, slices, found, trust, params, voxel_nm, source, began=began)
    report = _told(result, out, _model_warnings(made, voxel_nm, slices))
    return {
        **report,
        "isotropy_tested_on": list(box.shape),
        "files": [str(target), *report["files"]],
    }


def check(
    stack: Path,
    settings: TrainingSettings,
    voxel_nm: Voxel,
    *,
    n_phases: int | None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Say how far a super-resolution of this stack can be trusted; no ground truth is needed."""
    from bl_steer.analysis.superresolution.analysis import limit_of
    from bl_steer.analysis.superresolution.isotropy import isotropy
    from bl_steer.analysis.superresolution.leave_out import leave_out
    from bl_steer.analysis.superresolution.model import check_lessons, check_slices
    from bl_steer.files.stacks import open_stack

    stored = open_stack(stack)
    slices = np.asarray(stored.array[:])
    check_slices(slices, n_phases)
    check_lessons(slices)
    found = isotropy(slices, voxel_nm, n_phases=n_phases)
    scores = leave_out(slices, settings, n_phases=n_phases, progress=progress)
    return {
        "slices": list(slices.shape),
        "leave_out": _plain(scores),
        "verdict": _verdict(scores),
        "correlation": _plain(found.correlation),
        "chords": _plain(found.chords),
        "warnings": [
            *stored.notes,
            *_absent(slices, n_phases),
            *_like_labels(slices, n_phases),
            *found.warnings,
        ],
        "limit": limit_of(voxel_nm[0]),
    }


def _params(
    folder: Path, model: SuperResolutionModel, voxel_nm: Voxel, keep_fractions: bool
) -> SuperResolutionParams:
    """Return the analysis' parameters for a trained model."""
    from bl_steer.analysis.superresolution.analysis import SuperResolutionParams

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


def _told(result: AnalysisResult, out: Path, notes: list[str]) -> dict[str, Any]:
    """Draw the figure of a result, in memory or in Zarr, and return what is told of it."""
    from bl_steer.files.planes import some_planes
    from bl_steer.processing.digest import digest_of

    figure = out / "section.png"
    with draft_of(figure) as draft:
        result.figures["section"]().savefig(draft, dpi=130)
    uncertainty = result.arrays["uncertainty"]
    total = sum(float(planes.sum(dtype=np.float64)) for planes in some_planes(uncertainty))
    return {
        "shape": list(result.arrays["volume"].shape),
        "voxel_nm": result.tables["voxel"]["edge_nm"].tolist(),
        "mean_uncertainty": total / math.prod(uncertainty.shape),
        "fractions": _plain(result.tables.get("fractions")),
        "limit": result.provenance["limit"],
        "warnings": [*notes, *result.warnings],
        "digest": digest_of(result),
        "weights_sha256": result.provenance["weights"],
        "duration_s": result.provenance["duration_s"],
        "files": [str(figure)],
    }


def _verdict(scores: Table) -> str:
    """Return whether the network predicts left-out slices better than what needs no training."""
    from bl_steer.analysis.superresolution.leave_out import NETWORKS

    measure, best = ("miou", max) if "miou" in scores else ("rms_error", min)
    name = "mean IoU" if measure == "miou" else "rms error"
    found = dict(zip(np.asarray(scores["method"]).tolist(), scores[measure], strict=True))
    ours = found.pop(NETWORKS)
    simple = best(found, key=lambda method: found[method])
    beside = f"{simple} ({name} {ours:.3f} against {found[simple]:.3f})"
    if _beyond(ours, found[simple], measure):
        return f"better than {beside}"
    how = "not better than" if _beyond(found[simple], ours, measure) else "like"
    return f"{how} {beside}: train longer, or do not use it"


def _beyond(score: float, other: float, measure: str) -> bool:
    """Return whether a score is better than another by more than the margin."""
    if measure == "miou":
        return score > other + MARGIN_IOU
    return score * 10 ** (MARGIN_DB / 20) < other


def _absent(slices: NDArray[Any], n_phases: int | None) -> list[str]:
    """Tell of labels that are asked for and do not occur."""
    if n_phases is None:
        return []
    absent = sorted(set(range(n_phases)) - set(np.unique(slices).tolist()))
    if not absent:
        return []
    some = ", ".join(map(str, absent[:5])) + (", …" if len(absent) > 5 else "")
    return [f"of labels 0 … {n_phases - 1}, {some} do not occur in the slices; is N right?"]


def _like_labels(slices: Any, n_phases: int | None) -> list[str]:
    """Tell of what is taken as grey levels and looks like labels."""
    if n_phases is not None:
        return []
    found: set[float] = set()
    for plane in slices:
        found |= set(np.unique(plane).tolist())
        if len(found) > MOST_LIKE_LABELS:  # most often after the first plane
            return []
    values = sorted(found)
    if not all(float(value).is_integer() for value in values):
        return []
    numbered = slices.dtype.kind in "ui" and values == list(range(len(values)))
    remedy = "" if numbered else "number them from 0 as uint8, and "
    return [
        f"the slices hold the whole numbers {', '.join(f'{value:g}' for value in values)} alone, "
        f"as labels do, and are taken as grey levels; if they are labels, {remedy}train with "
        f"--labels {len(values)}"
    ]


def _model_warnings(model: SuperResolutionModel, voxel_nm: Voxel, stack: Any) -> list[str]:
    """Compare a stack with what the model learnt from."""
    from bl_steer.analysis.superresolution.stack_files import even_subset

    n_phases = None if model.kind == "grey" else model.n_values
    return [*_voxel_warnings(model, voxel_nm), *_like_labels(even_subset(stack), n_phases)]


def _voxel_warnings(model: SuperResolutionModel, voxel_nm: Voxel) -> list[str]:
    """Compare the voxel of a stack with that of the model's training."""
    pitch, learnt = voxel_nm[0] / voxel_nm[1], model.settings.decimation.pitch_px
    if abs(pitch / learnt - 1) >= SAME:
        return [
            f"the model learnt a pitch of {learnt:g} px and the stack has {pitch:g}; train another"
        ]
    known = model.card.get("data", {}).get("voxel_nm")
    if known is None or max(abs(a / b - 1) for a, b in zip(voxel_nm, known, strict=True)) < SAME:
        return []
    ours, theirs = (" × ".join(f"{edge:g}" for edge in voxel) for voxel in (voxel_nm, known))
    return [
        f"the model learnt from voxels of {theirs} nm and the stack has {ours}; is --voxel right? "
        "Else train another"
    ]


def _plain(table: Table | None) -> Mapping[str, list[Any]] | None:
    return None if table is None else {k: np.asarray(v).tolist() for k, v in table.items()}
