"""The few numbers of a reconstruction that a reader of its report looks for first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.reconstruction.measures import CONVENTIONAL, SUPERRESOLVED
from bl_steer.protocols import AnalysisResult, Table

__all__ = ["cards_of"]


def cards_of(result: AnalysisResult, tables: Mapping[str, Table]) -> list[dict[str, str]]:
    """Return the few numbers that a reader looks for first."""
    cards = []
    if "scores" in tables:
        volumes, areas = tables["table_1"], tables["table_2"]
        cards += [
            {
                "value": _percent(_errors(volumes).max()),
                "text": "largest error of a volume, super-resolved against the truth; "
                f"conventional {_percent(_errors(volumes, CONVENTIONAL).max())}",
            },
            {
                "value": _percent(np.median(_errors(areas))),
                "text": f"median error of the contact areas, {_percent(_errors(areas).max())} the "
                f"worst; conventional {_percent(np.median(_errors(areas, CONVENTIONAL)))} and "
                f"{_percent(_errors(areas, CONVENTIONAL).max())}",
            },
        ]
    if "leave_out" in tables:
        by_method = dict(
            zip(tables["leave_out"]["method"], tables["leave_out"]["miou"], strict=True)
        )
        networks = by_method.pop(SUPERRESOLVED)
        others = ", ".join(
            f"{name} {score:.3f}{' (better)' if score > networks else ''}"
            for name, score in sorted(by_method.items(), key=lambda row: -row[1])
        )
        cards.append(
            {
                "value": f"{networks:.3f}",
                "text": f"mean IoU of slices that were left out and predicted; {others}",
            }
        )
    resolution = result.provenance["resolution_nm"]
    if resolution is not None and np.isfinite(resolution):
        cards.append(
            {"value": f"{resolution:.0f} nm", "text": "resolution at best (Fourier shells)"}
        )
    missing = int((np.asarray(tables["slices"]["plane"]) < 0).sum())
    recorded = len(result.arrays["slices"])
    cards.append(
        {
            "value": f"{recorded} of {recorded + missing}",
            "text": "slices recorded" + (f"; {missing} missing" if missing else ""),
        }
    )
    return cards


def _percent(share: float | np.floating[Any]) -> str:
    return f"{100 * float(share):.1f} %"


def _errors(table: Table, method: str = SUPERRESOLVED) -> NDArray[np.float64]:
    rows = np.asarray(table["method"]) == method
    return np.asarray(np.abs(np.asarray(table["ratio_to_truth"])[rows] - 1))
