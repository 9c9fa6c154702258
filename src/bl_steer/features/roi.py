"""Features that are a fixed weighted sum of the pixels: the total, a box, a map of values.

They learn nothing and need no reference. `ReferenceFeature` and `NMFFeature` look for the shape of
a peak instead. As in those, lone bright pixels are taken out of two-dimensional frames first
(`bl_steer.features.spikes`): in a short exposure one zinger outshines every peak.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.features.spikes import without_spikes
from bl_steer.features.target import Box, Target
from bl_steer.protocols import Array

__all__ = ["LinearFeature", "MapFeature", "RoiFeature", "TotalFeature", "box_mask", "window_text"]


class LinearFeature:
    """Outcome = patterns @ weights, spikes taken out. Nothing is learned: the version stays 0.

    Parameters
    ----------
    target : the target's canonical text
    weights : shape (n_pixels,)
    shape : frame shape (H, W)
    """

    def __init__(self, target: str, weights: Array, shape: tuple[int, int]) -> None:
        self.target = target
        self.version = 0
        self.weights = weights
        self.shape = shape

    def partial_fit(self, patterns: Array) -> Self:
        """Check the patterns, shape (n_new, n_pixels), and learn nothing from them."""
        checked_patterns(patterns, len(self.weights))
        return self

    def transform(self, patterns: Array) -> Array:
        """Return the weighted sum of each pattern: (n_points, n_pixels) to (n_points,)."""
        values = without_spikes(checked_patterns(patterns, len(self.weights)), self.shape)
        return np.asarray(values @ self.weights, dtype=float)

    def residual(self, patterns: Array) -> Array:
        """Return zeros, (n_points,): there is no basis to compare with."""
        return np.zeros(len(checked_patterns(patterns, len(self.weights))))

    def alarm(self, patterns: Array) -> NDArray[np.bool_]:
        """Return False for each pattern, (n_points,): without a basis nothing is unexpected."""
        return np.zeros(len(checked_patterns(patterns, len(self.weights))), dtype=bool)


class TotalFeature(LinearFeature):
    """Outcome = sum of the frame, normalised counts."""

    def __init__(self, axes: FrameAxes) -> None:
        super().__init__(str(Target("total")), np.ones(axes.shape[0] * axes.shape[1]), axes.shape)


class MapFeature(LinearFeature):
    """Outcome = the frame's only pixel, for maps of values and for numbers of a field."""

    def __init__(self, axes: FrameAxes, target: Target | None = None) -> None:
        target = Target("map") if target is None else target
        if axes.shape != (1, 1):
            raise ValueError(
                f"target {target} must have frames of one value, got frames of shape {axes.shape}; "
                "use total, roi:, ref: or nmf: for patterns"
            )
        super().__init__(str(target), np.ones(1), axes.shape)


class RoiFeature(LinearFeature):
    """Outcome = sum of the counts in a box of q, pixel centres on the edge included."""

    def __init__(self, roi: Box, axes: FrameAxes) -> None:
        mask = box_mask(roi, axes).astype(float)
        super().__init__(str(Target("roi", roi=roi)), mask, axes.shape)


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


def checked_patterns(patterns: Array, n_pixels: int) -> Array:
    """Return patterns as (n_points, n_pixels) floats; NaNs and other sizes are errors."""
    values = np.asarray(patterns, dtype=float)
    if values.ndim != 2 or values.shape[1] != n_pixels:
        raise ValueError(
            f"patterns must have shape (n_points, {n_pixels}), got {values.shape}; "
            "flatten each frame row by row, as FrameAxes.mesh does"
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(
            f"patterns must be finite, got NaN or infinity in row {row}; "
            "measure a dead frame again before it is ingested"
        )
    return values
