"""The spot that an agent reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from bl_steer.agents.space import Space
from bl_steer.protocols import Array

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

    @classmethod
    def of(cls, space: Space, position: Array, mean: float, sd: float) -> Self:
        """Return the recommendation of a position of the space, (d,)."""
        spot = {"y": math.nan, **space.point(position.tolist())}
        return cls(**spot, mean=float(mean), sd=float(sd))
