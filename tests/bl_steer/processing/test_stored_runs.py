"""``bl-steer analyse``: what it lists, carries out and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bl_steer.analysis import analyses_of, pending_analyses
from bl_steer.cli import main
from bl_steer.store import Store


def test_it_lists_the_analyses_with_their_parameters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyse", "--json", str(tmp_path / "a.json")]) == 0
    assert "--n-components      integer  default 4       Number of components K" in (
        capsys.readouterr().out
    )
    reports = {r["name"]: r for r in json.loads((tmp_path / "a.json").read_text())}
    assert reports["components"]["params"]["seed"]["default"] == 0


def test_pending_ones_are_carried_out_once(
    store: Store,
    measured: Callable[..., str],
    own_analyses: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = [{"name": own_analyses("SumCounts"), "params": {"factor": 2.0}}, own_analyses("Raises")]
    raw = measured({"analyses": asked})
    data = ["--data", str(store.path)]
    assert main(["analyse", "--pending", *data]) == 0
    printed = capsys.readouterr().out
    assert "2 pending analyses carried out" in printed
    assert "total    unit\n       13  counts" in printed
    assert "reason                ZeroDivisionError: nothing to divide by" in printed
    assert len(analyses_of(store, raw)) == 2
    assert pending_analyses(store) == []
    assert main(["analyse", "--pending", *data]) == 0
    assert "0 pending analyses carried out" in capsys.readouterr().out


def test_a_failing_one_is_stored_and_told(
    store: Store,
    measured: Callable[..., str],
    own_analyses: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw = measured()
    arguments = ["analyse", raw, own_analyses("Raises"), "--data", str(store.path)]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        "bl-steer: the analysis failed: ZeroDivisionError: nothing to divide by\n"
    )
    assert "fail" in captured.out
    assert len(analyses_of(store, raw)) == 1


BAD = [
    (("-1",), "an analysis must be named, got the run '-1' alone"),
    (("-1", "segmnt"), "must be one of advise, align-slices, components"),
    (("-1", "components", "--k", "1"), "unrecognized arguments: --k"),
    (("-1", "components", "--n-components", "0"), "must be greater than or equal to 1, got '0'"),
    (("nothing", "components"), "a run must be in the store, got 'nothing'"),
    (("-1", "components", "--figures", "metadata.json"), "must go to a folder, got the file"),
    (("--pending", "-1"), "--pending must stand alone"),
    (("-1", "components", "--data", "nowhere"), "the store must be a folder that exists"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD, ids=lambda value: " ".join(value)[:40])
def test_bad_input_is_one_line_and_nothing_is_stored(
    arguments: tuple[str, ...],
    text: str,
    store: Store,
    measured: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured()
    store.metadata["scan_id"] = 1
    monkeypatch.chdir(store.path)
    assert main(["analyse", "--data", ".", *arguments]) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert captured.err.count("\n") == 1
    assert len(list(store.record_dir.iterdir())) == 1
