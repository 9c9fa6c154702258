"""Volume fractions of the phases with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bl_steer.analysis.structure.blocks import Blocks, Draws, interval
from bl_steer.analysis.structure.counting import add_voxels, count
from bl_steer.analysis.structure.volume import LabelVolume
from bl_steer.protocols import Array, Progress

__all__ = ["Fractions", "volume_fractions"]


@dataclass(frozen=True)
class Fractions:
    """Volume fraction of each phase, with its 95 % interval; each of shape (n_phases,)."""

    fraction: Array
    low: Array
    high: Array


def volume_fractions(
    volume: LabelVolume,
    *,
    blocks: int = 4,
    n_draws: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fractions:
    """Return the volume fractions; the interval says how much they change with the box's place.

    Parameters
    ----------
    blocks : along each axis
    """
    cut = Blocks.of(volume.shape, blocks)
    none = np.zeros((1, 3), dtype=np.int64)
    counts = count(volume, cut, add_voxels, (none,), (len(volume.names),), progress)
    drawn = Draws.of(len(cut), n_draws, seed).sums(counts)
    shares = drawn / drawn.sum(axis=1, keepdims=True)
    return Fractions(volume.fractions, *interval(volume.fractions, shares, len(cut), most=1.0))
