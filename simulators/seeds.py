"""What may be a seed of a simulation."""

from __future__ import annotations

from numbers import Integral
from typing import Any

__all__ = ["seed_problems"]


def seed_problems(seed: Any) -> list[str]:
    """Return what is wrong with a seed, in a sentence; nothing for a good one."""
    whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if whole and 0 <= seed < 2**63:
        return []
    return [f"seed must be a whole number, 0 or above and below 2⁶³, got {seed!r}"]
