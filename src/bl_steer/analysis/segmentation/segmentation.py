"""Micrographs to phases: label, probability and uncertainty of each pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.model import SegmentationModel
from bl_steer.analysis.segmentation.passes import ONE_PASS, Passes
from bl_steer.analysis.segmentation.shading import even_levels, quick_tiles
from bl_steer.analysis.segmentation.tiles import (
    count_tiles,
    iterate_tiles,
    resample,
    standardise,
)
from bl_steer.files.pixel_size import IN_MICROMETRES, small_edges
from bl_steer.protocols import Progress
from bl_steer.single_thread import single_thread

__all__ = ["MAX_RESAMPLING", "Segmentation", "count_steps", "segment"]

SAME_PIXEL_SIZE = 0.02
"""Relative difference of pixel sizes below which a micrograph is not resampled."""
MAX_RESAMPLING = 4.0
"""Ratio of pixel sizes beyond which resampling cannot bring a micrograph to what was trained on."""


@dataclass(frozen=True)
class Segmentation:
    """The prediction for each pixel of a micrograph.

    Parameters
    ----------
    labels : (H, W), the most probable phase
    probability : (n_phases, H, W), float16; None where it was not requested
    uncertainty : (H, W), float16: entropy of the probabilities over its largest value, 0 … 1
    expected : (n_phases,), mean probability of each phase
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.float16] | None
    uncertainty: NDArray[np.float16]
    expected: NDArray[np.float64]

    @property
    def mean_uncertainty(self) -> float:
        """Mean of the uncertainty over the pixels."""
        return float(self.uncertainty.mean(dtype=np.float64))


def segment(
    model: SegmentationModel,
    image: NDArray[Any],
    *,
    pixel_size_nm: float | None = None,
    keep_probability: bool = True,
    passes: Passes = ONE_PASS,
    progress: Progress | None = None,
) -> Segmentation:
    """Segment one micrograph.

    Parameters
    ----------
    image : (H, W), any grey scale, any size
    pixel_size_nm : where it differs from the model's, the micrograph is resampled to the model's
        and the result back
    keep_probability : False saves the largest array of the result
    passes : how the network is run: tiles, test-time augmentation, precision
    progress : called after each tile; `count_steps` says beforehand how many there are

    Raises
    ------
    ValueError
        When the micrograph is not a finite 2-D image, or its pixel size is too far from the
        model's.
    """
    _check(image)
    passes = replace(passes, views=min(passes.views, model.most_views))
    grey = standardise(image)
    shape = _shape_for_model(model, grey.shape, pixel_size_nm)
    if shape != grey.shape:
        return _resampled(model, grey, shape, keep_probability, passes, progress)
    n_phases = len(model.phases)
    labels = np.empty(grey.shape, np.uint8)
    uncertainty = np.empty(grey.shape, np.float16)
    probability = np.empty((n_phases, *grey.shape), np.float16) if keep_probability else None
    total = np.zeros(n_phases)
    count_tile = _Tiles(_count(model, grey.shape, passes), progress)
    with single_thread():
        if model.even_levels:
            grey = even_levels(model.first_network, grey, n_phases, passes, count_tile)
        for window, p in iterate_tiles(model.network, grey, passes):
            labels[window] = p.argmax(axis=0)
            uncertainty[window] = _entropy(p)
            total += p.sum(axis=(1, 2), dtype=np.float64)
            if probability is not None:
                probability[:, *window] = p
            count_tile()
    return Segmentation(labels, probability, uncertainty, total / grey.size)


def count_steps(
    model: SegmentationModel,
    image: NDArray[Any],
    *,
    pixel_size_nm: float | None = None,
    passes: Passes = ONE_PASS,
) -> int:
    """Return how many tiles `segment` goes through: the steps of its `progress`.

    Raises
    ------
    ValueError
        When the micrograph cannot be segmented.
    """
    _check(image)
    return _count(model, _shape_for_model(model, image.shape, pixel_size_nm), passes)


class _Tiles:
    """Report progress, a tile at each call."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _count(model: SegmentationModel, shape: tuple[int, ...], passes: Passes) -> int:
    tiles = count_tiles(model.network, shape, passes)
    return tiles + (quick_tiles(model.first_network, shape, passes) if model.even_levels else 0)


def _check(image: NDArray[Any]) -> None:
    if image.ndim != 2 or min(image.shape) < 1:
        raise ValueError(
            f"a micrograph must have two dimensions, got shape {image.shape}; give its fields of "
            "view one by one"
        )
    if not np.isfinite(image).all():
        raise ValueError(
            f"grey levels must be finite, got {int((~np.isfinite(image)).sum())} pixels that are "
            "not; crop or fill them first"
        )


def _shape_for_model(
    model: SegmentationModel, shape: tuple[int, ...], pixel_size_nm: float | None
) -> tuple[int, int]:
    """Return the shape that a micrograph has in pixels of the model's size."""
    height, width = shape
    if pixel_size_nm is None or model.pixel_size_nm is None:
        return height, width
    ratio = pixel_size_nm / model.pixel_size_nm
    if not np.isfinite(ratio) or ratio <= 0:
        raise ValueError(f"pixel_size_nm must be positive, got {pixel_size_nm} nm; give its size")
    if not 1 / MAX_RESAMPLING <= ratio <= MAX_RESAMPLING:
        unit = f"{IN_MICROMETRES} Else " if any(small_edges("pixels", pixel_size_nm)) else ""
        raise ValueError(
            f"pixel_size_nm must be within a factor {MAX_RESAMPLING:g} of the model's "
            f"{model.pixel_size_nm:g} nm, got {pixel_size_nm:g} nm; {unit}train a model at this "
            "magnification"
        )
    if abs(ratio - 1) <= SAME_PIXEL_SIZE:
        return height, width
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def _resampled(
    model: SegmentationModel,
    grey: NDArray[np.float32],
    shape: tuple[int, int],
    keep_probability: bool,
    passes: Passes,
    progress: Progress | None,
) -> Segmentation:
    """Segment at the model's pixel size, and bring the probabilities back."""
    inner = segment(
        model, resample(grey, shape), keep_probability=True, passes=passes, progress=progress
    )
    if inner.probability is None:
        raise TypeError("the probability was requested")
    back = np.stack([resample(p.astype(np.float32), grey.shape) for p in inner.probability])
    back /= back.sum(axis=0)
    return Segmentation(
        labels=back.argmax(axis=0).astype(np.uint8),
        probability=back.astype(np.float16) if keep_probability else None,
        uncertainty=_entropy(back).astype(np.float16),
        expected=back.mean(axis=(1, 2), dtype=np.float64),
    )


def _entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    p = np.clip(probability, 1e-12, 1.0)
    return np.asarray(-(p * np.log(p)).sum(axis=0) / np.float32(np.log(len(p))), np.float32)
