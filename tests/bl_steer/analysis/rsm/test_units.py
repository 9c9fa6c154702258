"""Units of a scan's values: counts, rates, or a unit that nobody told; no root of scaled data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.rsm import ReciprocalSpaceMap, RsmParams, inputs_from_files
from bl_steer.cli import main
from bl_steer.diffraction import frame_scales
from bl_steer.files.scans import open_scan
from bl_steer.protocols import AnalysisResult, Array
from tests.bl_steer.analysis.rsm.test_rsm import OMEGA, mesh


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path, energy_kev=8.0478, **arrays)
    return path


def mapped(path: Path, **params: Any) -> AnalysisResult:
    return ReciprocalSpaceMap().run(inputs_from_files([path]), RsmParams(**params))


@pytest.mark.parametrize(
    ("scale", "told", "unit", "stored"),
    [
        (1.0, {}, "counts", "counts"),
        (1.0, {"count_time_s": np.full(len(OMEGA), 0.5)}, "counts/s", "counts"),
        (1 / 0.7, {"unit": "counts/s"}, "counts/s", "counts/s"),
        (1 / 0.7, {"unit": "cps"}, "counts/s", "counts/s"),
        (1 / 0.7, {}, "arbitrary", "arbitrary"),
        (1 / 0.7, {"count_time_s": np.full(len(OMEGA), 0.7)}, "arbitrary", "arbitrary"),
        (1.0, {"unit": "arbitrary"}, "arbitrary", "arbitrary"),
    ],
)
def test_the_unit_is_what_the_file_says_or_the_numbers_can_be(
    tmp_path: Path, scale: float, told: dict[str, Any], unit: str, stored: str
) -> None:
    arrays = mesh()
    path = written(tmp_path / "a.npz", **arrays | {"counts": arrays["counts"] * scale} | told)
    result = mapped(path)
    assert result.provenance["unit"] == unit
    assert result.provenance["stored_unit"] == stored
    said = any("their unit is taken for arbitrary" in w for w in result.warnings)
    assert said == (stored == "arbitrary" and "unit" not in told)


def test_the_command_line_tells_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arrays = mesh()
    rates = arrays | {"counts": arrays["counts"] / 0.7}
    path = written(tmp_path / "a.npz", **rates, unit="counts/s")
    assert main(["rsm", str(path), "--figure", str(tmp_path / "a.png")]) == 0
    assert " counts/s\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"unit": "photons"}, "a unit of its counts among counts, counts/s, arbitrary, got 'phot"),
        (
            {"unit": "counts/s", "count_time_s": np.ones(len(OMEGA))},
            "must have the time applied once, got rates in counts/s with count_time_s",
        ),
    ],
)
def test_units_that_cannot_be_are_refused(tmp_path: Path, told: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        open_scan(written(tmp_path / "a.npz", **mesh() | told))


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.7, 1e6])
@pytest.mark.parametrize("height", [0.0, 60.0])
def test_peaks_do_not_depend_on_the_unit(tmp_path: Path, scale: float, height: float) -> None:
    arrays = mesh(height=height, width=0.02)
    here = mapped(written(tmp_path / "a.npz", **arrays)).tables["peaks"]
    scaled = arrays | {"counts": arrays["counts"] * scale}
    there = mapped(written(tmp_path / "b.npz", **scaled, unit="arbitrary")).tables["peaks"]
    assert len(here["q_par"]) == len(there["q_par"]) == (height > 0.0)
    for name in ("q_par", "q_perp", "width"):
        np.testing.assert_allclose(there[name], here[name])
    np.testing.assert_allclose(there["height"], scale * here["height"])


def test_the_usual_monitor_is_that_of_frame_scales(tmp_path: Path) -> None:
    monitor: Array = np.full(len(OMEGA), 1000.0)
    monitor[3] = 50_000.0  # a spike
    arrays = mesh()
    result = mapped(written(tmp_path / "a.npz", **arrays, monitor=monitor), cells=20)
    scales = frame_scales(len(OMEGA), monitor=monitor)
    total = float(np.nansum(result.arrays["map"] * result.arrays["n"]))
    assert total == pytest.approx(float((arrays["counts"] * scales[:, None]).sum()))
