"""The written forms of what a film's analysis is told: reflections, peaks, assumptions."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from bl_steer.diffraction import RELAXATION_RANGE, UNKNOWNS, Reflection
from bl_steer.features import parse_reference
from bl_steer.features.target import Peak
from bl_steer.protocols import Array

__all__ = [
    "Assumed",
    "assumed_from_text",
    "peaks_from_text",
    "reflections_from_text",
    "written_assumptions",
    "written_peaks",
]

Assumed = Mapping[str, tuple[float, float]]
"""Value and standard deviation, by the unknown's name."""
MOST_PEAKS = 4
LIMITS = {"x": (0.0, 1.0), "R": RELAXATION_RANGE}
ASSUMPTION = re.compile(r"(x|R|tilt|tilt_across|twist)=([^=]+?)(?:(?:\+-|±)([^=]+))?")


def peaks_from_text(text: str) -> Array:
    """Return x and R of peaks, (K, 2), of their written form, ``x=0.18;x=0.45,R=0.9``.

    Raises
    ------
    ValueError
        In one line, with the text and what to write in its place.
    """
    rows = []
    for part in filter(None, text.replace(" ", "").split(";")):
        peak = parse_reference(part)
        if not isinstance(peak, Peak):
            raise ValueError(
                f"a peak must be written by composition and relaxation, got {part!r}; write e.g. "
                "x=0.45,R=0.9"
            )
        rows.append((peak.x_ge, peak.relaxation))
    if len(rows) > MOST_PEAKS:
        raise ValueError(
            f"there must be at most {MOST_PEAKS} peaks, got {len(rows)}; leave some out"
        )
    return np.array(rows).reshape(-1, 2)


def written_peaks(peaks: Array) -> str:
    """Return peaks in their written form."""
    return ";".join(f"x={x:.12g},R={r:.12g}" for x, r in peaks)


def reflections_from_text(text: str) -> list[Reflection]:
    """Return reflections of their written form, ``0,2,2;0,-2,2``."""
    return [Reflection.parse(part) for part in text.replace(" ", "").split(";")]


def assumed_from_text(text: str) -> dict[str, tuple[float, float]]:
    """Return what is assumed, of its written form, ``R=0.9+-0.05;tilt=0``.

    Raises
    ------
    ValueError
        In one line, with the text and what to write in its place.
    """
    assumed: dict[str, tuple[float, float]] = {}
    for part in filter(None, text.replace(" ", "").split(";")):
        match = ASSUMPTION.fullmatch(part)
        try:
            if match is None or match[1] in assumed:
                raise ValueError
            value, error = float(match[2]), float(match[3] or 0.0)
        except ValueError:
            raise ValueError(
                f"what is assumed must be one of {', '.join(UNKNOWNS)} with a value, each once, "
                f"got {part!r}; write e.g. R=0.9+-0.05 or tilt=0"
            ) from None
        low, high = LIMITS.get(match[1], (-45.0, 45.0))
        if not (low <= value <= high and 0.0 <= error < np.inf):
            raise ValueError(
                f"{match[1]} must lie in {low:g} … {high:g}, and its error be 0 or above, got "
                f"{part!r}; write e.g. R=0.9+-0.05"
            )
        assumed[match[1]] = (value, error)
    return assumed


def written_assumptions(assumed: Assumed) -> str:
    """Return what is assumed in its written form; ``+-0`` is left out."""
    return ";".join(
        f"{name}={value:.12g}" + (f"+-{error:.12g}" if error else "")
        for name, (value, error) in assumed.items()
    )
