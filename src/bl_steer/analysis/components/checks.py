"""What must hold of a map before it is factorised, and what a user should know of the result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bl_steer.analysis.components.factorisation import Factorisation
from bl_steer.analysis.components.params import ComponentParams
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array, Inputs, Table

__all__ = ["checked_arrays", "checked_axes", "fit_warnings", "warnings_for"]

FEW_PIXELS = 10
"""A component of fewer pixels is likely to be a hot pixel or a spike that was overlooked."""
LEFT_OUT = 0.01
"""Share of the counts above which it is said that they were left out."""


def checked_arrays(inputs: Inputs) -> dict[str, Array]:
    """Return patterns (n_points, n_pixels), x and y, and what else there is, as numbers.

    Raises
    ------
    ValueError
        When one is missing, has another shape or is not finite.
    """
    missing = {"patterns", "x", "y"} - set(inputs.arrays)
    if missing:
        raise ValueError(
            f"a map must have the arrays patterns, x and y, got {sorted(inputs.arrays)}; add "
            f"{', '.join(sorted(missing))}"
        )
    arrays = {key: np.asarray(value, dtype=float) for key, value in inputs.arrays.items()}
    patterns, x, y = arrays["patterns"], arrays["x"], arrays["y"]
    if patterns.ndim != 2 or not len(patterns) or not x.shape == y.shape == patterns.shape[:1]:
        raise ValueError(
            "patterns must be (n_points, n_pixels) with x and y (n_points,), got shapes "
            f"{patterns.shape}, {x.shape} and {y.shape}; give one row, x and y for each point"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(
            "x and y must be finite, got NaN or infinity; leave out points without a place"
        )
    empty = np.flatnonzero(~np.isfinite(patterns).any(axis=1))
    if len(empty) or np.isinf(patterns).any():
        cause = f"point {empty[0]} without any" if len(empty) else "infinity"
        raise ValueError(
            f"patterns must hold finite numbers, got {cause}; leave out the points of dead frames "
            "(NaN stands for cells where nothing was measured)"
        )
    return arrays


def checked_axes(inputs: Inputs, arrays: Mapping[str, Array]) -> FrameAxes:
    """Return the axes of the frame's pixels: qx and qz, or rows and columns.

    Raises
    ------
    ValueError
        When they do not fit the patterns.
    """
    n_pixels = arrays["patterns"].shape[1]
    if "qx" in arrays and "qz" in arrays:
        axes = FrameAxes(arrays["qx"], arrays["qz"], str(inputs.metadata.get("axis_unit", "1/Å")))
    else:
        height, width = inputs.metadata.get("frame_shape", (1, n_pixels))
        axes = FrameAxes.channels((int(height), int(width)))
    if axes.shape[0] * axes.shape[1] != n_pixels:
        raise ValueError(
            f"a pattern must have as many values as the frame has pixels, got {n_pixels} for "
            f"{axes.shape[0]} x {axes.shape[1]}; give qx and qz of these frames"
        )
    return axes


def warnings_for(table: Table, params: ComponentParams) -> list[str]:
    """Say that no component is like the reference."""
    if params.reference and not table["is_reference"].any():
        best = float(table["reference_cosine"].max())
        return [
            f"no component is like the reference {params.reference} (largest cosine {best:.2f}); "
            "ask for more components, or the phase is not there"
        ]
    return []


def fit_warnings(fit: Factorisation, axes: FrameAxes) -> list[str]:
    """Say what was left out, and which components are too small to be a peak."""
    texts = []
    if fit.left_out > LEFT_OUT:
        texts.append(
            f"{fit.n_bad} bad pixels and {fit.n_zingers} zingers, with {100 * fit.left_out:.1f} % "
            "of all counts, are left out; a peak one pixel wide that never moves is among them"
        )
    if min(axes.shape) < 3:  # a line of a spectrum may be one channel wide
        return texts
    for number, component in enumerate(fit.components):
        squares = float((component**2).sum())
        n_pixels = float(component.sum()) ** 2 / squares if squares > 0 else 0.0
        if n_pixels < FEW_PIXELS:
            texts.append(
                f"component {number} covers {n_pixels:.1f} pixels, too few for a peak; look at its "
                "pattern, or ask for fewer components"
            )
    return texts
