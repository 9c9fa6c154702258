"""A size that was told in µm where nm are meant is asked about at every door that takes one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from bl_steer.analysis import superresolution
from bl_steer.analysis.segmentation import (
    FIBSEM_PHASES,
    SegmentationModel,
    from_files,
    from_zarr,
    segment,
)
from bl_steer.analysis.segmentation.model import prepared
from bl_steer.analysis.segmentation.networks import build_network
from bl_steer.analysis.segmentation.training import TrainingSet
from bl_steer.protocols import Inputs

ASKED = "nm are smaller than most microscopes record; were they meant in µm?"
GREY = np.random.default_rng(0).integers(1, 255, (4, 96, 96)).astype(np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> str:
    torch.manual_seed(0)
    network = prepared(build_network("segnet", 3, widths=(4, 6)))
    unsized = SegmentationModel(network, "segnet", (4, 6), FIBSEM_PHASES, None)
    replace(unsized, pixel_size_nm=10.0).save(tmp_path / "sized")
    return str(unsized.save(tmp_path / "model"))


def test_segmentation_asks_about_it_in_files_and_zarr(model: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="minisblack")
    stack: Any = GREY
    zarr.save_array(str(tmp_path / "a.zarr"), stack)
    params = {"model": model, "pixel_size_nm": 0.01}
    told = [
        from_files.run([tmp_path / "a.tif"], params=params, metadata={}, out=tmp_path / "files"),
        from_zarr.run_stack(
            tmp_path / "a.zarr", params=params, metadata={}, scheduler=None, out=tmp_path / "zarr"
        ),
    ]
    for report in told:
        assert f"pixels of 0.01 {ASKED}" in report["warnings"]


def test_a_model_of_another_size_refuses_it_with_the_question(model: str, tmp_path: Path) -> None:
    sized = SegmentationModel.load(tmp_path / "sized")
    with pytest.raises(ValueError, match=r"got 0\.01 nm; were they meant in µm\? Else train a"):
        segment(sized, GREY[0], pixel_size_nm=0.01)
    with pytest.raises(ValueError, match=r"got 100 nm; train a model at this magnification"):
        segment(sized, GREY[0], pixel_size_nm=100.0)


def test_training_asks_about_it(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(2):
        Image.fromarray(GREY[number]).save(tmp_path / "images" / f"s{number}.png")
        labels = np.indices((96, 96))[0] // 32
        Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "masks" / f"s{number}.png")
    data = TrainingSet.read(tmp_path, FIBSEM_PHASES, pixel_size_nm=0.01)
    assert f"pixels of 0.01 {ASKED}" in data.notes
    assert not any("µm" in note for note in TrainingSet.read(tmp_path, FIBSEM_PHASES).notes)


def test_super_resolution_asks_about_it() -> None:
    params = superresolution.SuperResolutionParams(
        pitch_nm=0.04, pixel_size_nm=0.01, factor=2, steps=1, blocks=1, channels=4
    )
    result = superresolution.SuperResolutionAnalysis().run(Inputs({"slices": GREY}), params)
    assert f"voxels of 0.04 × 0.01 × 0.01 {ASKED}" in result.warnings
