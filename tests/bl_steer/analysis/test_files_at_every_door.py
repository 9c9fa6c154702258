"""The same files by notebook, command line and server: equal results, in equal words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.analysis import digest_of, find_analysis, make_params, structure, superresolution
from bl_steer.analysis.segmentation import inputs_from_files
from bl_steer.analysis.slices import inputs_from_files as inputs_from_slices
from bl_steer.analysis.superresolution import from_files
from bl_steer.cli import main
from bl_steer.files import map_inputs, point_inputs
from bl_steer.protocols import AnalysisResult, Inputs
from simulators import electron

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


def labels(folder: Path) -> list[Path]:
    """A thin volume of three phases, whose voxel is given in nm as if it were in µm."""
    volume = RNG.integers(0, 3, (4, 12, 14), dtype=np.uint8).repeat(2, 1).repeat(2, 2)
    np.savez(folder / "labels.npz", labels=volume, voxel_size_nm=[0.1, 0.01, 0.01])
    return [folder / "labels.npz"]


def slices(folder: Path) -> list[Path]:
    """Labels that are taken as grey levels, and lack a slice in the numbers of their names."""
    coarse = RNG.integers(0, 2, (6, 4, 4), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    paths = []
    for number, plane in zip((1, 2, 3, 5, 6, 7), coarse, strict=True):
        paths.append(folder / f"s{number}.png")
        Image.fromarray(plane).save(paths[-1])
    return paths


def faces(folder: Path) -> list[Path]:
    """Slices of a specimen as an instrument writes them, one of them blank and one lost."""
    phases = electron.sections_at(
        40.0 * np.arange(8), family="grains", seed=3, shape=(112, 112), pixel_nm=10.0
    )
    brightness = np.array([190.0, 100.0, 30.0])[phases] + RNG.normal(0.0, 8.0, phases.shape)
    paths = []
    for number, image in enumerate(np.clip(brightness, 0, 255).astype(np.uint8), 1):
        if number != 6:
            paths.append(folder / f"face{number}.tif")
            tifffile.imwrite(paths[-1], image * (number != 3), photometric="minisblack")
    return paths


LEARN_LITTLE = {"factor": 2, "blocks": 1, "channels": 4, "steps": 1}
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
        ["x from 'x_um'", "1 point without a finite", "only 4 points", "Only 5 of 9 points"],
    ),
    "components": (
        patterns,
        lambda paths: map_inputs(paths[0]),
        {"n_components": 2, "n_bootstrap": 100, "reference": "box:0,1,-1,1"},
        ["no component is like the reference"],
    ),
    "structure": (
        labels,
        lambda paths: structure.inputs_from_file(paths[0]),
        {"n_bootstrap": 100},
        ["were they meant in µm?", "phase 0 is barely resolved"],
    ),
    "superres": (
        slices,
        superresolution.inputs_from_files,
        {"pitch_nm": 40.0, "pixel_size_nm": 10.0, **LEARN_LITTLE},
        ["lack the number 4", "taken as grey levels; if they are labels, train with n_phases=2"],
    ),
    "reconstruct": (
        faces,
        inputs_from_slices,
        {
            "pitch_nm": 40.0,
            "pixel_size_nm": 10.0,
            "check": False,
            "interval_blocks": 2,
            **LEARN_LITTLE,
        },
        ["slice 3 (face3.tif) is blank", "slices are missing: 6", "give columns_deg"],
    ),
}
"""By analysis: its files, its inputs from them, its parameters, and what the user must be told."""


@pytest.mark.parametrize("name", CASES)
def test_notebook_and_server_give_equal_tables_arrays_and_warnings(
    name: str,
    served: Callable[[str, Sequence[Path], dict[str, Any]], AnalysisResult],
    expect_same: Callable[[AnalysisResult, AnalysisResult], None],
    tmp_path: Path,
) -> None:
    write, read, params, sentences = CASES[name]
    paths = write(tmp_path)
    analysis = find_analysis(name)
    direct = analysis.run(read(paths), make_params(analysis, params))
    expect_same(direct, served(name, paths, params))
    for sentence in sentences:
        assert sum(sentence in warning for warning in direct.warnings) == 1, direct.warnings


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


def test_what_cannot_be_judged_has_no_interval_at_any_door(
    served: Callable[[str, Sequence[Path], dict[str, Any]], AnalysisResult],
    expect_same: Callable[[AnalysisResult, AnalysisResult], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    maps = RNG.integers(0, 3, (8, 8), dtype=np.uint8).repeat(12, 0).repeat(12, 1)
    images = {"labels": maps, "blank": np.full((96, 96), 128, np.uint8)}
    paths = [tmp_path / "noise.png", *(tmp_path / f"{name}.png" for name in images)]
    noise = RNG.integers(0, 256, (96, 96), dtype=np.uint8)
    for path, image in zip(paths, (noise, *images.values()), strict=True):
        Image.fromarray(image).save(path)
    analysis = find_analysis("segment")
    direct = analysis.run(inputs_from_files(paths), make_params(analysis))
    expect_same(direct, served("segment", paths, {}))
    assert main(["segment", "run", *map(str, paths), "--out", "out", "--json", "report.json"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["digest"], report["warnings"]) == (digest_of(direct), list(direct.warnings))
    for sentence in (
        "labels.png holds the grey levels 0, 1, 2 alone, as a label map does",
        "blank.png holds the grey level 128 in every pixel",
        "the model is in doubt about noise.png: its mean uncertainty is",
    ):
        assert sum(sentence in warning for warning in direct.warnings) == 1, direct.warnings
    low = direct.tables["fractions"]["fraction_low"].reshape(3, -1)
    assert np.isnan(low).all(axis=1).tolist() == [True, True, True]
    assert report["sample"]["fraction_low"] == report["sample"]["fraction_high"] == [None] * 3
    assert sum(report["sample"]["fraction"]) == pytest.approx(1)


def test_the_command_line_measures_labels_as_the_notebook_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = labels(tmp_path)
    assert main(["structure", str(paths[0]), "--out", "out", "--json", "report.json"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    analysis = find_analysis("structure")
    direct = analysis.run(structure.inputs_from_file(paths[0]), make_params(analysis))
    assert report["digest"] == digest_of(direct)
    assert report["warnings"] == list(direct.warnings)


def test_the_command_line_super_resolves_slices_as_the_notebook_does(tmp_path: Path) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    paths, pitch_px = slices(folder), 2.0
    settings = superresolution.TrainingSettings.model_validate(
        {**LEARN_LITTLE, "decimation": superresolution.Decimation(pitch_px=pitch_px)}
    )
    planes = np.stack([np.asarray(Image.open(path)) for path in paths])
    superresolution.train_model(planes, settings, folder=tmp_path / "model")
    report = from_files.run(
        folder, tmp_path / "model", (40.0, 10.0, 10.0), keep_fractions=True, out=tmp_path / "out"
    )
    analysis = find_analysis("superres")
    params = {"pitch_nm": 40.0, "pixel_size_nm": 10.0, **LEARN_LITTLE}
    direct = analysis.run(
        superresolution.inputs_from_files([folder]),
        make_params(analysis, {"model": str(tmp_path / "model"), **params}),
    )
    assert report["digest"] == digest_of(direct)
    assert report["warnings"] == list(direct.warnings)
    for sentence in ("lack the number 4", "learnt a pitch of 2 px", "n_phases=2"):
        assert sum(sentence in warning for warning in direct.warnings) == 1, direct.warnings
