"""What ``bl-steer superres …`` does; each returns what is printed and written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bl_steer.protocols import Inputs, Progress, Table

if TYPE_CHECKING:
    from bl_steer.analysis.superresolution.training import TrainingSettings

__all__ = ["check", "run", "run_zarr", "train"]

Voxel = tuple[float, float, float]


def train(
    stack: Path,
    settings: TrainingSettings,
    *,
    n_phases: int | None,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model on a stack and save it in `out`; take up an unfinished training there."""
    from bl_steer.analysis.segmentation.stacks import open_stack
    from bl_steer.analysis.superresolution.model import train_model
    from bl_steer.analysis.superresolution.stack_files import even_subset, is_zarr, read_stack

    _check_folder(out)
    slices = even_subset(open_stack(stack) if is_zarr(stack) else read_stack(stack))
    model = train_model(slices, settings, n_phases=n_phases, folder=out, progress=progress)
    return {
        "model": str(out),
        "kind": model.kind,
        "factor": model.factor,
        "n_slices": len(slices),
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
    from bl_steer.analysis.digest import digest_of
    from bl_steer.analysis.registry import find_analysis, make_params
    from bl_steer.analysis.superresolution.model import SuperResolutionModel
    from bl_steer.analysis.superresolution.stack_files import read_stack, write_volume

    _check_folder(out)
    made = SuperResolutionModel.load(model)
    analysis = find_analysis("superres")
    s = made.settings
    params = {
        "model": str(model),
        "n_phases": made.n_values if made.kind == "labels" else None,
        "keep_fractions": keep_fractions,
        "pitch_nm": voxel_nm[0],
        "pixel_size_nm": voxel_nm[1],
        **{key: getattr(s, key) for key in ("factor", "blocks", "channels", "steps", "seed")},
    }
    inputs = Inputs({"slices": read_stack(stack)}, source={"files": [str(stack)]})
    result = analysis.run(inputs, make_params(analysis, params), progress)
    fine = (voxel_nm[0] / made.factor, *voxel_nm[1:])
    files = [
        write_volume(out / f"{name}.tif", result.arrays[name], fine)
        for name in ("volume", "uncertainty")
    ]
    figure = out / "section.png"
    result.figures["section"]().savefig(figure, dpi=130)
    return {
        "shape": list(result.arrays["volume"].shape),
        "voxel_nm": list(fine),
        "mean_uncertainty": float(result.arrays["uncertainty"].mean()),
        "fractions": _plain(result.tables.get("fractions")),
        "limit": result.provenance["limit"],
        "warnings": [*_pitch_warnings(s, voxel_nm), *result.warnings],
        "digest": digest_of(result),
        "weights_sha256": result.provenance["weights"],
        "duration_s": result.provenance["duration_s"],
        "files": [str(path) for path in (*files, figure)],
    }


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

    from bl_steer.analysis.superresolution.analysis import limit_of
    from bl_steer.analysis.superresolution.model import SuperResolutionModel
    from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr

    _check_folder(out)
    began = perf_counter()
    made = SuperResolutionModel.load(model)
    target = super_resolve_zarr(
        model,
        stack,
        out / "volume.zarr",
        keep_fractions=keep_fractions,
        scheduler=scheduler,
        progress=progress,
    )
    group: Any = zarr.open_group(str(target), mode="r")
    return {
        "shape": list(group["volume"].shape),
        "voxel_nm": [voxel_nm[0] / made.factor, *voxel_nm[1:]],
        "limit": limit_of(voxel_nm[0]),
        "warnings": _pitch_warnings(made.settings, voxel_nm),
        "weights_sha256": made.weights_sha256,
        "duration_s": perf_counter() - began,
        "files": [str(target)],
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
    from bl_steer.analysis.superresolution.stack_files import read_stack

    slices = read_stack(stack)
    found = isotropy(slices, voxel_nm, n_phases=n_phases)
    scores = leave_out(slices, settings, n_phases=n_phases, progress=progress)
    return {
        "slices": list(slices.shape),
        "leave_out": _plain(scores),
        "correlation": _plain(found.correlation),
        "chords": _plain(found.chords),
        "warnings": list(found.warnings),
        "limit": limit_of(voxel_nm[0]),
    }


def _pitch_warnings(settings: TrainingSettings, voxel_nm: Voxel) -> list[str]:
    pitch, learnt = voxel_nm[0] / voxel_nm[1], settings.decimation.pitch_px
    if abs(pitch / learnt - 1) < 0.05:
        return []
    return [f"the model learnt a pitch of {learnt:g} px and the stack has {pitch:g}; train another"]


def _plain(table: Table | None) -> Mapping[str, list[Any]] | None:
    return None if table is None else {k: np.asarray(v).tolist() for k, v in table.items()}


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"results must go to a folder, got the file {out}; give another")
