"""What an administrator copies from ``deploy/`` fits to the server."""

from __future__ import annotations

import configparser
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bl_steer.cli import make_parser
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AccessRecord
from bl_steer.server.environment import misspelt
from bl_steer.server.web.metrics import RequestMetrics, server_metrics

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("systemd/*"))
PROGRAM = "/opt/bl-steer/bin/bl-steer "


def test_the_dashboard_asks_for_metrics_that_there_are(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    database.create_tables()
    requests = RequestMetrics()
    requests.add(AccessRecord(method="GET", path="/", status=200, ms=1.0), "/")
    lines = server_metrics(requests, database).decode().splitlines()
    database.close()
    known = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
    assert all(line.split()[3:] for line in lines if line.startswith("# HELP"))
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"bl_steer_\w+", target["expr"])
    }
    assert asked <= known


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_start_commands_that_there_are_with_settings_that_there_are(unit: Path) -> None:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(unit.read_text())
    if "Service" not in read:
        return
    for key in ("ExecStartPre", "ExecStart"):
        if command := read["Service"].get(key, "").removeprefix("-"):
            assert command.startswith(PROGRAM)
            make_parser().parse_args(command.removeprefix(PROGRAM).split())
    text = "\n".join(path.read_text() for path in (unit, DEPLOY / "Containerfile"))
    assert misspelt(dict.fromkeys(re.findall(r"BL_STEER_SERVICE_\w+", text), "")) == {}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text().replace(PROGRAM.strip(), sys.executable)
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60.0,
    )
    assert [line for line in done.stderr.splitlines() if line.startswith("bl-steer")] == []


def test_what_pip_would_install_becomes_lines_with_hashes() -> None:
    lines_of = runpy.run_path(str(DEPLOY / "pin.py"))["lines_of"]
    items = [
        {
            "metadata": {"name": "NumPy", "version": "2.0"},
            "download_info": {"url": "u", "archive_info": {"hashes": {"sha256": "a" * 64}}},
        },
        {"metadata": {"name": "bl-steer", "version": "1"}, "download_info": {"dir_info": {}}},
    ]
    assert lines_of({"install": items}) == [f"numpy==2.0 --hash=sha256:{'a' * 64}"]
