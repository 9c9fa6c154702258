"""Depths in the names of slices, as in ``z50nm`` and ``z0.05um``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bl_steer.files.images.image_metadata import NM

__all__ = ["named_pitch_nm"]

_DEPTH = re.compile(r"([-+]?\d+(?:[.,]\d+)?)[ _]?(nm|um|µm|μm)(?![^\W\d_])")
ROUNDED = 0.2
"""Of a pitch, by which depths that names round may be off."""


def named_pitch_nm(files: Sequence[Path]) -> float | None:
    """Return the distance of neighbours that depths in names tell, nm; None where they tell none.

    One number with a unit of length changes from name to name; where some slices are missing,
    what is left steps by multiples of the pitch.

    Parameters
    ----------
    files : in any order

    Examples
    --------
    >>> named_pitch_nm([Path("z0nm.tif"), Path("z50nm.tif"), Path("z150nm.tif")])
    50.0
    >>> named_pitch_nm([Path("z0.9um.tif"), Path("z1.0um.tif")])
    100.0
    >>> named_pitch_nm([Path("s1_10nm.tif"), Path("s2_10nm.tif")]) is None
    True
    """
    found = [_DEPTH.findall(path.stem.lower()) for path in files]
    if len({len(lengths) for lengths in found}) != 1:
        return None
    depths = [
        [float(number.replace(",", ".")) * NM[unit] for number, unit in column]
        for column in zip(*found, strict=True)
    ]
    changing = [np.sort(column) for column in depths if len(set(column)) > 1]
    if len(changing) != 1:
        return None
    steps = np.diff(changing[0])
    if not (least := steps.min()) > 0:
        return None
    pitches = np.rint(steps / least)
    if (np.abs(steps - pitches * least) > ROUNDED * least).any():
        return None
    return float(f"{steps.sum() / pitches.sum():.6g}")
