"""The README's session and commands really run, and its options and links are real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bl_steer.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = [
    block for kind, block in re.findall(r"```(\w+)\n(.*?)```", README, re.S) if kind == "python"
]
SHELL = "\n".join(
    line
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", README, re.S)
    if kind == "sh"
    for line in block.splitlines()
    if line.startswith("bl-steer ")
)
LINKS = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def run(command: list[str], folder: Path) -> str:
    """Run a command in an empty folder, with ours first on the path; return what it printed."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("BL_STEER_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_session_of_the_readme_runs(tmp_path: Path) -> None:
    code = "".join(block for block in PYTHON if not block.startswith("# on EPICS"))
    assert "find_hotspot(det, stage, monitor=monitor, budget=48)" in code
    code += "\nassert len(run.x) == 48, run.x\nassert run.patterns().shape == (48, 1089)\n"
    (tmp_path / "session.py").write_text(code)
    run([sys.executable, "session.py"], tmp_path)
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_the_session_on_epics_can_be_built_without_the_beamline(tmp_path: Path) -> None:
    (code,) = (block for block in PYTHON if block.startswith("# on EPICS"))
    # No process variable is there to answer; leaving by the door would wait for them.
    code += "\nprint(stage.x.user_setpoint.pvname, find_hotspot.__name__, flush=True)\n"
    code += "import os\nos._exit(0)\n"
    (tmp_path / "session.py").write_text(code)
    assert run([sys.executable, "session.py"], tmp_path).split() == [
        "BL11XU:STG:X.VAL",
        "find_hotspot",
    ]


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    assert SHELL.count("bl-steer ") >= 3
    # One process for all: each would import torch again.
    (tmp_path / "commands.py").write_text(
        "import shlex\nfrom bl_steer.cli import main\n"
        f"for line in {SHELL.splitlines()!r}:\n"
        "    assert main(shlex.split(line)[1:]) == 0, line\n"
    )
    printed = run([sys.executable, "commands.py"], tmp_path)
    assert re.search(r"decisions_that_differ\s+\[\]", printed)
    assert (tmp_path / "found.json").exists()


def test_the_table_of_commands_names_real_ones(capsys: pytest.CaptureFixture[str]) -> None:
    rows = re.findall(r"^\| `bl-steer ([a-z-]+(?: [a-z]+)?)([^`]*)` \| (.*) \|$", README, re.M)
    assert len(rows) >= 7
    for command, usage, text in rows:
        with pytest.raises(SystemExit):
            main([*command.split(), "--help"])
        known = capsys.readouterr().out
        for option in re.findall(r"--\w+", f"{usage} {text}"):
            assert option in known, f"bl-steer {command} has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINKS.findall(page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to what is not there: {missing}"
