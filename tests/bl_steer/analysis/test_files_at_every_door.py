"""The same files by notebook, command line and server: equal results, in equal words."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.analysis import digest_of, find_analysis, make_params
from bl_steer.analysis.segmentation import inputs_from_files
from bl_steer.cli import main
from bl_steer.files import map_inputs, point_inputs
from bl_steer.processing.result_files import read_exact
from bl_steer.protocols import AnalysisResult, Inputs, Table
from bl_steer.server.jobs.process import RESULT, Task, carry_out

RNG = np.random.default_rng(5)


def micrographs(folder: Path) -> list[Path]:
    """Noise, once in colours: the reader has something to say, and the model has too."""
    noise = RNG.integers(0, 256, (96, 112), dtype=np.uint8)
    tifffile.imwrite(folder / "plain.tif", noise, photometric="minisblack")
    Image.fromarray(RNG.integers(0, 256, (96, 112, 3), dtype=np.uint8)).save(folder / "colour.png")
    return [folder / "plain.tif", folder / "colour.png"]


def points(folder: Path) -> list[Path]:
    """Four points and one without a value, under names of the user's own."""
    rows = ["x_um,y_um,counts", "0,0,5", "10,0,9", "0,10,7", "10,10,3", "5,5,nan"]
    (folder / "points.csv").write_text("\n".join(rows) + "\n")
    return [folder / "points.csv"]


def patterns(folder: Path) -> list[Path]:
    """A map of two components on a line of pixels."""
    weights = RNG.gamma(1.0, 30.0, (16, 2))
    peaks = np.exp(-((np.arange(20.0) - np.array([[5.0], [13.0]])) ** 2) / 6)
    x, y = np.meshgrid(np.arange(4.0), np.arange(4.0))
    np.savez(folder / "map.npz", patterns=weights @ peaks, x=x.ravel(), y=y.ravel())
    return [folder / "map.npz"]


CASES: dict[
    str,
    tuple[Callable[[Path], list[Path]], Callable[[list[Path]], Inputs], dict[str, Any], list[str]],
] = {
    "segment": (
        micrographs,
        lambda paths: inputs_from_files(paths),
        {"tile_px": 512},
        ["colour.png: The image has colours", "appearance: "],
    ),
    "advise": (
        points,
        lambda paths: point_inputs(paths[0]),
        {"method": "sobol", "pitch": 5.0, "n_points": 9},
        ["x from 'x_um'", "1 points without a finite", "only 4 points", "Only 5 of 9 points"],
    ),
    "components": (
        patterns,
        lambda paths: map_inputs(paths[0]),
        {"n_components": 2, "n_bootstrap": 100, "reference": "box:0,1,-1,1"},
        ["no component is like the reference"],
    ),
}
"""By analysis: its files, its inputs from them, its parameters, and what the user must be told."""


def equal(first: Table | Mapping[str, Any], second: Table | Mapping[str, Any]) -> bool:
    return list(first) == list(second) and all(
        np.array_equal(first[key], second[key], equal_nan=first[key].dtype.kind == "f")
        for key in first
    )


def by_server(name: str, paths: list[Path], params: dict[str, Any], out: Path) -> AnalysisResult:
    """What the job's process of a server makes of the files."""
    out.mkdir()
    report = carry_out(Task(name, list(map(str, paths)), params, str(out)), io.StringIO())
    assert report.ok, report.message
    result = read_exact(out / RESULT)
    assert report.digest == digest_of(result)
    return AnalysisResult(
        result.tables, result.arrays, result.provenance, warnings=tuple(report.warnings)
    )


@pytest.mark.parametrize("name", CASES)
def test_notebook_and_server_give_equal_tables_arrays_and_warnings(
    name: str, tmp_path: Path
) -> None:
    write, read, params, sentences = CASES[name]
    paths = write(tmp_path)
    analysis = find_analysis(name)
    direct = analysis.run(read(paths), make_params(analysis, params))
    served = by_server(name, paths, params, tmp_path / "served")
    assert digest_of(direct) == digest_of(served)
    assert list(direct.tables) == list(served.tables)
    assert all(equal(direct.tables[key], served.tables[key]) for key in direct.tables)
    assert equal(direct.arrays, served.arrays)
    assert list(direct.warnings) == list(served.warnings)
    for sentence in sentences:
        assert sum(sentence in warning for warning in direct.warnings) == 1, direct.warnings


@pytest.mark.parametrize("name", CASES)
def test_what_the_reader_noticed_comes_first_and_changes_no_digest(
    name: str, tmp_path: Path
) -> None:
    write, read, params, _ = CASES[name]
    analysis, inputs = find_analysis(name), read(write(tmp_path))
    settings = make_params(analysis, params)
    silent = analysis.run(replace(inputs, notes=()), settings)
    noted = analysis.run(replace(inputs, notes=["The page is odd."]), settings)
    assert list(noted.warnings) == ["The page is odd.", *silent.warnings]
    assert digest_of(noted) == digest_of(silent)


def test_the_command_line_segments_as_the_notebook_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = micrographs(tmp_path)
    metadata = ["--condition", "pixelsize=10", "--condition", "staining=osmium"]
    command = ["segment", "run", *map(str, paths), "--tile-px", "512", *metadata]
    assert main([*command, "--out", "out", "--json", "report.json"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    analysis = find_analysis("segment")
    inputs = inputs_from_files(paths, {"pixelsize": 10.0, "staining": "osmium"})
    direct = analysis.run(inputs, make_params(analysis, {"tile_px": 512}))
    assert report["digest"] == digest_of(direct)
    assert report["warnings"] == list(direct.warnings)
    for sentence in ("has colours", "no acquisition metadata 'pixelsize'", "staining = osmium"):
        assert sum(sentence in warning for warning in direct.warnings) == 1, direct.warnings
