"""The length of a reflection in reciprocal space, by a unit cell or a UB matrix."""

from __future__ import annotations

import numpy as np

from bl_steer.files.errors import FileFormatError
from bl_steer.protocols import Array

__all__ = ["length_of_hkl", "q_of_cell"]


def length_of_hkl(hkl: Array, cell: Array) -> float | None:
    """Return |q| of hkl, 1/Å, with 2π; None where the cell is none.

    Parameters
    ----------
    hkl : shape (3,)
    cell : a, b, c in Å, alpha, beta, gamma in degrees

    Notes
    -----
    ``q² = 4 π² h G⁻¹ hᵀ`` with the metric tensor G of the cell.

    Examples
    --------
    >>> round(length_of_hkl(np.array([0, 2, 2]), np.array([5.431, 5.431, 5.431, 90, 90, 90])), 4)
    3.2722
    """
    if cell.size != 6 or not (cell > 0).all():
        return None
    edges, cosines = cell[:3], np.cos(np.radians(cell[3:]))
    metric = np.outer(edges, edges)
    for (i, j), cosine in zip(((1, 2), (0, 2), (0, 1)), cosines, strict=True):
        metric[i, j] = metric[j, i] = metric[i, j] * cosine
    if not np.linalg.det(metric) > 0:
        return None
    length = 2.0 * np.pi * np.sqrt(hkl @ np.linalg.solve(metric, hkl))
    return float(length) if length > 0 else None


def q_of_cell(hkl: tuple[float, float, float] | None, cell: Array | None) -> float | None:
    """Return |q| of a reflection, 1/Å, with 2π; None without one, or without a cell.

    Parameters
    ----------
    cell : a, b, c in Å, alpha, beta, gamma in degrees; a, b, c with right angles; or a of a cubic
        one

    Raises
    ------
    FileFormatError
        When the cell is none.
    """
    if hkl is None or not any(hkl) or cell is None:
        return None
    edges = np.ravel(cell)
    full = np.concatenate([np.full(3, edges[0]) if edges.size == 1 else edges, np.full(3, 90.0)])
    length = length_of_hkl(np.array(hkl), full[:6]) if edges.size in (1, 3, 6) else None
    if length is None:
        raise FileFormatError(
            f"must have a unit cell of 1, 3 or 6 positive numbers, Å and degrees, got "
            f"{edges[:6].tolist()}; correct it, or leave it out"
        )
    return length
