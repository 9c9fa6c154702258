"""Limits of the settings of a simulated instrument, and how what lies beyond them is told."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["STRENGTH", "Limits", "beyond"]

Limits = tuple[float, float, str]
"""Lowest and highest value that a setting may have, and its unit; "" for a bare number."""

STRENGTH: Limits = (0.0, 10.0, "")
"""Of a fault of the instrument: 0 leaves it out, 1 is usual."""


def beyond(settings: object, limits: Mapping[str, Limits]) -> list[str]:
    """Return a sentence for each attribute of `settings` that lies beyond its limits, or is NaN.

    >>> from types import SimpleNamespace
    >>> beyond(SimpleNamespace(dwell_us=0.0), {"dwell_us": (0.05, 1000.0, "µs")})
    ['dwell_us must lie within 0.05 … 1000, got 0 µs']
    """
    return [
        f"{name} must lie within {low:g} … {high:g}, got {getattr(settings, name):g} {unit}".strip()
        for name, (low, high, unit) in limits.items()
        if not low <= getattr(settings, name) <= high
    ]
