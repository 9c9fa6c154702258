"""A small isotropic stack whose truth is known, and a small model trained on it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.superresolution.decimation import Decimation
from bl_steer.analysis.superresolution.model import SuperResolutionModel, train_model
from bl_steer.analysis.superresolution.training import TrainingSettings

FACTOR = 4
SETTINGS = TrainingSettings(
    factor=FACTOR,
    decimation=Decimation(pitch_px=FACTOR),
    blocks=1,
    channels=8,
    steps=25,
    batch=3,
    rows=9,
    columns=32,
)


def blobs(seed: int, edge: int = 41) -> NDArray[np.uint8]:
    """Return an isotropic two-phase structure with features of some 8 voxels."""
    noise = np.random.default_rng(seed).standard_normal((edge, edge, edge))
    return (gaussian_filter(noise, 3.5, mode="wrap") > 0).astype(np.uint8)


@pytest.fixture(scope="session")
def labels() -> NDArray[np.uint8]:
    return blobs(3)


@pytest.fixture(scope="session")
def grey(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(4).normal(0, 6, labels.shape)
    return np.clip(60 + 130 * labels + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def grey_model(grey: NDArray[np.uint8]) -> SuperResolutionModel:
    return train_model(grey[::FACTOR], SETTINGS)


@pytest.fixture(scope="session")
def label_model(labels: NDArray[np.uint8]) -> SuperResolutionModel:
    return train_model(labels[::FACTOR], SETTINGS, n_phases=2)
