from __future__ import annotations

import json
from pathlib import Path

import pytest

from bl_steer.analysis.segmentation import FIBSEM_PHASES, parse_phases


def test_a_preset_is_found_by_name() -> None:
    assert parse_phases("fibsem") is FIBSEM_PHASES
    assert parse_phases("optical").names == ("ferrite", "pearlite", "boundary")


def test_names_and_colours_are_read_in_order() -> None:
    phases = parse_phases("matrix:none, secondary:blue,tertiary:#ff0000")
    assert [(p.name, p.paint) for p in phases] == [
        ("matrix", None),
        ("secondary", (0, 0, 255)),
        ("tertiary", (255, 0, 0)),
    ]


def test_phases_are_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "phases.json"
    path.write_text(json.dumps(FIBSEM_PHASES.to_list()))
    assert parse_phases(str(path)) == FIBSEM_PHASES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metal", "NAME:COLOUR,…, got 'metal'"),
        ("a:red,b:", "NAME:COLOUR,…, got 'a:red,b:'"),
        ("a:red,b:reddish", "a colour's name, #rrggbb or none, got 'reddish'"),
        ("a:red,b:red", "must differ in name and paint"),
        ("a:red", "phases must be 2 to"),
        ("missing.json", "phases must be a JSON list"),
    ],
)
def test_what_names_no_phases_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_phases(text)
