"""A box around tracking marks: the same result by notebook, command, server, and from its form."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from bl_steer.analysis import digest_of, find_analysis, make_params
from bl_steer.analysis.slices import inputs_from_files
from bl_steer.cli import main
from bl_steer.cli.params import add_params, read_params
from bl_steer.protocols import AnalysisResult
from bl_steer.server.web.forms import problems_of, values_of

LITTLE = {"factor": 2, "blocks": 1, "channels": 4, "steps": 1, "check": False}
KNOWN = {"pixel_size_nm": 10.0, "pitch_nm": 100.0, "interval_blocks": 2}
TOLD = {"marks": [6, 0, 116, 58], "specimen_from": 76}
TYPED = ["--marks", "6,0,116,58", "--specimen-from", "76"]


def test_a_box_is_the_same_to_notebook_command_and_server(
    stack: Any,
    served: Callable[[str, Sequence[Path], dict[str, Any]], AnalysisResult],
    expect_same: Callable[[AnalysisResult, AnalysisResult], None],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    paths = [folder / f"s{number}.tif" for number in range(3)]
    for path, image in zip(paths, stack.images, strict=False):
        tifffile.imwrite(path, image[:180, :160], photometric="minisblack")
    analysis, params = find_analysis("reconstruct"), {**LITTLE, **KNOWN, **TOLD}
    direct = analysis.run(inputs_from_files(paths), make_params(analysis, params))
    table = direct.tables["slices"]
    drift = np.stack([table["displacement_y_px"], table["displacement_x_px"]], axis=1)
    assert np.abs(drift - stack.drift_px[:3]).max() < 0.5
    assert not any("without tracking marks" in warning for warning in direct.warnings)
    expect_same(direct, served("reconstruct", paths, params))
    network = ["--factor", "2", "--blocks", "1", "--channels", "4", "--steps", "1"]
    size = ["--pixel-size-nm", "10", "--pitch-nm", "100", "--interval-blocks", "2", "--no-check"]
    out = ["--out", str(tmp_path / "out"), "--json", str(tmp_path / "report.json")]
    assert main(["slices", str(folder), *size, *TYPED, *network, *out]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["digest"] == digest_of(direct)


@pytest.mark.parametrize("name", ["align-slices", "reconstruct"])
def test_a_box_is_typed_into_options_and_forms(name: str) -> None:
    model = find_analysis(name).Params
    parser = argparse.ArgumentParser()
    add_params(parser, model)
    by_option = model(**read_params(parser.parse_args(TYPED)))
    by_form = model(**values_of(model, {"p.marks": "6, 0, 116, 58", "p.specimen_from": "76"}))
    assert by_option == by_form == model(**TOLD)
    problems = problems_of(model, values_of(model, {"p.marks": "6, 0, 116"}), "en")
    assert list(problems) == ["marks"]
    assert "4" in problems["marks"]
