"""Runs whose process is really killed, twice: a short turn of ``make kill``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests import fork_server

PROOF = Path(__file__).parents[2] / "benchmarks" / "kill_steering.py"


def test_run_that_is_killed_twice_loses_no_point_and_measures_none_twice() -> None:
    words = [sys.executable, str(PROOF), "--kills", "2", "--cases", "reference"]
    done = fork_server.run(words, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["problems"] == []
    assert report["kills"]["reference"] >= 2
    assert report["points"] == 12 * report["runs"]
