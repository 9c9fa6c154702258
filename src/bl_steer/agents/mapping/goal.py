"""What a search is after: the brightest spot, the whole map, or where the target crosses a level.

How a goal chooses the next point is in `bl_steer.agents.acquisition` (the maximum) and
`bl_steer.agents.mapping.acquisition` (map and level). Loads no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from bl_steer.protocols import Array

__all__ = ["Goal"]


@dataclass(frozen=True)
class Goal:
    """A goal as it is written: ``"maximum"``, ``"map"``, ``"level=50%"`` or ``"level=1200"``.

    Parameters
    ----------
    kind : the maximum, the least error of the whole map, or the outline where the target crosses a
        level
    level : in the unit of the target, or its share of the range of the predicted map
    is_share : whether it is a share

    Examples
    --------
    >>> goal = Goal.parse("level=50%")
    >>> str(goal), goal.level_in(np.array([100.0, 300.0]))
    ('level=50%', 200.0)
    """

    kind: Literal["maximum", "map", "level"] = "maximum"
    level: float = math.nan
    is_share: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a goal; ValueError names what is wrong with it."""
        kind, _, level = str(text).replace(" ", "").partition("=")
        if "=" not in str(text) and kind == "maximum":
            return cls("maximum")
        if "=" not in str(text) and kind == "map":
            return cls("map")
        if kind != "level":
            raise ValueError(
                f"the goal must be maximum, map or level=…, got {text!r}; try goal='map' or "
                "goal='level=50%'"
            )
        return cls.at_level(level)

    @classmethod
    def at_level(cls, level: str | float) -> Self:
        """Return the goal of a level, ``"50%"`` of the range, or a number in the target's unit."""
        text = str(level).strip()
        is_share = text.endswith("%")
        try:
            value = float(text.removesuffix("%"))
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (is_share and not 0.0 < value < 100.0):
            raise ValueError(
                f"the level must be a number in the target's unit, or a share of its range between "
                f"0% and 100%, got {level!r}; try level='50%'"
            )
        return cls("level", value / 100.0 if is_share else value, is_share)

    def __str__(self) -> str:
        if self.kind != "level":
            return self.kind
        return f"level={100.0 * self.level:g}%" if self.is_share else f"level={self.level!r}"

    @property
    def reason(self) -> str:
        """What an explanation gives as the reason of a point."""
        return "improve" if self.kind == "maximum" else self.kind

    def level_in(self, mean: Array) -> float:
        """Return the level in the target's unit; a share is that of the range of a predicted map.

        The readings' own range would grow with their noise.
        """
        if not self.is_share:
            return self.level
        low, high = float(np.min(mean)), float(np.max(mean))
        return low + self.level * (high - low)
