"""The command ``bl-steer resume``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bl_steer.cli import main
from bl_steer.plotting.runs import measured_outcomes
from bl_steer.runs import RecordsAlone, Run, open_run

N_DIED = 5


def died_of(data: Path) -> str:
    (path,) = (data / "record").glob("*.jsonl")
    return path.stem


def test_command_carries_on_a_killed_run_and_may_give_it_a_larger_budget(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uid, report = died_of(data), data / "report.json"
    words = ["resume", uid[:8], "--data", str(data), "--budget", "10", "--json", str(report)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert f"{uid[:8]}, find_hotspot, {N_DIED} points measured" in out
    assert "10, 5 of them now" in out
    told = json.loads(report.read_text())
    expected = {"resumes": uid, "n_resumed": N_DIED, "n_points": 10, "in_flight": None}
    assert told.items() >= {**expected, "status": "success", "stop_reason": "budget"}.items()
    run = open_run(RecordsAlone(data), told["run_uid"])
    positions, outcomes = measured_outcomes(run)
    assert len(positions) == len(outcomes) == 10
    undisturbed = Run.from_record(data / "finished.jsonl")
    assert (run.decisions["x"][:6] == undisturbed.decisions["x"][:6]).all()


def test_command_names_the_point_in_flight(
    data: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    uid = died_of(data)
    path = data / "record" / f"{uid}.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))  # the last point was decided, and its event never came
    flight = Run.from_record(path).decisions
    x, y = (float(flight[axis][N_DIED - 1]) for axis in "xy")
    assert main(["resume", "-1", "--data", str(data)]) == 0
    where = f"point {N_DIED - 1} at x = {x:g}, y = {y:g}"
    assert f"{where}, measured again" in capsys.readouterr().out
    assert f"{where} was in flight when run {uid[:8]} ended" in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "nowhere", "-1"], "the store must be a folder that exists, got nowhere"),
        (["abcdef12"], "a run must be in the store, got 'abcdef12'"),
        (["-1", "--budget", "3"], "budget must be that of the run to resume, 8, or more, got 3"),
    ],
)
def test_command_says_in_a_line_why_it_cannot(
    data: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["resume", "--data", str(data), *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"bl-steer: {message}")


def test_command_says_where_a_map_of_a_flyer_is_carried_on(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = died_of(data)
    path = data / "record" / f"{uid}.jsonl"
    text = path.read_text().replace('"find_hotspot"', '"map_sample"', 1)
    assert text.count('"name":"expose_at"') == 1
    path.write_text(
        text.replace('"name":"expose_at"', '"name":"collected_rows","flyer":"mono_scan"')
    )
    assert main(["resume", "--data", str(data), uid]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"where the flyer is, got {uid[:8]} of mono_scan; in a session" in told
    assert f"RE(fly_map(det, axes, flyer=…, resumes='{uid[:8]}'))" in told
