"""``bl-steer find --exposure adaptive`` says how probably the spot that it reports is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bl_steer.cli import main
from bl_steer.runs import open_run
from bl_steer.store import Store


def test_a_search_says_how_probably_its_spot_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.json"
    find = ["find", "--sample", "smooth", "--exposure", "adaptive", "--budget", "16"]
    find += ["--target", "total", "--data", str(tmp_path / "data"), "--json", str(found)]
    assert main(find) == 0
    p_right = json.loads(found.read_text())["p_right"]
    assert 0.0 < p_right <= 1.0
    shown = capsys.readouterr().out
    assert f"right         with a probability of {100 * p_right:.1f} %" in shown
    with Store.open_existing(tmp_path / "data") as store:
        run = open_run(store, -1)
    assert run.result is not None
    assert run.result["p_right"] == p_right
