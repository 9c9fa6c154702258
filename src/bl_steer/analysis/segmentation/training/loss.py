"""What a training makes small: entropy, Dice and, of exact labels, the errors of boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.losses.dice import MaskedDiceLoss
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.analysis.segmentation.training.boundaries import BoundaryLoss, one_hot
from bl_steer.analysis.segmentation.training.settings import TrainingSettings

__all__ = ["SegmentationLoss", "class_weights", "count_labels"]

WEIGHT_RANGE = (0.5, 3.0)
"""Of a phase in the entropy. Weights in full proportion to rarity paint rare phases too large."""


class SegmentationLoss:
    """The loss of a batch; unlabelled pixels do not count.

    Parameters
    ----------
    settings : `dice_share`, `boundary_weight` and `rarity_power` of them
    labels : of the training, (H, W) each
    """

    def __init__(
        self,
        settings: TrainingSettings,
        labels: Sequence[NDArray[np.uint8]],
        n_phases: int,
        device: torch.device,
    ) -> None:
        self._settings = settings
        self._n_phases = n_phases
        self._weights = torch.from_numpy(
            class_weights(labels, n_phases, power=settings.rarity_power)
        ).to(device)
        self.boundaries = (
            BoundaryLoss(labels, n_phases, persistence=settings.boundary_persistence)
            if settings.boundary_weight
            else None
        )

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits (B, n_phases, H, W) by labels (B, H, W)."""
        known = (labels != UNLABELLED)[:, None].float()
        if not known.any():  # the mean over no pixel is no number
            return logits.sum() * 0.0
        entropy = functional.cross_entropy(
            logits, labels, weight=self._weights, ignore_index=UNLABELLED
        )
        dice = MaskedDiceLoss(softmax=True, batch=True)
        overlap: Tensor = dice(logits, one_hot(labels, self._n_phases), known)
        share = self._settings.dice_share
        loss = (1 - share) * entropy + share * overlap
        if self.boundaries is None:
            return loss
        return loss + self._settings.boundary_weight * self.boundaries(logits, labels)


def class_weights(
    labels: Sequence[NDArray[np.uint8]], n_phases: int, *, power: float
) -> NDArray[np.float32]:
    """Return the weight of each phase in the entropy: its rarity to a power, within limits."""
    counts = count_labels(labels, n_phases)
    rarity = counts.sum() / n_phases / np.maximum(counts, 1)
    return np.asarray(np.clip(rarity**power, *WEIGHT_RANGE), np.float32)


def count_labels(labels: Sequence[NDArray[np.uint8]], n_phases: int) -> NDArray[np.int64]:
    """Return the pixels of each phase, (n_phases,)."""
    counts = np.zeros(256, np.int64)
    for mask in labels:
        counts += np.bincount(mask.ravel(), minlength=256)
    return counts[:n_phases]
