"""Agents by the names of the command line: those of `bl_steer.agents`, and settings with a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bl_steer.agents import AGENT_NAMES

__all__ = ["AGENTS"]

AGENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{name: (name, {}) for name in AGENT_NAMES},
    # Spelled out, for both are recorded: a run says by itself how its agent started.
    "bayesian": ("bayesian", {"start": "maximin"}),
    "bayesian-random-start": ("bayesian", {"start": "random"}),
}
"""The agent and its options, by name."""
