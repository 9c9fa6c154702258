"""Whether the phases of labelled micrographs lie in layers, so that up and down tell them apart.

Patches that are turned or mirrored upside down teach a network that orientation means nothing. Of a
section through layers it means much: what is above the oxide is the coating, and what is below the
bond coat, though their grey levels are alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import UNLABELLED

__all__ = ["axis_across_layers"]

LAYERED = 0.15
"""Share of the phases' variance that the place along one axis explains, from which they lie in
layers: what lies at random places explains less, the more of it a micrograph shows."""
TIMES_LONGER = 4.0
"""How far phases reach along layers, in how far they reach across."""
SMALLEST_PX = 160
"""Edge of a micrograph that tells: a few grains in a smaller one may lie as layers do by chance."""
FEWEST = 8
"""Labelled pixels of a row that tell its phases."""


def axis_across_layers(labels: Sequence[NDArray[np.uint8]], n_phases: int) -> int | None:
    """Return the axis across the layers, 0 for layers that lie, 1 for layers that stand, or None.

    Parameters
    ----------
    labels : label maps (H, W), `UNLABELLED` where nobody painted
    """
    labels = [mask for mask in labels if min(mask.shape) >= SMALLEST_PX]
    if not labels:
        return None
    explained = np.array([[_explained(m, n_phases), _explained(m.T, n_phases)] for m in labels])
    # The mean over a row of random phases varies as the length that they reach over its own.
    reach = (explained * [mask.shape[::-1] for mask in labels]).mean(axis=0)
    axis = int(reach.argmax())
    if explained[:, axis].mean() < LAYERED or reach[axis] < TIMES_LONGER * reach[1 - axis]:
        return None
    return axis


def _explained(mask: NDArray[np.uint8], n_phases: int) -> float:
    """Return the share of the variance of the phases, as 0 and 1, that lies between rows."""
    known = (mask != UNLABELLED).sum(axis=1)
    counts = np.stack([(mask == phase).sum(axis=1) for phase in range(n_phases)])
    told = known >= FEWEST
    if not told.any():
        return 0.0
    share, weight = counts[:, told] / known[told], known[told] / known[told].sum()
    mean = share @ weight
    total = float((mean * (1 - mean)).sum())
    between = float((((share - mean[:, None]) ** 2) @ weight).sum())
    return between / total if total > 0 else 0.0
