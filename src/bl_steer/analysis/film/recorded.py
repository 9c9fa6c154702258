"""Stored maps as inputs: one, or several of the same points, each of its reflection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bl_steer import runs
from bl_steer.analysis.components.readings import variance_of_run
from bl_steer.protocols import Inputs

__all__ = ["inputs_of_run", "inputs_of_runs", "suffix"]

OF_POINTS = ("patterns", "variance", "x", "y")
SAME_PLACE = 0.25
"""Of the smallest distance between points: so near is the same point of another map."""


def suffix(number: int) -> str:
    """Return what the arrays of a map's number, from 0, end in."""
    return f"_{number + 1}" if number else ""


def inputs_of_run(run: Any) -> Inputs:
    """Return a stored map's valid points: patterns, x, y, and the pixels' qx and qz.

    Raises
    ------
    ValueError
        When it has no frames, no valid point, or no axes of q.
    """
    if run.frames is None or not run.valid.any():
        raise ValueError(
            f"a film must be told from a map with frames, got {run.n_points} points without in run "
            f"{run.uid}; choose a run of map_sample or find_hotspot"
        )
    if not (len(run.qx) and len(run.qz)):
        raise ValueError(
            f"a map must have axes of q in 1/Å, got none in run {run.uid}; measure with a "
            "reduction to q (bl_steer.diffraction.GriddedFrames), or a detector that has qx and qz"
        )
    x, y = runs.plane_of(run)
    patterns = run.patterns()
    usable = np.isfinite(patterns).any(axis=1)
    arrays = {"patterns": patterns[usable], "x": x[usable], "y": y[usable]}
    known = variance_of_run(run.results(), patterns)
    arrays |= {name: values[usable] for name, values in known.items()}
    return Inputs(
        arrays | {"qx": run.qx, "qz": run.qz},
        {"unit": runs.unit_of_axes(run), "axis_unit": run.axes.unit},
        {"run": run.uid},
    )


def inputs_of_runs(stored: Sequence[Any]) -> Inputs:
    """Return several maps of the same points, each of a reflection or azimuth, as inputs of one.

    A run whose points have several scans gives as many maps.

    Raises
    ------
    ValueError
        When a run is no such map, or has too few points of the first.
    """
    parts = [inputs_of_run(scan) for run in stored for scan in runs.scans_of(run)]
    first = parts[0]
    if len(parts) == 1:
        return first
    places = np.column_stack([first.arrays["x"], first.arrays["y"]])
    rows = np.arange(len(places))
    matches: list[NDArray[np.int_]] = []
    reach = SAME_PLACE * float(KDTree(places).query(places, k=2)[0][:, 1].min())
    for part in parts[1:]:
        tree = KDTree(np.column_stack([part.arrays["x"], part.arrays["y"]]))
        distance, index = tree.query(places)
        matches.append(index)
        rows = rows[distance[rows] <= reach]
    if not len(rows):
        unit = first.metadata["unit"]
        within = f"{reach:g} {'' if ',' in unit else unit}".rstrip()
        raise ValueError(
            f"maps of one film must have the same points, got none within {within} of those of "
            "the first; measure them on one grid"
        )
    arrays = dict(first.arrays) | {
        key: first.arrays[key][rows] for key in OF_POINTS if key in first.arrays
    }
    for number, (part, index) in enumerate(zip(parts[1:], matches, strict=True), 1):
        end = suffix(number)
        for name in ("patterns", "variance"):
            if name in part.arrays:
                arrays[f"{name}{end}"] = part.arrays[name][index[rows]]
        arrays |= {f"{name}{end}": part.arrays[name] for name in ("qx", "qz")}
    notes = (
        []
        if len(rows) == len(places)
        else [
            f"{len(places) - len(rows)} points of {len(places)} are not in all maps, and left out"
        ]
    )
    return replace(first, arrays=arrays, source={"runs": [run.uid for run in stored]}, notes=notes)
