"""Agents by name, and the light import."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import bl_steer.agents
from bl_steer.agents import AGENT_NAMES, Space, make_agent

SPACE = Space.grid(np.arange(4.0), np.arange(3.0))


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_every_named_agent_suggests_a_point_within_the_bounds(name: str) -> None:
    point = make_agent(name, SPACE, seed=0).suggest()[0]
    assert point["_id"] == 0
    assert 0 <= point["x"] <= 3
    assert 0 <= point["y"] <= 2


def test_options_reach_the_agent() -> None:
    agent = make_agent("bayesian", SPACE, seed=0, n_start=4, start="random")
    assert agent.settings["n_start"] == 4  # type: ignore[attr-defined]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="one of bayesian, botorch, random, sobol, raster, got 'x"):
        make_agent("x", SPACE, seed=0)


def test_all_public_names_load() -> None:
    for name in bl_steer.agents.__all__:
        assert getattr(bl_steer.agents, name) is not None
    with pytest.raises(AttributeError, match="attribute nonsense"):
        _ = bl_steer.agents.nonsense


def test_a_space_and_the_baselines_load_no_torch() -> None:
    code = (
        "import sys, bl_steer, bl_steer.agents.space\n"
        "from bl_steer.agents import Space, make_agent\n"
        "make_agent('random', Space.grid([0, 1], [0, 1]), seed=0).suggest()\n"
        "print('torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
