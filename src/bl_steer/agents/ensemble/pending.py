"""Points on their way: what they will tell of other places, whatever their outcomes.

`bl_steer.agents.surrogate` takes them to give what each member expects there. Its means then stay
as they are, and its variances fall by what is here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bl_steer.agents.ensemble.neighbours import NeighbourFactors

__all__ = ["explained_by"]


def explained_by(
    pending: Tensor, factors: NeighbourFactors, X: Tensor, members: Tensor, *, everywhere: bool
) -> Tensor:
    """Return the share of the prior variance at X that points on their way explain, (K, n).

    Parameters
    ----------
    pending, X : shapes (k, d) and (n, d)
    members : shape (K,), which
    everywhere : whether X are all the candidates

    References
    ----------
    Ginsbourger, Le Riche & Carraro 2010, doi 10.1007/978-3-642-10701-6_6 (kriging believer);
    Desautels, Krause & Burdick 2014, J. Mach. Learn. Res. 15, 4053 (variances that fall).
    """
    explained = []
    for member in members.tolist():
        at_X = (
            factors.covariance(member, pending, np.arange(len(X)))
            if everywhere
            else factors.covariance_between(member, pending, X)
        )
        own = factors.covariance_between(member, pending, pending)
        own.diagonal().clamp_min_(0.0).add_(factors.exact.nuggets[member])
        L, failed = torch.linalg.cholesky_ex(own)
        if failed:  # each pair has its own neighbours, so that theirs need not be a covariance
            values, vectors = torch.linalg.eigh(own)
            least = float(factors.exact.nuggets[member])
            white = (vectors.mT @ at_X) / values.clamp_min(least).sqrt()[:, None]
        else:
            white = torch.linalg.solve_triangular(L, at_X, upper=False)
        explained.append(white.square().sum(0))
    return torch.stack(explained)
