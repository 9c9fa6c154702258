"""What must hold of a map before it is factorised, and what a user should know of the result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bl_steer.analysis.components.factorisation import Factorisation
from bl_steer.analysis.components.params import ComponentParams
from bl_steer.analysis.components.readings import measured, whole_counts
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array, Inputs, Table

__all__ = ["checked_arrays", "checked_axes", "fit_warnings", "warnings_for"]

FEW_PIXELS = 10
"""A component of fewer pixels is likely to be a hot pixel or a spike that was overlooked."""
FEW_CHANNELS = 1.5
"""The same of spectra, whose lines may be narrow."""
EMPTY_POINTS = (
    "leave out the points of dead frames (NaN stands for cells where nothing was measured)"
)
ALIKE = 1e-12
"""Squared deviation from one pattern, of the squared values, that is none."""


def checked_arrays(inputs: Inputs) -> dict[str, Array]:
    """Return patterns (n_points, n_pixels), x and y, and what else there is, as numbers.

    Raises
    ------
    ValueError
        When one is missing, has another shape or is not finite, or the map has no counts.
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
    if "variance" in arrays and arrays["variance"].shape != patterns.shape:
        raise ValueError(
            f"variance must have the shape of patterns, got {arrays['variance'].shape} for "
            f"{patterns.shape}; give that of each pixel, or none"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(
            "x and y must be finite, got NaN or infinity; leave out points without a place"
        )
    if np.isfinite(patterns).any() and not np.nansum(np.maximum(patterns, 0.0)) > 0:
        raise ValueError(
            f"patterns must hold counts, got a sum of {np.nansum(patterns):g}; check that the beam "
            "was on, and the background that was taken off"
        )
    if np.isinf(patterns).any():
        raise ValueError(f"patterns must hold finite numbers, got infinity; {EMPTY_POINTS}")
    patterns = arrays["patterns"] = measured(np.asarray(inputs.arrays["patterns"]))
    empty = np.flatnonzero(np.isnan(patterns).all(axis=1))
    if len(empty):
        raise ValueError(
            f"patterns must hold finite numbers, got point {empty[0]} without any; {EMPTY_POINTS}"
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
    texts = [*fit.notes, *_alike(fit)]
    is_thin = min(axes.shape) < 3
    few, name = (FEW_CHANNELS, "channels") if is_thin else (FEW_PIXELS, "pixels")
    for number, component in enumerate(fit.components):
        squares = float((component**2).sum())
        n_pixels = float(component.sum()) ** 2 / squares if squares > 0 else 0.0
        if not squares > 0:
            texts.append(f"component {number} is empty; ask for fewer components")
        elif n_pixels < few:
            texts.append(
                f"component {number} covers {n_pixels:.1f} {name}, too few for a peak; look at its "
                "pattern, or ask for fewer components"
            )
    return texts


def _alike(fit: Factorisation) -> list[str]:
    """Say that all patterns are one, but for their counts.

    Counts of patterns that are alike have Σ (x - e)²/e around (n - 1)(k - 1), e being the product
    of the sums of row and column over that of all (Pearson's test of independence).
    """
    shown = fit.patterns.any(axis=0)
    if fit.measured is not None:
        shown &= fit.measured.all(axis=0)
    values = fit.patterns[:, shown]
    if len(fit.components) < 2 or not values.any():
        return []
    counts = whole_counts(values)
    if counts is not None:
        values = counts
    values = values[values.any(axis=1)]
    expected = values.sum(axis=1, keepdims=True) * values.sum(axis=0) / values.sum()
    squares = (values - expected) ** 2
    is_one = bool(squares.sum() <= ALIKE * (values**2).sum())
    if counts is not None and not is_one:
        free = (len(values) - 1) * (values.shape[1] - 1)
        spread = np.sqrt((2.0 + 1.0 / expected).sum())
        is_one = bool((squares / expected).sum() < free + 3.0 * spread)
    if not is_one:
        return []
    return [
        "the patterns of all points are alike, but for their counts and noise: they tell one "
        f"component, and {len(fit.components)} share it at will; ask for one, or check that the "
        "sample moved"
    ]
