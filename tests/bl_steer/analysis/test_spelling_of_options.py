"""Messages of analyses name parameters as Python has them; each door then spells them its way."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bl_steer
from bl_steer.analysis.film import FilmParams
from bl_steer.analysis.rsm import RsmParams
from bl_steer.analysis.structure.analysis import StructureParams
from bl_steer.cli.options import Parser, in_options
from bl_steer.cli.params import add_params, option_of
from bl_steer.server.languages import in_labels

ROOT = Path(bl_steer.__file__).parent
BELOW_THE_DOORS = ("analysis", "files", "slicing", "diffraction", "features")
OPTION = re.compile(r"(?:^|[\s('\"])--[a-z][\w-]+")


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module besides its docstrings."""
    tree = ast.parse(path.read_text())
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.lineno, node.value


def test_no_message_below_the_doors_names_an_option_of_the_command_line() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {text}"
        for room in BELOW_THE_DOORS
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, text in sentences(path)
        if OPTION.search(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "by_command", "on_the_page"),
    [
        ("a peak that is not named (peaks=PLACES)", "--peaks PLACES", "“Peaks of the film” ="),
        (
            "take substrate=False if there is no substrate's peak",
            "--no-substrate if",
            "“The substrate's peak is in the map” = False",
        ),
    ],
)
def test_film_is_told_in_the_words_of_each_door(
    text: str, by_command: str, on_the_page: str
) -> None:
    parser = Parser()
    add_params(parser, FilmParams)
    assert by_command in in_options(parser.parse_args([]), text)
    assert on_the_page in in_labels("en", "film", text)


def test_rsm_is_told_in_options() -> None:
    parser = Parser()
    add_params(parser, RsmParams)
    arguments: argparse.Namespace = parser.parse_args([])
    for text, spelled in (
        ("give energy_kev=8.05", "give --energy-kev 8.05"),
        ("name it with goniometer=NAME", "name it with --goniometer NAME"),
        (
            "none of pixel_size_mm, beam_row; give these",
            "none of --pixel-size-mm, --beam-row; give",
        ),
        ("leave them out with mask=FILE", "leave them out with --mask FILE"),
    ):
        assert spelled in in_options(arguments, text)


def test_the_page_of_structure_names_both_where_option_and_parameter_differ() -> None:
    page = (ROOT.parents[1] / "docs" / "how-to" / "structure.md").read_text()
    rows = re.findall(r"^\| `(--[a-z-]+) [^`]*` \| `(\w+)=", page, re.M)
    fields = StructureParams.model_fields.items()
    spelled = {option_of(name, field): name for name, field in fields}
    differ = {o: name for o, name in spelled.items() if o[2:].replace("-", "_") != name}
    assert dict(rows) == differ
