"""Agents: where to measure next.

Start with `make_agent`. `Space` says where one may measure; `BayesianAgent` is the one to use,
`ContinuousAgent` is plain BoTorch, the baselines learn nothing. Names load on first use, so that
importing this package, or a space, loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bl_steer.agents.baselines import RandomAgent, RasterAgent, SobolAgent
    from bl_steer.agents.bayesian import BayesianAgent, Recommendation
    from bl_steer.agents.continuous import ContinuousAgent
    from bl_steer.agents.space import Space, SpaceExhausted
    from bl_steer.protocols import Agent

__all__ = [
    "AGENT_NAMES",
    "BayesianAgent",
    "ContinuousAgent",
    "RandomAgent",
    "RasterAgent",
    "Recommendation",
    "SobolAgent",
    "Space",
    "SpaceExhausted",
    "make_agent",
]

_HOMES = {
    "BayesianAgent": "bayesian",
    "ContinuousAgent": "continuous",
    "RandomAgent": "baselines",
    "RasterAgent": "baselines",
    "Recommendation": "bayesian",
    "SobolAgent": "baselines",
    "Space": "space",
    "SpaceExhausted": "space",
}

_CLASSES = {
    "bayesian": "BayesianAgent",
    "botorch": "ContinuousAgent",
    "random": "RandomAgent",
    "sobol": "SobolAgent",
    "raster": "RasterAgent",
}

AGENT_NAMES = tuple(_CLASSES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


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
    agent: Agent = __getattr__(_CLASSES[name])(space, seed=seed, **options)
    return agent
