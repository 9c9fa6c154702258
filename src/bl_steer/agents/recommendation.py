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

    The coordinate of an axis that the space does not have is NaN, and so is the probability that
    the spot is the right one, where an agent does not tell it.
    """

    x: float
    y: float
    mean: float
    sd: float
    z: float = math.nan
    p_right: float = math.nan

    @classmethod
    def of(
        cls, space: Space, position: Array, mean: float, sd: float, p_right: float = math.nan
    ) -> Self:
        """Return the recommendation of a position of the space, (d,)."""
        spot = {"y": math.nan, **space.point(position.tolist())}
        return cls(**spot, mean=float(mean), sd=float(sd), p_right=p_right)
