from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis.segmentation import FIBSEM_PHASES, decode_mask, parse_phases


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


def test_names_alone_do_for_masks_that_hold_numbers() -> None:
    phases = parse_phases("matrix, secondary,tertiary")
    assert phases.names == ("matrix", "secondary", "tertiary")
    numbers = np.arange(3, dtype=np.uint8).repeat(12).reshape(6, 6)
    assert np.array_equal(decode_mask(numbers, phases).labels, numbers)
    assert np.array_equal(decode_mask(numbers + 1, phases).labels, numbers)
    shown = np.array([phase.show for phase in phases], np.uint8)[numbers]
    assert np.array_equal(decode_mask(shown, phases).labels, numbers)
    red = np.broadcast_to(np.array([255, 0, 0], np.uint8), (6, 6, 3))
    with pytest.raises(ValueError, match=r"painted in .* for matrix"):
        decode_mask(red, phases)
    assert len({phase.paint for phase in parse_phases(",".join(map(str, range(254))))}) == 254


def test_phases_are_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "phases.json"
    path.write_text(json.dumps(FIBSEM_PHASES.to_list()))
    assert parse_phases(str(path)) == FIBSEM_PHASES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metal", "NAME,NAME,… for masks that hold numbers, got 'metal'"),
        ("a:red,b", "NAME:COLOUR,… or NAME,NAME,… for masks that hold numbers, got 'a:red,b'"),
        ("a,,b", "NAME:COLOUR,… or NAME,NAME"),
        ("a:red,b:", "numbers, got 'a:red,b:'"),
        ("a:red,b:reddish", "a colour's name, #rrggbb or none, got 'reddish'"),
        ("a:red,b:red", "must differ in name and paint"),
        ("a:red", "phases must be 2 to"),
        ("missing.json", "phases must be a JSON list"),
    ],
)
def test_what_names_no_phases_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_phases(text)
