"""`bl-steer package run`: a package on files, before anybody has read what it does."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bl_steer.cli import main
from bl_steer.server.sandbox.run import sandbox_problem


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_a_package_that_is_tried_on_files_runs_in_the_sandbox(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reviewers try what somebody else wrote."""
    package, out, secret = tmp_path / "spy", tmp_path / "out", tmp_path / "secret"
    secret.write_text("s3cret")
    assert main(["package", "init", str(package), "--author", "S. Py"]) == 0
    (package / "script.py").write_text(
        "import os, pathlib\n"
        "def run(inputs, params, model):\n"
        f"    seen = pathlib.Path({str(secret)!r}).exists()\n"
        "    os.makedirs('found'), os.symlink('/etc/hostname', 'found/link.csv')\n"
        "    table = {'uid': [os.getuid()], 'seen': [int(seen)], 'files': list(inputs.arrays)}\n"
        "    if params.threshold == 1.0: raise KeyError('no such phase')\n"
        "    return {'tables': {'spy': table}}\n"
    )
    image = package / "tests" / "two-halves.png"
    asked = ["package", "run", str(package), str(image), "--out", str(out)]
    assert main(asked) == 0
    with (out / "spy.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"uid": "65534", "seen": "0", "files": "field_000"}]
    assert [path.name for path in out.iterdir()] == ["spy.csv"]
    capsys.readouterr()
    assert main([*asked, "--param", "threshold=1"]) == 2
    assert f"got {out} with files in it; give another with --out" in capsys.readouterr().err
    asked[-1] = str(tmp_path / "again")
    assert main([*asked, "--param", "threshold=1"]) != 0
    assert "no such phase" in capsys.readouterr().err
    assert main([*asked[:3], str(tmp_path / "gone.png")]) == 2
    assert f"must exist, got no {tmp_path / 'gone.png'}" in capsys.readouterr().err
