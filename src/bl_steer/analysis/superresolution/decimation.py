"""Lessons from the plane: rows of a slice, thinned to the pitch, and the rows that were left out.

Slice-and-view samples thin planes: it decimates along z and does not blur. So a slice that is
decimated along one of its own axes looks like a section across the stack, and what was left out is
known. `sections` that are learnt so are true where the sample is isotropic; `measure_isotropy`
tests it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Decimation", "LessonSampler", "Lessons", "even_subset", "reaches", "rows_at"]

Values = NDArray[np.float32]
MIN_ROWS = 4
"""Measured rows that a lesson must have."""
MAX_TRAINING_SLICES = 32
"""Neighbouring slices teach much the same; evenly spread ones bound the memory."""


class Decimation(BaseModel):
    """How the slices of a stack sample the depth."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pitch_px: float = Field(
        default=8.0, gt=1, description="distance of the slices, in pixels of the plane"
    )
    profile_px: float = Field(
        default=0.0,
        ge=0,
        description="depth that a slice averages over, in pixels of the plane; 0 for a thin plane",
    )
    pitch_jitter: float = Field(
        default=0.0, ge=0, le=0.3, description="relative deviation of the distance of two slices"
    )


@dataclass(frozen=True)
class Lessons:
    """A batch of lessons: measured rows, and truth for rows between them.

    Parameters
    ----------
    measured : (B, n_values, N, W)
    between : (B, n_values, N', W): what lies halfway between the rows of a stage's input
    """

    measured: Values
    between: Values


class LessonSampler:
    """Batches of lessons, each determined by the seed, the stage and the number of the step.

    Parameters
    ----------
    slices : (n_slices, H, W, n_values), float32
    decimation : how z is sampled
    n_rows, n_columns, batch : measured rows, columns and number of the lessons

    Raises
    ------
    ValueError
        When the slices are too small for the pitch.
    """

    def __init__(
        self,
        slices: Values,
        decimation: Decimation,
        *,
        n_rows: int,
        n_columns: int,
        batch: int,
        seed: int,
    ) -> None:
        self._slices, self._decimation = slices, decimation
        self._batch, self._seed = batch, seed
        edges = slices.shape[1:3]
        most = int((min(edges) - 1 - decimation.profile_px) / decimation.pitch_px) + 1
        if most < MIN_ROWS:
            raise ValueError(
                f"slices must span at least {MIN_ROWS - 1} pitches to learn from, got "
                f"{edges[0]}×{edges[1]} px at a pitch of {decimation.pitch_px:g} px; take a larger "
                "field of view"
            )
        self.n_rows = min(n_rows, most)
        self._n_columns = min(n_columns, *edges)

    def __call__(self, stage: int, step: int) -> Lessons:
        """Return the lessons of a step; `between` has (N-1)·2^stage rows."""
        rng = np.random.default_rng((self._seed, stage, step))
        pairs = [self._lesson(rng, stage) for _ in range(self._batch)]
        return Lessons(
            np.stack([measured for measured, _ in pairs]),
            np.stack([between for _, between in pairs]),
        )

    def _lesson(self, rng: np.random.Generator, stage: int) -> tuple[Values, Values]:
        plane = self._slices[rng.integers(len(self._slices))]
        if rng.random() < 0.5:
            plane = plane.swapaxes(0, 1)
        if rng.random() < 0.5:
            plane = plane[::-1]
        if rng.random() < 0.5:
            plane = plane[:, ::-1]
        start = int(rng.integers(plane.shape[1] - self._n_columns + 1))
        plane = plane[:, start : start + self._n_columns]
        positions = self._positions(rng, plane.shape[0])
        measured = rows_at(plane, positions, profile_px=self._decimation.profile_px)
        fine = np.interp(
            (np.arange((len(positions) - 1) * 2**stage) + 0.5) / 2**stage,
            np.arange(len(positions)),
            positions,
        )
        between = rows_at(plane, fine, profile_px=self._decimation.profile_px)
        return measured.transpose(2, 0, 1), between.transpose(2, 0, 1)

    def _positions(self, rng: np.random.Generator, length: int) -> NDArray[np.float64]:
        """Return where the slices lie along the axis, px."""
        d = self._decimation
        steps = np.full(self.n_rows - 1, d.pitch_px)
        if d.pitch_jitter:
            steps *= np.clip(1 + d.pitch_jitter * rng.standard_normal(len(steps)), 0.4, 1.6)
        room = length - 1 - d.profile_px
        steps *= min(1.0, room / steps.sum())
        positions = np.concatenate([[0.0], np.cumsum(steps)])
        # Whole pixels where the pitch is whole: interpolation would smooth the lessons.
        return positions + d.profile_px / 2 + rng.integers(int(room - positions[-1]) + 1)


def reaches(shape: tuple[int, ...], pitch_px: float, profile_px: float = 0.0) -> bool:
    """Return whether slices (H, W) span as many pitches as there is something to learn from."""
    return (min(shape) - 1 - profile_px) / pitch_px + 1 >= MIN_ROWS


def even_subset(stack: Any) -> NDArray[Any]:
    """Return slices spread evenly over a stack in memory or in Zarr, as many as teach enough."""
    n = stack.shape[0]
    chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_TRAINING_SLICES)).round().astype(int))
    return np.stack([np.asarray(stack[int(z)]) for z in chosen])


def rows_at(plane: Values, positions: NDArray[np.float64], *, profile_px: float = 0.0) -> Values:
    """Return rows of a plane (H, W, …) at positions between its own.

    Each is averaged over `profile_px`, the depth of a slice.
    """
    if profile_px > 0:
        n = 2 * int(np.ceil(profile_px)) + 1
        depths = np.linspace(-profile_px / 2, profile_px / 2, n)
        return np.asarray(
            np.mean([rows_at(plane, positions + d) for d in depths], axis=0), np.float32
        )
    below = np.clip(np.floor(positions + 1e-9).astype(int), 0, len(plane) - 1)
    above = np.minimum(below + 1, len(plane) - 1)
    weight = np.clip(positions - below, 0.0, 1.0).astype(np.float32)
    weight = weight.reshape(-1, *(1,) * (plane.ndim - 1))
    return np.asarray(plane[below] * (1 - weight) + plane[above] * weight, np.float32)
