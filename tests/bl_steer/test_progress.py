from __future__ import annotations

import io

import pytest

from bl_steer import progress
from bl_steer.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("step_s", "lines"), [(0.001, 0), (0.5, 11), (20.0, 20), (100.0, 100)])
def test_a_file_gets_a_line_each_tenth_or_five_minutes_and_ten_seconds_at_most(
    clock: list[float], step_s: float, lines: int
) -> None:
    text = io.StringIO()
    with Bar("training", "step", file=text) as bar:
        for step in range(1, 301):
            clock[0] += step_s
            bar.show(step, 300)
    found = text.getvalue().splitlines()
    assert len(found) <= lines
    assert len(set(found)) == len(found)
    assert found[-1:] == (["training: 300/300 step (100 %)"] if lines else [])
    assert "\r" not in text.getvalue()


def test_a_work_that_begins_anew_goes_on_being_told(clock: list[float]) -> None:
    text = io.StringIO()
    bar = Bar("training", file=text)
    for done in (90, 10):
        clock[0] += 20.0
        bar.show(done, 100)
    assert text.getvalue() == "training: 90/100 (90 %)\ntraining: 10/100 (10 %)\n"


def test_what_is_kept_ends_with_its_last_state_and_note() -> None:
    text = io.StringIO()
    bar = Bar("run", "pt", file=text, keep=True)
    bar.show(3, None)
    bar.note("best 4")
    bar.close()
    assert text.getvalue() == "run: 3/? pt, best 4\n"


def test_a_terminal_gets_a_bar() -> None:
    text = Terminal()
    with Bar("run", "pt", file=text, keep=True) as bar:
        bar.show(1, 4)
        bar.note("best 4")
        bar.show(2, 4)
    first, *_, last = text.getvalue().split("\r")[1:]
    assert first.startswith("run 0/4 pt")
    assert last.startswith("run 2/4 pt ")
    assert last.endswith("best 4\n")
