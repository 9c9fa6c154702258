"""The height of a data bar told to ``segment``: the same result by notebook, command and server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from bl_steer.analysis import digest_of, find_analysis, make_params
from bl_steer.analysis.segmentation import inputs_from_files
from bl_steer.analysis.slices import SliceParams
from bl_steer.analysis.slices import inputs_from_files as slices_from_files
from bl_steer.analysis.slices.preparation import prepare
from bl_steer.cli import main
from bl_steer.protocols import AnalysisResult
from tests.bl_steer.analysis.segmentation.test_data_bars import FEI, FIELD, bar

IMAGE = FIELD.image[:96, :112]
BELOW = np.vstack([IMAGE, np.full((24, 112), 7, np.uint8)])
BELOW[100:103, 8:50] = 240


def segmented(paths: Sequence[Path], **params: Any) -> AnalysisResult:
    analysis = find_analysis("segment")
    return analysis.run(inputs_from_files(paths), make_params(analysis, params))


def by_command(path: Path, *options: str) -> tuple[str, list[str]]:
    report = path.parent / "report.json"
    run = ["segment", "run", str(path), *options, "--json", str(report)]
    assert main([*run, "--out", f"{path}-out"]) == 0
    read = json.loads(report.read_text())
    return read["digest"], read["warnings"]


def test_a_bar_is_left_out_alike_at_every_door(
    served: Callable[[str, Sequence[Path], dict[str, Any]], AnalysisResult],
    expect_same: Callable[[AnalysisResult, AnalysisResult], None],
    tmp_path: Path,
) -> None:
    path = tmp_path / "below.png"
    Image.fromarray(BELOW).save(path)
    direct = segmented([path], bar_px=24)
    expect_same(direct, served("segment", [path], {"bar_px": 24}))
    digest, warnings = by_command(path, "--bar-px", "24")
    assert digest == digest_of(direct)
    assert warnings == list(direct.warnings)
    Image.fromarray(IMAGE).save(tmp_path / "cropped.png")
    cropped = segmented([tmp_path / "cropped.png"], bar_px=0)
    labels = "field_000_labels"
    np.testing.assert_array_equal(direct.arrays[labels], cropped.arrays[labels])
    assert any("give bar_px=24" in warning for warning in segmented([path]).warnings)


def test_a_zarr_is_the_same_to_notebook_and_command(tmp_path: Path) -> None:
    path = tmp_path / "stack.zarr"
    zarr.save_array(str(path), np.stack([BELOW, BELOW[:, ::-1]]))
    zarr.open_array(str(path), mode="a").attrs["voxel_size_nm"] = [40.0, 12.0, 10.0]
    direct = segmented([path], bar_px=24)
    digest, warnings = by_command(path, "--bar-px", "24")
    assert direct.arrays["field_001_labels"].shape == IMAGE.shape
    assert digest == digest_of(direct)
    assert warnings == list(direct.warnings)
    assert any("10 nm wide and 12 nm high" in warning for warning in warnings)


def test_a_bar_that_the_header_tells_is_not_cut_off_twice(tmp_path: Path) -> None:
    path = tmp_path / "fei9.tif"
    tifffile.imwrite(path, np.vstack([FIELD.image, bar()]), **FEI)
    inputs = slices_from_files([path, *_more(path, 2)])
    params = SliceParams(bar_px=40, pitch_nm=40.0)
    assert prepare(inputs, params).arrays["slices"].shape == (3, 248, 384)
    assert prepare(inputs, SliceParams(bar_px=32, pitch_nm=40.0)).arrays["slices"].shape[1] == 256
    fewer = segmented([path], bar_px=20)
    assert fewer.arrays["field_000_labels"].shape == (256, 384)
    assert any(
        "bar of 32 rows" in text and "bar_px=20 was given" in text for text in fewer.warnings
    )
    assert not any("no acquisition metadata" in text for text in fewer.warnings)


def _more(path: Path, count: int) -> list[Path]:
    copies = [path.with_name(f"fei{number}.tif") for number in range(count)]
    for copy in copies:
        copy.write_bytes(path.read_bytes())
    return copies


def test_a_bar_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "below.png"
    Image.fromarray(BELOW).save(path)
    with pytest.raises(ValueError, match="bar_px must leave rows of the images of 120, got 113"):
        segmented([path], bar_px=113)
