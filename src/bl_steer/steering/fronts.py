"""What a search for places that no other one beats comes to: rows of the stream ``front``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bl_steer.agents import AXIS_NAMES
from bl_steer.protocols import Array
from bl_steer.runs import Run, read_outcomes

__all__ = ["Front", "FrontSpot", "front_of"]


@dataclass(frozen=True)
class FrontSpot:
    """A measured place that no other one beats in all targets; coordinates in the axes' units."""

    x: float
    values: Array
    """Of each target by its model, shape (n_targets,), counts."""
    sds: Array
    y: float = math.nan
    z: float = math.nan


@dataclass(frozen=True)
class Front:
    """The places that no other one beats, from the brightest in the first target down.

    Parameters
    ----------
    targets : in their written form
    positions : shape (n, d), in the axes' units
    values, sds : shape (n, n_targets), by the models, counts
    """

    targets: list[str]
    positions: Array
    values: Array
    sds: Array

    def rows(self, names: tuple[str, ...]) -> list[FrontSpot]:
        """Return a row for each place, by the names of the axes."""
        return [
            FrontSpot(**dict(zip(names, position.tolist(), strict=True)), values=value, sds=sd)
            for position, value, sd in zip(self.positions, self.values, self.sds, strict=True)
        ]


def front_of(run: Run) -> Front | None:
    """Return the front that a stored run has found; None for a run that sought none."""
    table = run.streams.get("front")
    if not table:
        return None
    positions = np.column_stack([table[name] for name in AXIS_NAMES if name in table])
    values, sds = (np.stack([read_outcomes(t) for t in table[key]]) for key in ("values", "sds"))
    return Front(list(run.steering["target"]), positions, values, sds)
