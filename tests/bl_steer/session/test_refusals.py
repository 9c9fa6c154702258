"""What a plan refuses, at IPython's prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from bl_steer.session import open_session, refusals


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("RE(find_hotspot(det, stage, budget=0))", "ValueError: budget must be a whole number"),
        ("RE(find_hotspot(det, stage, budgt=5))", "TypeError: find_hotspot() got an unexpected"),
        ("open_run('nothing')", "UnknownRunError: a run must be in the store, got 'nothing'"),
    ],
)
def test_what_a_plan_refuses_is_one_line(
    code: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_session("smooth", data_dir=tmp_path, progress=False) as session:
        shell = InteractiveShell(user_ns=session.namespace())
        refusals.load_ipython_extension(shell)
        shell.run_cell(code)
        told = "".join(capsys.readouterr())
    assert told.startswith(line)
    assert told.endswith("(%tb shows where)\n")
    assert len(told.splitlines()) == 2


def test_what_fails_elsewhere_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    refusals.load_ipython_extension(shell)
    shell.run_cell("import numpy as np\nnp.zeros(3).reshape(2)")
    told = "".join(capsys.readouterr())
    assert "Traceback" in told
    assert "cannot reshape" in told
    refusals.unload_ipython_extension(shell)
