"""Features that are a fixed weighted sum of the pixels: the total, a box, a map of values.

They need no reference, and learn nothing but which cells count. `ReferenceFeature` and `NMFFeature`
look for the shape of a peak instead. As in those, spikes are taken out of two-dimensional frames
first (`bl_steer.features.memory`): in a short exposure one zinger outshines every peak.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes, find_sentinels
from bl_steer.features.memory import Masks, make_memory
from bl_steer.features.spikes import without_spikes
from bl_steer.features.target import Box, Target
from bl_steer.protocols import Array

__all__ = [
    "LinearFeature",
    "MapFeature",
    "RoiFeature",
    "TotalFeature",
    "box_mask",
    "is_blind",
    "window_text",
]

SHARE_BEYOND = 0.01
"""Of a box, that may lie beyond the frame without a word."""


class LinearFeature:
    """Outcome = patterns @ weights, over the cells that count, spikes taken out.

    Parameters
    ----------
    target : the target's canonical text
    weights : shape (n_pixels,)
    shape : frame shape (H, W)
    masks : judge cells and spikes by all patterns together; else, as runs of earlier versions had
        it, spikes by each pattern alone
    is_height : divide by the squared norm of the weights that count: the least-squares height

    Attributes
    ----------
    version : how often it has changed which cells and counts of earlier patterns count
    """

    def __init__(
        self,
        target: str,
        weights: Array,
        shape: tuple[int, int],
        *,
        masks: Masks = True,
        is_height: bool = False,
    ) -> None:
        self.target = target
        self.weights = weights
        self.shape = shape
        self.memory = make_memory(masks, shape)
        self._is_height = is_height

    @property
    def version(self) -> int:
        """See above."""
        return 0 if self.memory is None else self.memory.version

    def learn_noise(self, patterns: Array, variances: Array) -> None:
        """Take the variances of patterns, both (n_new, n_pixels)."""
        if self.memory is not None:
            self.memory.learn_noise(patterns, variances)

    def partial_fit(self, patterns: Array) -> Self:
        """Take newly measured patterns, shape (n_new, n_pixels), to judge cells and spikes by."""
        values = self._checked(patterns)
        if self.memory is not None:
            self.memory.take(values)
        return self

    def transform(self, patterns: Array) -> Array:
        """Return the weighted sum of each pattern: (n_points, n_pixels) to (n_points,)."""
        values = self._checked(patterns)
        if self.memory is None:
            return np.asarray(without_spikes(values, self.shape) @ self._weights(), dtype=float)
        return np.asarray(self.memory.cleaned(values) @ self._weights(), dtype=float)

    def residual(self, patterns: Array) -> Array:
        """Return zeros, (n_points,): there is no basis to compare with."""
        return np.zeros(len(self._checked(patterns)))

    def alarm(self, patterns: Array) -> NDArray[np.bool_]:
        """Return whether most of what is weighed does not count, for each pattern: (n_points,)."""
        blind = self.memory is not None and is_blind(self.weights, self.memory.usable)
        return np.full(len(self._checked(patterns)), blind)

    def _checked(self, patterns: Array) -> Array:
        return checked_patterns(patterns, len(self.weights), gaps=self.memory is not None)

    def _weights(self) -> Array:
        weights = self.weights if self.memory is None else self.weights * self.memory.usable
        if not self._is_height:
            return weights
        return np.asarray(weights / (float(weights @ weights) or 1.0))


class TotalFeature(LinearFeature):
    """Outcome = sum of the frame, normalised counts."""

    def __init__(self, axes: FrameAxes, *, masks: Masks = True) -> None:
        n_pixels = axes.shape[0] * axes.shape[1]
        super().__init__(str(Target("total")), np.ones(n_pixels), axes.shape, masks=masks)

    def alarm(self, patterns: Array) -> NDArray[np.bool_]:
        """Return False for each pattern, (n_points,): many cells of a map in q may be empty."""
        return np.zeros(len(self._checked(patterns)), dtype=bool)


class MapFeature(LinearFeature):
    """Outcome = the frame's only pixel, for maps of values and for numbers of a field."""

    def __init__(self, axes: FrameAxes, target: Target | None = None) -> None:
        target = Target("map") if target is None else target
        if axes.shape != (1, 1):
            raise ValueError(
                f"target {target} must have frames of one value, got frames of shape {axes.shape}; "
                "use total, roi:, ref: or nmf: for patterns"
            )
        super().__init__(str(target), np.ones(1), axes.shape, masks=False)


