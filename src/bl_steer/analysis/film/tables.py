"""The film in tables: a row for each point and peak, the medians, and what is not told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.film.agreement import clear_points
from bl_steer.analysis.film.map_fit import MapFit
from bl_steer.analysis.film.recorded import suffix
from bl_steer.analysis.film.told import Told
from bl_steer.diffraction import UNKNOWNS
from bl_steer.protocols import Array, Table

__all__ = ["COLUMNS", "film_tables"]

COLUMNS = {
    "x": "x_ge",
    "R": "relaxation",
    "tilt": "tilt_deg",
    "tilt_across": "tilt_across_deg",
    "twist": "twist_deg",
}
"""Names in tables; errors end in ``_error``."""


def film_tables(
    x: Array, y: Array, fits: Sequence[MapFit], told: Told, significance: float
) -> dict[str, Table]:
    """Return the tables ``points``, ``peaks`` and ``null``."""
    n_peaks = fits[0].peaks.counts.shape[1]
    parts = [_peak_rows(k, x, y, fits, told, significance) for k in range(n_peaks)]
    points = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {
        "points": points,
        "peaks": _medians(points, fits),
        "null": {
            **{COLUMNS[name]: told.directions[:, i] for i, name in enumerate(UNKNOWNS)},
            "meaning": np.array(told.sentences, dtype=np.str_),
        },
    }


def _peak_rows(
    k: int, x: Array, y: Array, fits: Sequence[MapFit], told: Told, significance: float
) -> dict[str, NDArray[Any]]:
    """Return a peak's rows; NaN in the film's columns where the peak is too faint."""
    rows: dict[str, NDArray[Any]] = {"x": x, "y": y, "peak": np.full(len(x), k)}
    for number, fit in enumerate(fits):
        end, peaks = suffix(number), fit.peaks
        errors = np.sqrt(np.einsum("nii->ni", peaks.covariance[:, k]))
        values = np.column_stack([peaks.counts[:, k], peaks.position[:, k]])
        for i, name in enumerate(("counts", "q_par", "q_perp")):
            rows[f"{name}{end}"], rows[f"{name}{end}_error"] = values[:, i], errors[:, i]
        rows[f"misfit{end}"] = peaks.misfit
    clear = clear_points(fits, k, significance)
    states = told.states[k]
    errors = np.sqrt(np.einsum("nii->ni", states.covariance))
    for i, name in enumerate(UNKNOWNS):
        known = clear & np.isfinite(errors[:, i])
        rows[COLUMNS[name]] = np.where(known, states.values[:, i], np.nan)
        rows[f"{COLUMNS[name]}_error"] = np.where(known, errors[:, i], np.nan)
    rows["chi2"] = np.where(clear, states.chi2, np.nan)
    rows["reason"] = np.where(clear, "", f"faint: counts below {significance:g} times their error")
    return rows


def _medians(points: Table, fits: Sequence[MapFit]) -> Table:
    """Return a row for each peak: how many points have it, medians, spread over the map, errors."""
    numbers = np.unique(points["peak"])
    table: dict[str, Any] = {"peak": numbers, "n_points": [], "counts": []}
    for k in numbers:
        own = points["peak"] == k
        clear = own & np.isfinite(points["x_ge"])
        table["n_points"].append(int(clear.sum()))
        table["counts"].append(float(np.median(points["counts"][own])))
        chi2 = points["chi2"][clear & np.isfinite(points["chi2"])]
        table.setdefault("chi2", []).append(float(np.mean(chi2)) if len(chi2) else np.nan)
        for name in COLUMNS.values():
            for end, value in zip(
                ("", "_spread", "_error"), _summary(points, name, clear), strict=True
            ):
                table.setdefault(f"{name}{end}", []).append(value)
        sizes = np.sqrt(np.linalg.eigvalsh(fits[0].peaks.shapes[int(k)].covariance))
        table.setdefault("width_narrow", []).append(2.3548 * sizes[0])
        table.setdefault("width_wide", []).append(2.3548 * sizes[1])
    return {name: np.asarray(column) for name, column in table.items()}


def _summary(points: Table, name: str, clear: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return median, half the width of the middle 68 %, and median error; NaN where there are
    none."""
    values, errors = points[name][clear], points[f"{name}_error"][clear]
    if not np.isfinite(values).any():
        return (float("nan"),) * 3
    low, middle, high = np.nanpercentile(values, [15.87, 50.0, 84.13])
    return float(middle), float(high - low) / 2.0, float(np.nanmedian(errors))
