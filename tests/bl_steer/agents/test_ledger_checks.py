"""What a ledger refuses: too many points at once, models of nothing, settings of another agent."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.agents.coordinates import check_choice
from bl_steer.agents.ledger import Ledger, check_settings
from bl_steer.agents.space import Space


def ledger(n_measured: int = 0) -> Ledger:
    new = Ledger(Space.grid(np.arange(4.0), np.arange(3.0)))
    points = [new.issue(*map(float, new.space.points[cell])) for cell in range(n_measured)]
    new.ingest([{**point, "objective": 10.0 * number} for number, point in enumerate(points)])
    return new


@pytest.mark.parametrize("num_points", [None, 1, 2, 5])
def test_while_the_start_lasts_several_points_may_be_asked_for(num_points: int | None) -> None:
    assert ledger().n_asked(num_points, n_start=5) == (num_points or 1)


@pytest.mark.parametrize(
    ("measured", "num_points", "left"),
    [(0, 6, 5), (3, 3, 2), (5, 2, 0), (7, 2, 0), (0, 0, 5), (2, -1, 3)],
)
def test_more_points_than_the_start_has_left_are_refused(
    measured: int, num_points: int, left: int
) -> None:
    with pytest.raises(ValueError, match=rf"1 … {max(left, 1)}, .* got {num_points};"):
        ledger(measured).n_asked(num_points, n_start=5)


def test_after_the_start_one_point_may_be_asked_for() -> None:
    assert ledger(7).n_asked(1, n_start=5) == 1


def test_an_invalid_point_gives_its_place_in_the_start_back() -> None:
    one = ledger(2)
    one.ingest([{"_id": 1, "objective": math.nan}])
    assert one.n_taken == 1
    assert one.n_asked(4, n_start=5) == 4


def test_a_model_needs_outcomes_enough() -> None:
    ledger(2).check_outcomes(2)
    with pytest.raises(ValueError, match="at least 3 valid outcomes, got 2; ingest more points"):
        ledger(2).check_outcomes(3)


def test_nothing_is_explained_before_a_suggestion() -> None:
    with pytest.raises(ValueError, match="explain must follow a suggestion, got none so far"):
        ledger().explain()


def test_a_choice_is_one_of_those_allowed() -> None:
    check_choice("start", "random", ("maximin", "random"))
    with pytest.raises(ValueError, match="start must be one of maximin, random, got 'sobol'"):
        check_choice("start", "sobol", ("maximin", "random"))


def test_all_settings_that_differ_are_named_and_no_others() -> None:
    settings = {"seed": 1, "start": "random", "noise": 0.1}
    check_settings(settings, {**settings, "later": True})
    with pytest.raises(ValueError, match=r"got seed=2 \(here 1\), noise=None \(here 0\.1\);"):
        check_settings(settings, {"seed": 2, "start": "random"})


OUTCOMES = st.lists(st.tuples(st.integers(0, 11), st.one_of(st.just(math.nan), st.floats(-9, 9))))


@given(OUTCOMES)
def test_a_restored_ledger_goes_on_as_the_one_that_was_saved(
    outcomes: list[tuple[int, float]],
) -> None:
    saved = ledger(3)
    for cell, objective in outcomes:
        x, y = saved.space.points[cell]
        saved.ingest([{"x": x, "y": y, "objective": objective}])
    restored = ledger()
    restored.load_state_dict(json.loads(json.dumps(saved.state_dict(), allow_nan=False)))
    assert restored.state_dict() == saved.state_dict()
    np.testing.assert_array_equal(restored.barred(), saved.barred())
    np.testing.assert_array_equal(restored.positions(), saved.positions())
    assert restored.issue(0.0, 0.0) == saved.issue(0.0, 0.0)


@given(OUTCOMES)
def test_a_cell_is_barred_when_it_is_measured_or_failed_three_times(
    outcomes: list[tuple[int, float]],
) -> None:
    new = ledger()
    failures, valid = [0] * 12, set()
    for cell, objective in outcomes:
        x, y = new.space.points[cell]
        new.ingest([{"x": x, "y": y, "objective": objective}])
        failures[cell] += math.isnan(objective)
        valid |= set() if math.isnan(objective) else {cell}
    expected = [cell in valid or failures[cell] >= 3 for cell in range(12)]
    assert new.barred().tolist() == expected
