from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bl_steer.analysis.segmentation import (
    ONE_PASS,
    ModelError,
    SegmentationModel,
    find_model,
    segment,
    shipped_models,
)
from bl_steer.analysis.segmentation.shading import even_levels
from bl_steer.analysis.segmentation.tiles import standardise


def test_a_saved_model_comes_back_the_same(model: SegmentationModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded = SegmentationModel.load(tmp_path)
    assert loaded.weights_sha256 == model.weights_sha256
    assert loaded.phases == model.phases
    assert loaded.pixel_size_nm == 10.0
    x = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(loaded.network(x), model.network(x), rtol=0, atol=0)


def test_a_network_for_the_first_pass_comes_back_with_its_model(
    model: SegmentationModel, tmp_path: Path
) -> None:
    other = deepcopy(model.network)
    other.head.weight.mul_(-1)
    both = replace(model, even_levels=True, quick_look=other)
    assert model.first_network is model.network
    assert both.first_network is other
    assert both.weights_sha256 not in (
        model.weights_sha256,
        replace(both, quick_look=model.network).weights_sha256,
    )
    both.save(tmp_path)
    loaded = SegmentationModel.load(tmp_path)
    assert loaded.weights_sha256 == both.weights_sha256
    x = torch.randn(1, 1, 32, 32)
    for own, expected in ((loaded.network, model.network), (loaded.first_network, other)):
        torch.testing.assert_close(own(x), expected(x), rtol=0, atol=0)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "quick_look": False}))
    with pytest.raises(ModelError, match="card must describe its weights"):
        SegmentationModel.load(tmp_path)


def test_the_first_pass_is_that_of_its_network(
    model: SegmentationModel, image: NDArray[np.uint8]
) -> None:
    sure = deepcopy(model.network)
    sure.head.weight.mul_(100)
    itself = replace(model, even_levels=True)
    by_another = segment(replace(itself, quick_look=sure), image)
    evened = even_levels(sure, standardise(image), 3, ONE_PASS)
    np.testing.assert_array_equal(by_another.labels, segment(model, evened).labels)
    assert by_another.probability is not None
    assert (by_another.probability != segment(itself, image).probability).any()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"must be a folder with weights\.safetensors"):
        SegmentationModel.load(tmp_path)


def test_weights_of_another_model_are_refused(model: SegmentationModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "weights_sha256": "0" * 64}))
    with pytest.raises(ModelError, match="must be those of its card"):
        SegmentationModel.load(tmp_path)


@pytest.mark.parametrize(
    "change", [{"widths": [4, 8]}, {"network": "resnet"}, {"phases": None}, {"pixel_size_nm": -3.0}]
)
def test_a_card_that_does_not_fit_is_refused(
    model: SegmentationModel, tmp_path: Path, change: dict[str, object]
) -> None:
    model.save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(card | change))
    with pytest.raises(ModelError, match="card must describe its weights"):
        SegmentationModel.load(tmp_path)


def test_damaged_weights_are_refused(model: SegmentationModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="must be sound"):
        SegmentationModel.load(tmp_path)


def test_a_model_is_found_by_folder_and_anew_after_a_change(
    model: SegmentationModel, tmp_path: Path
) -> None:
    model.save(tmp_path)
    loaded = find_model(str(tmp_path))
    assert find_model(str(tmp_path)) is loaded
    model.save(tmp_path)
    assert find_model(str(tmp_path)) is not loaded


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"one of .*fibsem.* or a folder, got 'nothing'"):
        find_model("nothing")
    assert "fibsem" in shipped_models()
