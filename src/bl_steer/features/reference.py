"""Draw a reference pattern on a frame's pixels, and filter with it.

A reference is what gives a component its name: a user can compute it (`Peak`), draw it (`Box`,
`Ellipse`) or choose it from an NMF's proposals and freeze it to a file (`freeze`). The simplest
feature built on it is the matched filter, `ReferenceFeature`; `bl_steer.features.nmf` learns the
pattern's true shape from the data instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from bl_steer.diffraction import FrameAxes
from bl_steer.diffraction.sige import peak_position
from bl_steer.features.memory import Masks
from bl_steer.features.roi import LinearFeature, box_mask, window_text
from bl_steer.features.target import Box, Ellipse, FrozenPattern, Peak, Reference, Target
from bl_steer.protocols import Array

__all__ = ["ReferenceFeature", "freeze", "matched_filter", "reference_pattern"]

RADIAL_SIGMA = 0.005
"""Nominal width of a (022) peak along q, 1/Å, standard deviation."""
ANGULAR_SIGMA = 0.0095
"""Nominal width of a (022) peak across q, 1/Å, standard deviation: texture and divergence."""
VISIBLE_SHARE = 0.01
"""A Gaussian whose highest pixel in the window is below this (3 sigma away) lies outside."""


def reference_pattern(reference: Reference, axes: FrameAxes) -> Array:
    """Draw a reference on a frame's pixels.

    Parameters
    ----------
    reference : what to draw
    axes : the frame's pixels

    Returns
    -------
    pattern : shape (n_pixels,), highest value 1, not negative

    Raises
    ------
    ValueError
        If the reference lies wholly outside the frame's window, or does not fit the frame.
    """
    if isinstance(reference, Box):
        return box_mask(reference, axes).astype(float)
    if isinstance(reference, FrozenPattern):
        return _load_pattern(reference, axes)
    pattern = _peak(reference, axes) if isinstance(reference, Peak) else _ellipse(reference, axes)
    if not pattern.max() >= VISIBLE_SHARE:
        raise ValueError(
            f"reference {reference} must lie inside the frame's window, {window_text(axes)}, "
            "got a peak outside it; change the reference or move the window"
        )
    return np.asarray(pattern / pattern.max(), dtype=float)


def matched_filter(patterns: Array, pattern: Array) -> Array:
    """Return the least-squares height of `pattern` in each of `patterns`.

    Parameters
    ----------
    patterns : shape (n_points, n_pixels), normalised counts
    pattern : shape (n_pixels,), highest value 1, 0 in cells that do not count

    Returns
    -------
    heights : shape (n_points,), counts in the reference's brightest pixel

    Notes
    -----
    <x, r> / <r, r>: the best linear estimate of the height of a known shape in white noise
    (Turin, IRE Trans. Inf. Theory 6 (1960) 311, doi 10.1109/TIT.1960.1057571).
    """
    return np.asarray(patterns @ pattern / (float(pattern @ pattern) or 1.0), dtype=float)


class ReferenceFeature(LinearFeature):
    """Outcome = matched filter with a frozen reference pattern, over the cells that count.

    The residual is 0 by definition: one reference is not meant to explain the matrix and the
    substrate, so that the share which it leaves unexplained says nothing. For an alarm on unseen
    phases take ``nmf:K@REF``.
    """

    def __init__(self, reference: Reference, axes: FrameAxes, *, masks: Masks = True) -> None:
        self.pattern = reference_pattern(reference, axes)
        target = str(Target("ref", reference=reference))
        super().__init__(target, self.pattern, axes.shape, masks=masks, is_height=True)


def freeze(path: str | Path, pattern: Array, axes: FrameAxes) -> Path:
    """Save a pattern as .npz, to be read back by the reference ``file:PATH``.

    Parameters
    ----------
    path : where to write; must end in .npz
    pattern : shape (n_pixels,) or (H, W), not negative
    axes : the pixels that the pattern was learned on; saved with it
    """
    path = Path(path)
    FrozenPattern(str(path))
    values = _checked(np.asarray(pattern, dtype=float), axes, str(path))
    with path.open("wb") as file:
        np.savez_compressed(
            file, pattern=values.reshape(axes.shape), qx=axes.qx, qz=axes.qz, unit=axes.unit
        )
    return path


def _peak(reference: Peak, axes: FrameAxes) -> Array:
    if axes.unit != "1/Å":
        raise ValueError(
            f"reference {reference} must be used on frames in 1/Å, got frames in {axes.unit}; "
            "draw the reference as box: or ellipse:, or freeze one to a file"
        )
    q_par, q_perp = peak_position(
        reference.x_ge, reference.relaxation, reference.tilt_deg, hkl=(0, 2, 2)
    )
    centre = np.array([float(q_par), float(q_perp)])
    radial = centre / np.linalg.norm(centre)
    qx, qz = axes.mesh()
    along = (qx - centre[0]) * radial[0] + (qz - centre[1]) * radial[1]
    across = (qz - centre[1]) * radial[0] - (qx - centre[0]) * radial[1]
    exponent: Array = (along / RADIAL_SIGMA) ** 2 + (across / ANGULAR_SIGMA) ** 2
    return np.exp(-0.5 * exponent)


def _ellipse(reference: Ellipse, axes: FrameAxes) -> Array:
    qx, qz = axes.mesh()
    distance: Array = ((qx - reference.qx) / reference.rx) ** 2
    if reference.qz is not None and reference.rz is not None:
        distance = distance + ((qz - reference.qz) / reference.rz) ** 2
    return np.asarray(np.exp(-np.log(2.0) * distance), dtype=float)


def _load_pattern(reference: FrozenPattern, axes: FrameAxes) -> Array:
    try:
        with Path(reference.path).open("rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            saved = loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ValueError(
            f"reference file must be a readable .npz or .npy without pickles, "
            f"got {reference.path!r} ({error}); save it with bl_steer.features.freeze"
        ) from error
    if isinstance(saved, np.ndarray):
        return _checked(saved, axes, reference.path)
    if "pattern" not in saved:
        raise ValueError(
            f"reference file must hold an array named 'pattern', got {sorted(saved)} "
            f"in {reference.path!r}; save it with bl_steer.features.freeze"
        )
    pattern = _checked(saved["pattern"], axes, reference.path)
    for name, here in (("qx", axes.qx), ("qz", axes.qz)):
        if name in saved and not np.allclose(saved[name], here, rtol=0, atol=_pixel(here) / 2):
            raise ValueError(
                f"reference file {reference.path!r} must lie on the frame's window, "
                f"{window_text(axes)}, got {name} from {saved[name].min():g} to "
                f"{saved[name].max():g}; freeze a pattern of this window"
            )
    return pattern


def _pixel(axis: Array) -> float:
    return float(np.abs(np.diff(axis)).min()) if len(axis) > 1 else 1.0


def _checked(pattern: Array, axes: FrameAxes, path: str) -> Array:
    n_pixels = axes.shape[0] * axes.shape[1]
    if pattern.dtype.kind not in "fiu" or pattern.shape not in (axes.shape, (n_pixels,)):
        raise ValueError(
            f"a frozen pattern must be numbers of shape {axes.shape}, got {pattern.dtype} of shape "
            f"{pattern.shape} for {path!r}; freeze a pattern of frames of this size"
        )
    values = np.asarray(pattern, dtype=float).ravel()
    if not np.isfinite(values).all() or values.min() < 0 or values.max() <= 0:
        raise ValueError(
            f"a frozen pattern must be finite, not negative and not all zero, got values from "
            f"{values.min():g} to {values.max():g} for {path!r}; choose another component"
        )
    return np.asarray(values / values.max(), dtype=float)
