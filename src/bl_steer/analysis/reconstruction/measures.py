"""What volumes hold, method by method: the tables of `bl_steer.analysis.structure`, compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.structure.analysis import StructureAnalysis, StructureParams
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table

__all__ = [
    "ALONE",
    "CONVENTIONAL",
    "LANCZOS",
    "SUPERRESOLVED",
    "TRUTH",
    "against_truth",
    "areas_of_slices",
    "beside_each_other",
    "measure",
    "table_1",
    "table_2",
]

CONVENTIONAL, LANCZOS, SUPERRESOLVED, TRUTH = "conventional", "Lanczos", "super-resolved", "truth"
ALONE = "slices alone"
"""Slices as voxels of their true, thick shape: areas without any volume."""
KEPT = ("volumes", "areas", "triple_lines", "connectivity", "chords")
"""Tables of the analysis ``structure`` that are compared."""


def measure(
    labels: NDArray[np.uint8],
    voxel_nm: tuple[float, float, float],
    phases: tuple[str, ...],
    *,
    blocks: int,
    seed: int,
    progress: Progress | None = None,
) -> AnalysisResult:
    """Return the structure of a label volume (N, H, W)."""
    params = StructureParams(
        voxel_size_nm=voxel_nm,
        phases=",".join(f"{k}:{name}" for k, name in enumerate(phases)),
        blocks=blocks,
        seed=seed,
    )
    return StructureAnalysis().run(Inputs({"labels": labels}), params, progress)


def areas_of_slices(
    labels: NDArray[np.uint8],
    voxel_nm: tuple[float, float, float],
    phases: tuple[str, ...],
    *,
    box_um3: float,
    blocks: int,
    seed: int,
) -> Table:
    """Return the table ``areas`` of label maps (n, H, W) as voxels of their true shape.

    Parameters
    ----------
    voxel_nm : mean distance of the slices, and the pixel
    box_um3 : volume of the box that the areas are given for; slices reach half a pitch beyond

    Notes
    -----
    Crofton's formula allows for the shape of a voxel, so that thick slices give unbiased areas of
    interfaces that are smooth on the scale of the pitch. They give no shape.
    """
    areas = measure(labels, voxel_nm, phases, blocks=blocks, seed=seed).tables["areas"]
    share = box_um3 / (labels.size * float(np.prod(voxel_nm)) * 1e-9)
    scaled = {
        key: np.asarray(column) * share if key.endswith("_um2") else np.asarray(column)
        for key, column in areas.items()
    }
    return {"method": np.full(len(scaled["phase_a"]), ALONE), **scaled}


def beside_each_other(measured: Mapping[str, Mapping[str, Table]]) -> dict[str, Table]:
    """Return the tables of several methods as one each, with a first column ``method``."""
    joined: dict[str, Table] = {}
    for name in KEPT:
        tables = {method: by_name[name] for method, by_name in measured.items()}
        rows = {method: len(next(iter(table.values()))) for method, table in tables.items()}
        joined[name] = {
            "method": np.repeat(np.array(list(rows)), list(rows.values())),
            **{
                key: np.concatenate([np.asarray(table[key]) for table in tables.values()])
                for key in next(iter(tables.values()))
            },
        }
    return joined


def table_1(volumes: Table) -> Table:
    """Return the volumes of the phases, each method beside the others; µm³, 95 % intervals."""
    return _compared(volumes, ("phase",), "volume", "um3")


def table_2(areas: Table) -> Table:
    """Return the contact areas of the pairs of phases, method by method; µm², 95 % intervals."""
    return _compared(areas, ("phase_a", "phase_b"), "area", "um2")


def against_truth(table: Table, value: str) -> Table:
    """Return a table with a column ``ratio_to_truth``: of `value`, NaN where the truth has none.

    Rows of one quantity have the same ``phase``, or the same ``phase_a``, ``phase_b``, ….
    """
    keys = [key for key in table if key == "phase" or key.startswith("phase_")]
    names = list(zip(*(np.asarray(table[key]).tolist() for key in keys), strict=True))
    rows = list(zip(names, table["method"], table[value], strict=True))
    known = {name: float(amount) for name, method, amount in rows if method == TRUTH and amount > 0}
    ratio = np.array([float(amount) / known.get(name, np.nan) for name, _, amount in rows])
    columns: dict[str, Any] = {}
    for key, column in table.items():
        columns |= {key: column} | ({"ratio_to_truth": ratio} if key == value else {})
    return columns


def _compared(table: Table, keys: tuple[str, ...], what: str, unit: str) -> Table:
    """Return a long table: one row for each quantity and method, with its ratios."""
    value, low, high = (table[f"{what}{end}_{unit}"] for end in ("", "_low", "_high"))
    names = np.array([" – ".join(row) for row in zip(*(table[key] for key in keys), strict=True)])
    methods = np.asarray(table["method"])

    def against(method: str) -> NDArray[np.float64]:
        known = {
            name: amount
            for name, amount, own in zip(names, value, methods, strict=True)
            if own == method and amount > 0
        }
        return np.array(
            [amount / known.get(name, np.nan) for name, amount in zip(names, value, strict=True)]
        )

    order = sorted(range(len(names)), key=lambda k: list(dict.fromkeys(names)).index(names[k]))
    columns = {
        "quantity": names,
        "method": methods,
        f"{what}_{unit}": value,
        f"{what}_low_{unit}": low,
        f"{what}_high_{unit}": high,
        "ratio_to_conventional": against(CONVENTIONAL),
        "ratio_to_truth": against(TRUTH),
    }
    return {key: np.asarray(column)[order] for key, column in columns.items()}