class RoiFeature(LinearFeature):
    """Outcome = sum of the counts in a box of q, pixel centres on the edge included.

    Attributes
    ----------
    remark : which part of the box lies beyond the frame and counts nothing; empty where none does
    """

    def __init__(self, roi: Box, axes: FrameAxes, *, masks: Masks = True) -> None:
        mask = box_mask(roi, axes).astype(float)
        super().__init__(str(Target("roi", roi=roi)), mask, axes.shape, masks=masks)
        self.remark = _beyond(roi, axes)


def is_blind(weights: Array, usable: NDArray[np.bool_]) -> bool:
    """Return whether less than half of the weights' squared norm, both (n_pixels,), is usable."""
    return bool(2.0 * float(weights[usable] @ weights[usable]) < float(weights @ weights))


def box_mask(box: Box, axes: FrameAxes) -> NDArray[np.bool_]:
    """Return which pixel centres lie in a box, (n_pixels,); a box that holds none is an error."""
    qx, qz = axes.mesh()
    inside = (qx >= box.qx[0]) & (qx <= box.qx[1])
    if box.qz is not None:
        inside &= (qz >= box.qz[0]) & (qz <= box.qz[1])
    if not inside.any():
        raise ValueError(
            f"box {box.numbers} must hold a pixel of the frame's window, {window_text(axes)}, "
            f"got none; move or widen it{_other_form(box, axes)}"
        )
    return inside


def _beyond(box: Box, axes: FrameAxes) -> str:
    """Return what to say of a box of which a part lies beyond the frame's outer pixels."""
    inside = 1.0
    for span, axis in ((box.qx, axes.qx), (box.qz, axes.qz)):
        if span is None:
            continue
        half = 0.5 * np.ptp(axis) / max(len(axis) - 1, 1)
        low, high = max(span[0], axis.min() - half), min(span[1], axis.max() + half)
        inside *= (high - low) / (span[1] - span[0])
    if inside > 1.0 - SHARE_BEYOND:
        return ""
    return (
        f"{100.0 * (1.0 - inside):.0f} % of the box {box.numbers} lie beyond the frame's window, "
        f"{window_text(axes)}, and count nothing; a peak there is cut off: move the box, or the "
        "detector"
    )


def _other_form(box: Box, axes: FrameAxes) -> str:
    """Return how a box is written where its numbers are not as many as the frame's edges."""
    spectrum = axes.shape[0] == 1
    if spectrum == (box.qz is None):
        return ""
    if spectrum:
        return ", and write A0,A1: a spectrum has no q_z"
    return f": the numbers {box.numbers} are of q_x alone; write QX0,QX1,QZ0,QZ1 for both"


def window_text(axes: FrameAxes) -> str:
    """Describe a frame's window in words, for errors."""
    names = ("channel axis",) if axes.shape[0] == 1 else ("q_x", "q_z")
    return ", ".join(
        f"{name} {axis.min():.5g} … {axis.max():.5g} {axes.unit}"
        for name, axis in zip(names, (axes.qx, axes.qz), strict=False)
    )


def checked_patterns(patterns: Array, n_pixels: int, *, gaps: bool = False) -> Array:
    """Return patterns as (n_points, n_pixels) floats; other sizes are errors, and NaN without gaps.

    With `gaps` a pattern may hold NaN, infinity or a counter's largest number, but must hold more.
    """
    values = np.asarray(patterns, dtype=float)
    if values.ndim != 2 or values.shape[1] != n_pixels:
        raise ValueError(
            f"patterns must have shape (n_points, {n_pixels}), got {values.shape}; "
            "flatten each frame row by row, as FrameAxes.mesh does"
        )
    absent = find_sentinels(values) if gaps else ~np.isfinite(values)
    if not gaps and absent.any():
        row = int(np.flatnonzero(absent.any(axis=1))[0])
        raise ValueError(
            f"patterns must be finite, got NaN or infinity in row {row}; "
            "measure a dead frame again before it is ingested"
        )
    if gaps and absent.all(axis=1).any():
        row = int(np.flatnonzero(absent.all(axis=1))[0])
        raise ValueError(
            f"patterns must hold finite numbers, got none in row {row}; measure a dead frame again "
            "before it is ingested"
        )
    return values
