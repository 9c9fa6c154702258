"""What the commands say of themselves."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from bl_steer.analysis.segmentation import TILE_PX
from bl_steer.cli import make_parser
from bl_steer.cli.options import Parser
from bl_steer.server.settings import ServerSettings


def commands_of(parser: Parser) -> Iterator[Parser]:
    parser.complete()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from commands_of(command)
            return
    yield parser


def test_the_help_of_every_command_says_what_options_are_where_they_are_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # no default is broken at a hyphen
    helps = {}
    for command in commands_of(make_parser()):
        text = helps[command.prog] = " ".join(command.format_help().split())
        for action in command._actions:
            assert action.help, f"{command.prog} {action.dest}"
            if action.nargs != 0 and action.default not in (None, "", [], argparse.SUPPRESS):
                default = action.default
                shown = " ".join(map(str, default)) if isinstance(default, list) else default
                shown = f"{shown:g}" if isinstance(shown, float) else shown
                assert f"(default {shown})" in text, f"{command.prog} {action.dest}"
        assert not re.search(r"default:? (None|False|\[\])", text), command.prog
        assert not re.search(r"\(default [^()]*\) \(default", text), f"{command.prog} says it twice"
    for name in ("folder", "host", "port", "workers"):
        assert f"(default {ServerSettings.model_fields[name].default})" in helps["bl-steer serve"]
    assert f"(default {TILE_PX})" in helps["bl-steer segment run"]
