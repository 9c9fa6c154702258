"""The spot that an agent reports."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Recommendation"]


@dataclass(frozen=True)
class Recommendation:
    """The spot to report: position in the axes' units, posterior mean and sd of the objective.

    The coordinate of an axis that the space does not have is NaN.
    """

    x: float
    y: float
    mean: float
    sd: float
    z: float = math.nan
