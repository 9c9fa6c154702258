"""Small labelled micrographs and a small network, for tests of what is around the accuracy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bl_steer.analysis.segmentation import FIBSEM_PHASES, SegmentationModel
from bl_steer.analysis.segmentation.model import prepared
from bl_steer.analysis.segmentation.networks import build_network
from bl_steer.analysis.segmentation.training import Labelled


def stripes(seed: int, shape: tuple[int, int] = (96, 112)) -> Labelled:
    """Return three phases in bands of other grey levels, with noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    phase = (rows * np.cos(seed) + columns * np.sin(seed)) / 12 + rng.uniform(0, 3)
    labels = (phase.astype(int) % 3).astype(np.uint8)
    grey = np.array([190.0, 110.0, 30.0])[labels] + rng.normal(0, 12, shape)
    return np.clip(grey, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="session")
def pairs() -> list[Labelled]:
    return [stripes(seed) for seed in range(4)]


@pytest.fixture(scope="session")
def image() -> NDArray[np.uint8]:
    return stripes(9, (150, 203))[0]


@pytest.fixture(scope="session")
def model() -> SegmentationModel:
    """A network with statistics of its own, as after training, but never trained."""
    torch.manual_seed(5)
    network = build_network("segnet", 3, widths=(4, 6))
    network.train()
    for _ in range(5):
        network(torch.randn(2, 1, 32, 32) * 2 + 0.3)
    return SegmentationModel(prepared(network), "segnet", (4, 6), FIBSEM_PHASES, 10.0)
