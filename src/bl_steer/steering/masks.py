"""What of the patterns does not count, as a run records it: a row of the stream ``masks``.

The mask is told by the patterns alone (`bl_steer.features.memory`), so that a replay finds the
same; the row is for whoever reads the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bl_steer.features.memory import PatternMemory, memory_of
from bl_steer.protocols import Feature

__all__ = ["Mask", "MaskWatch", "mask_of", "recorded_masks"]


@dataclass(frozen=True)
class Mask:
    """What does not count once a number of points has been measured; a row for each change."""

    points: int
    """Points measured so far."""
    n_left_out: int
    """Cells of the pattern that do not count: not measured at some point, hot, dead or stuck."""
    n_spikes: int
    """Counts of single patterns that are taken for spikes."""
    masked_share: float
    """Share of all counts so far that lies in hot cells and spikes, 0 … 1."""
    left_out: str
    """The cells as JSON, ``[[first, number], …]`` of the pattern row by row."""


def mask_of(memory: PatternMemory, points: int) -> Mask:
    """Return the row for what a feature leaves out after so many points."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~memory.usable, [False]]).astype(int)))
    first, end = edges[::2], edges[1::2]
    return Mask(
        points=points,
        n_left_out=int((~memory.usable).sum()),
        n_spikes=memory.n_spikes,
        masked_share=memory.masked_share,
        left_out=json.dumps(np.stack([first, end - first], axis=1).tolist()),
    )


class MaskWatch:
    """What of a feature's patterns does not count, told when it changes."""

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._version = 0

    def new(self, points: int) -> Mask | None:
        """Return what does not count after so many points, if that has changed since."""
        memory = memory_of(self._feature)
        if memory is None or memory.version == self._version:
            return None
        self._version = memory.version
        return self.now(points)

    def now(self, points: int) -> Mask | None:
        """Return what does not count after so many points; None where all does."""
        memory = memory_of(self._feature)
        return None if memory is None else mask_of(memory, points)


def recorded_masks(table: Mapping[str, Any]) -> dict[int, Mask]:
    """Return the rows of a run's stream ``masks``, by how many points had been measured."""
    columns = [table[name].tolist() for name in Mask.__dataclass_fields__] if table else []
    rows = [Mask(*row) for row in zip(*columns, strict=True)]
    return {row.points: row for row in rows}
