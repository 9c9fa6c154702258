"""How much of a sample is above a level, and how sure that is."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bl_steer.agents.mapping.acquisition import (
    LEAST_WEIGHT,
    Scale,
    probability_above,
    warped_level,
)
from bl_steer.agents.mapping.goal import Goal
from bl_steer.agents.mapping.texture import Texture
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.agents.warp import unwarped_moments
from bl_steer.protocols import Array

__all__ = ["inside_draws"]

N_DRAWS = 400
MOST_OPEN = 600
"""Cells that are drawn together; of more undecided ones, evenly spread ones stand for the rest."""
DECIDED = 1e-4
"""Probability to be on the other side below which a cell is decided."""
JITTER = 1e-9
"""Of a covariance, over its largest variance."""


def inside_draws(
    model: GridEnsembleGP,
    goal: Goal,
    scale: Scale,
    allowed: NDArray[np.bool_],
    texture: Texture,
) -> Array:
    """Draw which share of the cells is above the goal's level, (n_draws,).

    Cells are drawn together, since what makes one brighter than believed makes its neighbours so;
    a level that is a share of the range is drawn with the range's ends. The same for the same
    model: the generator has a fixed seed.

    Parameters
    ----------
    model, goal, scale, allowed : as `bl_steer.agents.mapping.acquisition.MapAcquisition` takes them
    texture : of the sample
    """
    rng = np.random.default_rng(0)
    warp, offset = scale
    cells = np.flatnonzero(allowed)
    points = model.candidates.numpy()[cells]
    weights = model.log_weights.exp().numpy()
    moments = texture.moments(points)
    mean, _ = unwarped_moments(moments[0], moments[1], weights, offset=offset, kind=warp)
    level = goal.level_in(mean)
    p = probability_above(*moments, weights, warped_level(level, scale))
    undecided = np.flatnonzero((p > DECIDED) & (p < 1.0 - DECIDED))
    drawn = undecided[:: max(1, -(-len(undecided) // MOST_OPEN))]
    ends = np.array([np.argmax(mean), np.argmin(mean)])
    together = np.concatenate([drawn, ends])
    shares = []
    members = [m for m, weight in enumerate(weights) if weight >= LEAST_WEIGHT]
    counts = rng.multinomial(N_DRAWS, weights[members] / weights[members].sum())
    for member, count in zip(members, counts, strict=True):
        X = torch.tensor(points[together])
        smooth = model.covariance(member, X, cells[together]).numpy()
        covariance = texture.covariance(member, points[together], smooth)
        covariance += JITTER * covariance.diagonal().max() * np.eye(len(together))
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        z = moments[0][member][together] + rng.standard_normal((count, len(together))) @ root.T
        y = z if warp == "none" else np.maximum(z, 0.0) ** 2 + offset
        levels = np.full(count, level)
        if goal.is_share:
            moved = y[:, -2:] - mean[ends]
            levels += moved @ [goal.level, 1.0 - goal.level]
        above = (y[:, :-2] > levels[:, None]).sum(axis=1) * (len(undecided) / max(len(drawn), 1))
        shares.append(((p >= 1.0 - DECIDED).sum() + above) / len(cells))
    return np.concatenate(shares)
