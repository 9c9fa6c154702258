from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from matplotlib.figure import Figure
from matplotlib.font_manager import findSystemFonts

from bl_steer.plotting.fonts import JAPANESE
from bl_steer.processing.result_folder import write_result, write_table
from bl_steer.protocols import AnalysisResult


def test_a_result_is_written_in_common_forms(tmp_path: Path) -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    result = AnalysisResult(
        tables={"fractions": {"phase": np.array(["oxide"]), "fraction": np.array([0.25])}},
        arrays={"a_labels": labels, "a_uncertainty": np.ones((3, 4), np.float16)},
        provenance={},
    )
    written = write_result(result, tmp_path / "out")
    assert {path.name for path in written} == {
        "fractions.csv",
        "a_labels.tif",
        "a_uncertainty.npy",
    }
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "a_labels.tif"), labels)
    assert (tmp_path / "out" / "fractions.csv").read_text().splitlines() == [
        "phase,fraction",
        "oxide,0.25",
    ]


@pytest.mark.skipif(
    not any(Path(path).stem in JAPANESE.values() for path in findSystemFonts()),
    reason="the machine has no Japanese font",
)
def test_zero_has_no_sign_in_a_table(tmp_path: Path) -> None:
    path = write_table({"expected": np.array([-0.0, -1.5])}, tmp_path / "table.csv")
    assert path.read_text().split() == ["expected", "0.0", "-1.5"]


def test_figures_show_japanese(tmp_path: Path) -> None:
    def draw() -> Figure:
        figure = Figure()
        figure.text(0.5, 0.5, "酸化物")
        return figure

    # A letter that no font has is a warning, and so an error here.
    (path,) = write_result(AnalysisResult({}, {}, {}, {"phases": draw}), tmp_path)
    assert path.name == "phases.png"
