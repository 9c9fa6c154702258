"""The names of agents on the command line are those of the library, and settings with a name."""

from __future__ import annotations

import pytest

from bl_steer.agents import AGENT_NAMES, Space, make_agent
from bl_steer.cli import main
from bl_steer.trials import AGENTS


def test_every_agent_of_the_library_has_its_name_on_the_command_line() -> None:
    assert set(AGENTS) == {*AGENT_NAMES, "bayesian-random-start"}
    assert all(AGENTS[name][0] == name for name in AGENT_NAMES)


@pytest.mark.parametrize("name", AGENTS)
def test_every_name_makes_an_agent_that_suggests_a_point(name: str) -> None:
    agent, options = AGENTS[name]
    space = Space.grid([0.0, 5.0, 10.0], [0.0, 5.0, 10.0])
    (point,) = make_agent(agent, space, seed=0, **options).suggest()
    assert 0.0 <= point["x"] <= 10.0


@pytest.mark.parametrize("command", ["find", "replay"])
def test_help_names_every_agent(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert set(AGENTS) <= set(capsys.readouterr().out.replace(",", " ").split())
