from __future__ import annotations

import numpy as np
import pytest
import torch

from bl_steer.analysis.segmentation.networks import build_network
from bl_steer.analysis.segmentation.tiles import iterate_tiles
from bl_steer.analysis.torch_device import computing_device

GPU = torch.cuda.is_available()


def test_the_device_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BL_STEER_DEVICE", "cpu")
    assert computing_device().type == "cpu"


def test_by_default_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BL_STEER_DEVICE", raising=False)
    assert computing_device().type == ("cuda" if GPU else "cpu")


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_a_missing_gpu_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BL_STEER_DEVICE", "cuda")
    network = build_network("unet", 3, widths=(4, 6)).eval()
    with pytest.raises(ValueError, match=r"got 'cuda' and no GPU; .* set it to 'cpu' or 'auto'"):
        list(iterate_tiles(network, np.zeros((32, 32), np.float32)))


@pytest.mark.skipif(not GPU, reason="needs a GPU")
def test_a_gpu_finds_the_same_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = build_network("segnet", 3, widths=(4, 6)).eval()
    image = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    found = {}
    for name in ("cpu", "cuda"):
        monkeypatch.setenv("BL_STEER_DEVICE", name)
        ((_, found[name]),) = iterate_tiles(network, image)
    np.testing.assert_allclose(found["cuda"], found["cpu"], atol=1e-3)
