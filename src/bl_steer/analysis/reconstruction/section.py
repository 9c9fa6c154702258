"""One section across a reconstruction, as each method shows it: the panels of figure 5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.reconstruction.comparison import lanczos_labels
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.files.large_arrays import let_go
from bl_steer.protocols import AnalysisResult

__all__ = ["Panel", "panels_of"]

LARGEST_UM = 4.0
"""Edge of what a panel shows: more would hide what differs."""


@dataclass(frozen=True)
class Panel:
    """A section (Z, X) and how large it is, x and z in µm."""

    title: str
    kind: Literal["grey", "labels", "uncertainty"]
    values: NDArray[Any]
    extent_um: tuple[float, float]


def panels_of(result: AnalysisResult, truth: NDArray[np.uint8] | None = None) -> list[Panel]:
    """Return the xz section through the middle of a reconstruction, five times.

    Parameters
    ----------
    truth : (N, H, W); without, the last panel is the uncertainty
    """
    depths = EvenDepths.of_result(result)
    step, pixel, _ = result.provenance["voxel_nm"]
    slices, labels, volume = (result.arrays[key] for key in ("slices", "labels", "volume"))
    middle = slices.shape[1] // 2
    n, m = (int(1e3 * LARGEST_UM / edge) for edge in (step, pixel))
    planes, columns = _centred(len(volume), n), _centred(slices.shape[2], m)
    by_threshold = lanczos_labels(slices, labels, depths, rows=slice(middle, middle + 1))
    last = (
        ("uncertainty", "uncertainty", _row(result.arrays["uncertainty"], middle).astype("f4"))
        if truth is None
        else ("truth", "labels", _row(truth, middle))
    )
    nearest = depths.nearest_slice()
    sections: list[tuple[str, Any, NDArray[Any]]] = [
        ("slices as recorded", "grey", _row(slices, middle)[nearest]),
        ("conventional", "labels", _row(labels, middle)[nearest]),
        ("Lanczos and threshold", "labels", by_threshold[:, 0]),
        ("super-resolved", "labels", _row(volume, middle)),
        last,
    ]
    cut = [(title, kind, values[planes, columns]) for title, kind, values in sections]
    height, width = cut[0][2].shape
    extent = (1e-3 * width * pixel, 1e-3 * height * step)
    return [Panel(title, kind, values, extent) for title, kind, values in cut]


def _row(stack: NDArray[Any], row: int) -> NDArray[Any]:
    """Return a row of each plane (Z, X), a plane of a mapped stack in memory at a time."""
    values = np.empty((len(stack), stack.shape[2]), stack.dtype)
    for number, plane in enumerate(stack):
        values[number] = plane[row]
        let_go(stack)
    return values


def _centred(n: int, length: int) -> slice:
    """Return the middle of n, so long at most."""
    start = max(0, (n - length) // 2)
    return slice(start, start + min(n, length))
