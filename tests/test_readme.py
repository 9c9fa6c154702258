"""The README's session and commands really run, and its options and links are real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bl_steer.cli import main
from tests import fork_server

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
HOW_TO = {path.stem: path.read_text() for path in sorted((ROOT / "docs" / "how-to").glob("*.md"))}
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.S)
SHELL = "\n".join(
    line
    for kind, block in BLOCK.findall(README)
    if kind == "sh"
    for line in block.splitlines()
    if line.startswith("bl-steer ")
)
COMMANDS = sorted(
    {
        line.strip("( ").partition("   #")[0]
        for page in (README, *HOW_TO.values())
        for kind, block in BLOCK.findall(page)
        for line in block.splitlines()
        if "bl-steer " in line and line.strip("( ").startswith("bl-steer ")
    }
)
INLINE = sorted(
    {
        command
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
        if page.parent.name != "decisions"
        for command in re.findall(r"`(bl-steer [a-z][^`\n]*)`", page.read_text())
    }
)
LINKS = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def run(
    command: list[str],
    folder: Path,
    start: Callable[..., subprocess.CompletedProcess[str]] = fork_server.run,
) -> str:
    """Run a command in an empty folder, with ours first on the path; return what it printed."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("BL_STEER_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }
    done = start(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python_of(page: str) -> list[str]:
    return [block for kind, block in BLOCK.findall(page) if kind == "python"]


def test_the_session_of_the_readme_and_the_agent_of_the_how_to_page_run(tmp_path: Path) -> None:
    code = "".join([*python_of(README), *python_of(HOW_TO["agents"])])
    assert "find_hotspot(det, stage, monitor=monitor, budget=48)" in code
    assert "agent=RandomWalk()" in code
    code += "\nassert len(run.x) == 48, run.x\nassert run.patterns().shape == (48, 1089)\n"
    (tmp_path / "session.py").write_text(code)
    run([sys.executable, "session.py"], tmp_path)
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_the_advice_of_the_how_to_page_is_given(tmp_path: Path) -> None:
    code = "".join(python_of(HOW_TO["advise_and_components"]))
    code += '\nassert len(result.tables["suggestions"]["x"]) == 3\n'
    (tmp_path / "advice.py").write_text(code)
    run([sys.executable, "advice.py"], tmp_path)


def test_the_session_on_epics_can_be_built_without_the_beamline(tmp_path: Path) -> None:
    (code,) = (b for b in python_of(HOW_TO["session"]) if b.startswith("# on EPICS"))
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
    printed = run([sys.executable, "commands.py"], tmp_path, subprocess.run)
    assert re.search(r"decisions_that_differ\s+\[\]", printed)
    assert (tmp_path / "found.json").exists()


@pytest.mark.parametrize("line", sorted({*COMMANDS, *INLINE}))
def test_every_command_of_the_pages_is_a_real_one_with_real_options(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = re.match(r"bl-steer((?: [a-z][a-z-]*)+)", line.replace(" -1", ""))
    assert command is not None
    words = command[1].split()
    name = (
        words[:2]
        if words[0] in ("segment", "superres", "package", "review", "retrain", "server")
        else words[:1]
    )
    if words[0] == "analyse":  # the options of an analysis are known by its name
        name = [word for word in line.split()[1:4] if not word.startswith("--")]
    if "--analysis" in line:
        name += ["--analysis", line.partition("--analysis ")[2].split()[0]]
    with pytest.raises(SystemExit) as stopped:
        main([*name, "--help"])
    assert stopped.value.code == 0
    known = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", line):
        assert re.search(rf"{option}\b", known), f"bl-steer {' '.join(name)} has no {option}"


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 8_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINKS.findall(page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to what is not there: {missing}"


def test_the_japanese_page_of_the_server_names_what_the_english_one_does() -> None:
    """Commands, settings, options and addresses."""
    named = re.compile(r"`((?:bl-steer|BL_STEER|--|/)[^`\n]*|[A-Z][A-Z_]{3,}[A-Z])`")
    english, japanese = (set(named.findall(HOW_TO[page])) for page in ("server", "server.ja"))
    assert english == japanese
