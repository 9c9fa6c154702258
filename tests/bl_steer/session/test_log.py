"""The log of a session: each line is JSON and says in which run, and at which point, it was."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.session import open_session


def lines_of(path: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise ValueError(constant)  # NaN is no JSON

    text = path.read_text(encoding="utf-8")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_a_run_is_told_from_its_start_to_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "session.log"
    with open_session("smooth", data_dir=tmp_path, progress=False, log_file=path) as session:
        (uid,) = session.RE(session.find_hotspot(budget=3, seed=4)).run_start_uids
        logging.getLogger("plans.somewhere").warning("between runs")
    lines = lines_of(path)
    own = [line for line in lines if line.get("run") == uid]
    course = [line for line in own if line["logger"] == "bl_steer.session.log"]
    assert [line["message"] for line in course] == [
        "run begun",
        *["decision", "measured"] * 3,
        "result",
        "run ended",
    ]
    assert course[0]["plan"] == "find_hotspot"
    assert [line["point"] for line in course if line["message"] == "measured"] == [0, 1, 2]
    assert all(line["scan_id"] == 1 for line in course)
    assert {"x", "y", "reason"} <= set(course[1])
    assert course[-1]["status"] == "success"
    (between,) = (line for line in lines if line["message"] == "between runs")
    assert between["level"] == "warning"
    assert "run" not in between


def test_what_goes_wrong_at_a_point_is_logged_with_run_and_point(tmp_path: Path) -> None:
    path = tmp_path / "session.log"
    with open_session("smooth", data_dir=tmp_path, progress=False, log_file=path) as session:

        def warn(name: str, doc: dict[str, Any]) -> None:
            if name == "event" and "acquisition" in doc["data"] and doc["seq_num"] == 2:
                logging.getLogger("devices.motor").error("slow", extra={"fields": {"axis": "x"}})

        session.watch(warn)
        session.RE(session.find_hotspot(budget=3))
    (slow,) = (line for line in lines_of(path) if line["message"] == "slow")
    assert (slow["axis"], slow["point"], slow["level"]) == ("x", 1, "error")


def test_the_environment_names_the_file_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "by the environment.log"
    monkeypatch.setenv("BL_STEER_LOG", str(path))
    before = {name: list(logging.getLogger(name).handlers) for name in ("bl_steer", "plans")}
    with open_session("smooth", data_dir=tmp_path, progress=False) as session:
        session.RE(session.map_sample(grid={"x": [0.0, 50.0], "y": [10.0]}))
    assert [line["message"] for line in lines_of(path)][-1] == "run ended"
    for name, handlers in before.items():
        assert logging.getLogger(name).handlers == handlers


def test_warnings_still_reach_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of the test runner
    log_file = tmp_path / "session.log"
    with open_session("smooth", data_dir=tmp_path, progress=False, log_file=log_file):
        logging.getLogger("bl_steer.store").warning("look here: %s", np.float64(1.5))
    assert "look here: 1.5" in capfd.readouterr().err
