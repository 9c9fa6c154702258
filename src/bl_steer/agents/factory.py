"""Agents by their names: what the command line and plans write."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bl_steer.agents.space import Space
from bl_steer.protocols import Agent

__all__ = ["AGENT_NAMES", "make_agent"]

_CLASSES = {
    "bayesian": "bayesian:BayesianAgent",
    "botorch": "continuous:ContinuousAgent",
    "random": "baselines:RandomAgent",
    "sobol": "baselines:SobolAgent",
    "raster": "baselines:RasterAgent",
}

AGENT_NAMES = tuple(_CLASSES)


def make_agent(name: str, space: Space, *, seed: int, **options: Any) -> Agent:
    """Build an agent by its name.

    Parameters
    ----------
    name : "bayesian", "botorch" (continuous), "random", "sobol" or "raster".
    space : the candidates.
    seed : fixes every random choice.
    options : settings of that agent's class, e.g. ``n_start=10`` or ``start="random"``.

    Raises
    ------
    ValueError
        If no agent has this name.

    Examples
    --------
    >>> from bl_steer.agents import Space, make_agent
    >>> agent = make_agent("raster", Space.grid([0, 5], [0, 5]), seed=0)
    >>> agent.suggest()
    [{'_id': 0, 'x': 0.0, 'y': 0.0}]
    """
    if name not in _CLASSES:
        raise ValueError(
            f"agent must be one of {', '.join(AGENT_NAMES)}, got {name!r}; choose one of these"
        )
    module, _, class_name = _CLASSES[name].partition(":")
    make = getattr(import_module(f"bl_steer.agents.{module}"), class_name)
    agent: Agent = make(space, seed=seed, **options)
    return agent
