"""Whole analyses on a file by each door, held against the analysis of the pixels themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bl_steer.analysis import segmentation, structure, superresolution
from bl_steer.analysis.segmentation.model import prepared
from bl_steer.analysis.segmentation.networks import build_network
from bl_steer.analysis.superresolution import Decimation, TrainingSettings
from bl_steer.analysis.superresolution.model import train_model
from bl_steer.cli import main
from bl_steer.processing import digest_of, find_analysis, make_params
from bl_steer.protocols import Inputs
from bl_steer.server.jobs.inputs import check_uploads, kinds, read_inputs
from tests.bl_steer.files.written_files import VOXEL, Written, files_of

REFUSED = "refused"
VOXEL_OPTIONS = ("--pitch-nm", "40", "--pixel-size-nm", "10")
LABELS = np.kron(np.random.default_rng(1).integers(0, 3, (5, 9, 11)), np.ones((1, 4, 4)))
LABELLED = files_of(*(LABELS.astype(dtype) for dtype in (np.uint8, np.uint16, np.float32)))
"""The files of programs once more, with labels of three phases in place of grey levels."""


class Door(NamedTuple):
    """How an analysis is asked for: its parameters, options, and what reads files from Python."""

    params: dict[str, Any]
    command: list[str]
    read: Callable[[Path], Inputs]
    array: str


def doors(models: Path) -> dict[str, Door]:
    """Return the analyses, with small models in a folder, made on the first call."""
    network, planes = models / "network", models / "planes"
    if not network.exists():
        torch.manual_seed(5)
        untrained = prepared(build_network("segnet", 3, widths=(4, 6)))
        phases = segmentation.FIBSEM_PHASES
        segmentation.SegmentationModel(untrained, "segnet", (4, 6), phases, 10.0).save(network)
        little = TrainingSettings(
            factor=2, blocks=1, channels=4, steps=1, decimation=Decimation(pitch_px=4.0)
        )
        stack = np.random.default_rng(2).integers(0, 200, (5, 33, 41)).astype(np.uint8)
        train_model(stack, little, n_phases=None, voxel_nm=VOXEL).save(planes)
    return {
        "structure": Door(
            {"voxel_size_nm": VOXEL, "n_bootstrap": 100, "blocks": 1},
            ["structure", "--voxel-nm=40,10,10", "--n-bootstrap=100", "--interval-blocks=1"],
            structure.inputs_from_file,
            "labels",
        ),
        "superres": Door(
            {"model": str(planes), "pitch_nm": 40.0, "pixel_size_nm": 10.0}
            | {"factor": 2, "blocks": 1, "channels": 4, "steps": 1},
            ["superres", "run", "--model", str(planes), *VOXEL_OPTIONS],
            lambda path: superresolution.inputs_from_files([path]),
            "slices",
        ),
        "segment": Door(
            {"model": str(network), "pixel_size_nm": 10.0},
            ["segment", "run", "--model", str(network), "--pixel-size-nm", "10"],
            lambda path: segmentation.inputs_from_files([path]),
            "field",
        ),
    }


def contradictions(
    analysis: str, door: Door, written: Written, folder: Path, *, commands: bool
) -> Iterator[str]:
    """Yield in what the doors differ on a file, from each other or from its pixels.

    A door may refuse a file where all do; a note that numbers are shown otherwise allows either.
    """
    path = written.write(folder / "file")
    found = {"Python": _digest(analysis, door, lambda: door.read(path))}
    if commands:
        found["command"] = _by_command(door, path, folder)
    files = sorted(path.iterdir()) if path.is_dir() and path.suffix != ".zarr" else [path]
    kind = kinds()[analysis]
    try:
        check_uploads(kind, [file.name for file in files])
    except ValueError:
        pass  # its form does not name the kind
    else:
        scratch = folder / "scratch"
        scratch.mkdir()
        found["server"] = _digest(analysis, door, lambda: read_inputs(analysis, files, scratch))
    if len(set(found.values())) > 1:
        yield f"doors differ: {found}"
    if found["Python"] != REFUSED:
        pixels = [written.truth] if written.shown is None else [written.truth, written.shown]
        if door.array == "slices":  # inserted planes are of the type that the file has
            stored = door.read(path).arrays["slices"].dtype
            pixels = [shown.astype(stored) for shown in pixels]
        own = {_digest(analysis, door, partial(_inputs, door, shown)) for shown in pixels}
        if found["Python"] not in own:
            yield f"not what its pixels give: {found['Python']}, {own}"


def _inputs(door: Door, pixels: Any) -> Inputs:
    if door.array != "field":
        numbers = pixels.astype(np.uint8) if door.array == "labels" else pixels
        return Inputs({door.array: numbers if pixels.ndim == 3 else numbers[None]})
    shown = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    fields = shown if shown.ndim == 3 else shown[None]
    return Inputs({f"field_{number:03d}": field for number, field in enumerate(fields)})


def _digest(analysis: str, door: Door, read: Callable[[], Inputs]) -> str:
    """Return the digest, or why there is none."""
    try:
        one = find_analysis(analysis)
        return digest_of(one.run(read(), make_params(one, door.params)))
    except ValueError:
        return REFUSED


def _by_command(door: Door, path: Path, folder: Path) -> str:
    report = folder / "report.json"
    where = [*door.command, str(path), "--json", str(report)]
    if door.array != "labels":
        where += ["--out", str(folder / "out")]
    return str(json.loads(report.read_text())["digest"]) if main(where) == 0 else REFUSED
