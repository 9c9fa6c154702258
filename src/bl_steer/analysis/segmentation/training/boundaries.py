"""Phase fractions, lengths of boundaries and numbers of triple points in the loss of a training.

Entropy asks each pixel alone. A network that is unsure along an edge then draws a rim of the third
phase here and misses a film there: few pixels, but much boundary. This loss compares what is
measured later: what the phases of a patch make up, how long they touch, and in how many points
three of them meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bl_steer.analysis.segmentation.phases import UNLABELLED

__all__ = ["BoundaryLoss", "boundary_densities"]

STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""From a pixel to its neighbours, (rows, columns), one of each opposite pair."""
SHARPNESS = 3.0
"""Factor on the logits: the softer the labels, the more boundary they have."""
TRIPLE_WEIGHT = 0.04
"""Of triple points beside boundaries: a patch has few, and their number scatters widely."""
FRACTION_WEIGHT = 3.0
"""Of phase fractions beside boundaries."""
LEAST_DENSITY = 1e-4
"""Per pixel; of what hardly occurs a single one must not rule the loss."""


class BoundaryLoss:
    """The squared errors of phase fractions, boundary lengths and the number of triple points.

    Parameters
    ----------
    labels : of the training, (H, W) each; how much they have of each is the unit of its errors
    n_phases : two or more
    persistence : by what part of its mean error in a batch a number's multiplier grows

    Notes
    -----
    The numbers are those of the most probable phases, the gradient is that of the numbers expected
    if pixels were independent, of sharpened probabilities: a straight-through estimator (Bengio,
    Léonard & Courville, 2013, arXiv:1308.3432).

    Squares leave a part of an error that is alike in all patches, where entropy holds against it.
    So each number may have a multiplier, which grows by its error as long as there is one (J. C.
    Platt and A. H. Barr, 1987, "Constrained Differential Optimization", NIPS). What it has come to
    is a part of the state of a training: `multipliers`.
    """

    def __init__(
        self, labels: Sequence[NDArray[np.uint8]], n_phases: int, *, persistence: float = 0.0
    ) -> None:
        self._persistence = persistence
        counted = [
            _measured(one_hot(torch.from_numpy(one.astype(np.int64))[None], n_phases))
            for one in labels
        ]
        self._unit = torch.cat(counted).mean(dim=0).clamp(min=LEAST_DENSITY)
        n_pairs = len(self._unit) - n_phases - 1
        weights = [FRACTION_WEIGHT / n_phases] * n_phases + [1.0 / n_pairs] * n_pairs
        self._weights = torch.tensor([*weights, TRIPLE_WEIGHT])
        self.multipliers = torch.zeros_like(self._unit)
        """Of the mean errors of fractions, boundaries and triple points, (n,)."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch; its errors add to the multipliers.

        Parameters
        ----------
        logits : (B, n_phases, H, W)
        labels : (B, H, W), whole numbers, `UNLABELLED` where nobody painted
        """
        n_phases = logits.shape[1]
        known = (labels != UNLABELLED)[:, None]
        expected = _measured((SHARPNESS * logits).softmax(dim=1) * known)
        found = _measured(one_hot(logits.argmax(dim=1), n_phases) * known)
        error = found - _measured(one_hot(labels, n_phases)) + expected - expected.detach()
        relative = error / self._unit.to(error.device)
        mean = relative.mean(dim=0)
        self.multipliers = self.multipliers.to(error.device) + self._persistence * mean.detach()
        persistent = self.multipliers * mean
        weights = self._weights.to(error.device)
        return ((relative.square().mean(dim=0) + persistent) * weights).sum()


def one_hot(labels: Tensor, n_phases: int) -> Tensor:
    """Return labels (B, H, W) as shares (B, n_phases, H, W), 0 where unlabelled."""
    shares = functional.one_hot(labels.clamp(max=n_phases), n_phases + 1)[..., :n_phases]
    return shares.movedim(-1, 1).float()


def boundary_densities(shares: Tensor) -> Tensor:
    """Return how much boundary each pair of phases has, and how many triple points there are.

    Parameters
    ----------
    shares : of the phases in each pixel, (B, n_phases, H, W); all 0 where unlabelled

    Returns
    -------
    densities : (B, n_pairs + 1), in 1/px and, last, 1/px²

    Notes
    -----
    In the plane, Crofton's formula gives the length per area as π/2 times the mean, over
    directions, of the neighbours of unlike phases per pixel and distance. Triple points are
    counted as in `bl_steer.analysis.structure`: triangles of three pixels in three phases, squares
    of four cut along either diagonal. With shares, both are expectations for independent pixels.
    """
    n_phases = shares.shape[1]
    lengths = torch.zeros(len(shares), n_phases, n_phases, device=shares.device)
    for rows, columns in STEPS:
        left, right = max(0, -columns), max(0, columns)
        first = shares[:, :, : shares.shape[2] - rows, left : shares.shape[3] - right]
        second = shares[:, :, rows:, right : shares.shape[3] - left]
        pairs = torch.einsum("bihw,bjhw->bij", first, second) / first[0, 0].numel()
        lengths = lengths + (pairs + pairs.mT) / float(np.hypot(rows, columns))
    lengths = lengths * (np.pi / 2 / len(STEPS))
    upper = torch.triu_indices(n_phases, n_phases, 1, device=shares.device)
    squares = [
        shares[..., :-1, :-1],
        shares[..., :-1, 1:],
        shares[..., 1:, :-1],
        shares[..., 1:, 1:],
    ]
    triangles = [_unlike(*three).mean(dim=(1, 2)) for three in combinations(squares, 3)]
    triple = 0.5 * torch.stack(triangles).sum(dim=0)
    return torch.cat([lengths[:, upper[0], upper[1]], triple[:, None]], dim=1)


def _measured(shares: Tensor) -> Tensor:
    """Return phase fractions, and what `boundary_densities` returns, (B, n)."""
    return torch.cat([shares.mean(dim=(2, 3)), boundary_densities(shares)], dim=1)


def _unlike(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return the chance that three pixels are of three phases, (B, H, W)."""
    ab, whole_a, whole_b, whole_c = a * b, a.sum(1), b.sum(1), c.sum(1)
    alike = ab.sum(1) * whole_c + (a * c).sum(1) * whole_b + (b * c).sum(1) * whole_a
    return whole_a * whole_b * whole_c - alike + 2 * (ab * c).sum(1)
