from __future__ import annotations

import io

import pytest

from bl_steer import progress
from bl_steer.progress import Bar
from bl_steer.stages import STAGES, TEXTS, Stages, part_of, stage_of, stages_of

NAMES = STAGES["reconstruct"]
EXPECTED = {"align": 1.0, "segment": 2.0, "learn": 3.0, "insert": 8.0, "leave_out": 4.0}


def test_progress_of_stages_never_goes_back_and_says_which_is_under_way() -> None:
    told: list[tuple[int, int]] = []
    seen: dict[int, str] = {}
    stages = Stages(NAMES, EXPECTED | {"measure": 2.0}, lambda *steps: told.append(steps))
    for name in NAMES:
        for part in range(2):
            tell = stages.of(name, part, 2)
            assert tell is not None
            for done in (1, 2, 1):
                tell(done, 2)
                seen[told[-1][0]] = name
    steps = [done for done, _ in told]
    assert steps == sorted(steps)
    for done, name in seen.items():
        assert NAMES[stage_of(done, told[0][1], len(NAMES)).number] == name
    assert stage_of(*told[-1], len(NAMES)).share == 1.0
    after_learning = stage_of(*next(t for t in told if t[0] % 6 == 3), len(NAMES))
    assert after_learning.share == pytest.approx(6 / 20, abs=0.002)


def test_a_stage_that_is_not_needed_takes_no_place() -> None:
    told: list[tuple[int, int]] = []
    stages = Stages(STAGES["superres"], {"insert": 5.0}, lambda *steps: told.append(steps))
    insert = stages.of("insert")
    assert insert is not None
    assert stage_of(*told[-1], 3).share == 0.0
    insert(1, 2)
    stage = stage_of(*told[-1], 3)
    assert (stage.number, stage.share) == (2, pytest.approx(0.5, abs=0.002))


def test_without_progress_nothing_is_told() -> None:
    assert Stages(NAMES, EXPECTED, None).of("learn") is None
    assert part_of(None, 0, 2) is None


def test_every_stage_has_its_words() -> None:
    assert {name for names in STAGES.values() for name in names} == TEXTS.keys()


def test_a_log_names_the_stage_the_share_of_all_and_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    log = io.StringIO()
    with Bar("slices", stages=stages_of("reconstruct"), file=log) as bar:
        stages = Stages(NAMES, EXPECTED | {"measure": 2.0}, bar.show)
        for name in NAMES:
            tell = stages.of(name)
            for done in range(1, 11):
                now[0] += 3.0 * EXPECTED.get(name, 2.0)
                assert tell is not None
                tell(done, 10)
    lines = log.getvalue().splitlines()
    assert "slices, 3 of 6: training the super-resolution networks: 28 %, 7 min 20 s left" in lines
    assert lines[-1] == "slices, 6 of 6: measuring volumes and areas: 100 %"
    for number in range(2, 7):
        assert any(f"{number} of 6" in line for line in lines)
