"""The options of the command line are the parameters of the analyses, at every door."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field

from bl_steer.analysis import analysis_names, find_analysis
from bl_steer.analysis.slices import SliceParams
from bl_steer.cli import main, make_parser
from bl_steer.cli.options import Parser, print_warnings
from bl_steer.cli.params import add_params, option_of, read_params
from bl_steer.processing.publish import publish
from bl_steer.protocols import AnalysisResult
from bl_steer.store import Store

DOORS = {
    "analyse": ("analyse", "-1", "{name}"),
    "submit": ("submit", "file.tif", "--analysis", "{name}"),
}
OWN_DOORS = {
    "segment": [(("segment", "run"), set())],
    "structure": [(("structure",), set())],
    "reconstruct": [
        (("slices",), set()),
        (("slice-and-view",), {"seed", *SliceParams.model_fields}),
    ],
    "superres": [
        (("superres", "train"), {"model", "keep_fractions"}),
        (("superres", "check"), {"model", "keep_fractions"}),
    ],
}
"""Commands of their own, with the parameters that have no option there."""


class Params(BaseModel):
    """One field of each kind."""

    n_planes: int = Field(default=3, ge=1, le=9, description="of 100 % of the box")
    pitch_nm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    edges_nm: tuple[float, float] | None = Field(
        default=None, json_schema_extra={"option": "edges", "metavar": "Y,X"}
    )
    views: Literal[1, 2, 4] = 1
    level: bool = True
    name: str = ""
    weights: dict[str, float] = {}
    must: int = Field(description="be given")


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="bl-steer try")
    add_params(parser, Params)
    return parser


def help_of(*command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", analysis_names())
def test_every_parameter_is_an_option_wherever_the_analysis_is_asked_for(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    doors = [([text.format(name=name) for text in door], set[str]()) for door in DOORS.values()]
    doors += [([*door], without) for door, without in OWN_DOORS.get(name, [])]
    for door, without in doors:
        text = help_of(*door, capsys=capsys)
        for key, field in find_analysis(name).Params.model_fields.items():
            assert field.description, (name, key)
            if key not in without:
                assert f"  {option_of(key, field)}" in text, (door, key)
                assert field.description in text, (door, key)


def test_one_name_of_an_option_is_one_quantity() -> None:
    spellings: dict[str, set[str]] = {}
    for name in analysis_names():
        for key, field in find_analysis(name).Params.model_fields.items():
            spellings.setdefault(option_of(key, field), set()).add(key)
    spellings["--interval-blocks"].remove("blocks")  # as `structure` alone calls them
    assert not [option for option, keys in spellings.items() if len(keys) > 1]


def test_values_are_read_as_their_fields_say(parser: Parser) -> None:
    words = "--n-planes 4 --pitch-nm 20 --edges 1,2.5 --views 2 --no-level --name a --must 1"
    values = read_params(parser.parse_args([*words.split(), "--weights", '{"a": 2}']))
    assert values == {
        "n_planes": 4, "pitch_nm": 20.0, "edges_nm": (1.0, 2.5), "views": 2, "level": False,
        "name": "a", "weights": {"a": 2.0}, "must": 1,
    }  # fmt: skip
    assert read_params(parser.parse_args(["--must", "2"])) == {"must": 2}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--n-planes 0", "--n-planes: must be greater than or equal to 1, got '0'"),
        ("--n-planes many", "--n-planes: must be a valid integer, got 'many'"),
        ("--pitch-nm nan", "--pitch-nm: must be a finite number, got 'nan'"),
        ("--edges 1", "--edges: must be Y,X, got '1'"),
        ("--edges 1,b", "--edges: must be Y,X, got '1,b'"),
        ("--views 3", "--views: invalid choice: 3 (choose from 1, 2, 4)"),
        ("--weights {", "--weights: must be JSON, got '{'"),
        ("--name a", "try must be given --must N, got --name a; add it"),
        ("--must 1 --planes 3", "unrecognized arguments: --planes 3"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_rule(
    parser: Parser, words: str, text: str
) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(text)}.*; see bl-steer try --help$"):
        parser.parse_args(words.split())


def test_defaults_and_what_must_be_given_are_in_the_help(parser: Parser) -> None:
    text = " ".join(parser.format_help().split())
    assert "of 100 % of the box (default 3)" in text
    assert "--level, --no-level level (default on)" in text
    assert "--must N be given" in text
    assert "None" not in text


def test_the_same_options_give_the_same_digest_for_a_file_and_for_a_stored_run(
    store: Store, measured: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 2, (6, 6, 6)), np.ones((4, 4, 4))).astype(np.uint8)
    np.save(tmp_path / "labels.npy", labels)
    raw = measured()
    provenance = {"name": "segment", "version": "2", "params": {}, "weights": None}
    planes = {f"field_{z:03d}_labels": plane for z, plane in enumerate(labels)}
    stored = publish(store, AnalysisResult({}, planes, provenance), raw_uid=raw)
    monkeypatch.chdir(tmp_path)
    options = "--voxel-nm 20,10,10 --phases a,b --directions 49 --no-edge-correction --seed 3"
    assert main(["structure", "labels.npy", *options.split(), "--json", "file.json"]) == 0
    command = ["analyse", stored[:8], "structure", *options.split(), "--data", str(store.path)]
    assert main([*command, "--json", "run.json"]) == 0
    reports = [json.loads(Path(name).read_text()) for name in ("file.json", "run.json")]
    assert reports[0]["digest"] == reports[1]["digest"]


def test_an_analysis_that_the_server_alone_knows_takes_its_parameters_by_name() -> None:
    words = ["submit", "a.tif", "--analysis", "grain-size@1", "--param", "n=3", "--param", "of=x"]
    words += ["--param", "levels=[1, 2]"]
    arguments: Any = make_parser().parse_args(words)
    assert read_params(arguments) == {"n": "3", "of": "x", "levels": [1, 2]}
    assert main([*words, "--param", "n"]) == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--pitch-nm 100", "slices must have --pixel-size-nm, which their files do not state"),
        (
            "--pitch-nm 100 --pixel-size-nm 10 --bar-px 61",
            "--bar-px must leave rows of the images of 64, got 61",
        ),
        (
            "--pitch-nm 100 --pixel-size-nm 10 --bar-px 0",
            "4 that are blank; check the files, or give --keep-bad",
        ),
    ],
)
def test_messages_of_an_analysis_name_the_options_of_the_command(
    words: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "flat.npy", np.full((4, 64, 64), 80, np.uint8))
    out = ["--out", str(tmp_path / "report")]
    assert main(["slices", str(tmp_path / "flat.npy"), *words.split(), *out]) == 2
    assert text in capsys.readouterr().err


def test_an_option_says_what_a_message_advises(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="bl-steer try")
    parser.add_argument("--unpainted")
    add_params(parser, SliceParams)
    arguments = parser.parse_args([])
    advice = "give unpainted=unlabelled, keep_bad or reverse=False; see bar_px.csv, 'bar_px', rest"
    print_warnings(arguments, {"warnings": [advice, "got --condition bar_px=3; give bar_px=3."]})
    assert capsys.readouterr().out.splitlines() == [
        "warning: give --unpainted unlabelled, --keep-bad or --no-reverse; see bar_px.csv, "
        "'bar_px', rest",
        "warning: got --condition bar_px=3; give --bar-px 3.",
    ]
