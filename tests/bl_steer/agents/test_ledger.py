"""The record behind every agent: ids, replaced outcomes, invalid measurements, foreign points."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bl_steer.agents.ledger import Ledger
from bl_steer.agents.space import Space


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Space.grid(np.arange(4) * 5.0, np.arange(3) * 5.0))


def _barred(ledger: Ledger) -> list[int]:
    return np.flatnonzero(ledger.barred()).tolist()


def test_ids_count_from_zero(ledger: Ledger) -> None:
    assert [ledger.issue(5.0 * i, 0.0)["_id"] for i in range(3)] == [0, 1, 2]


def test_pending_and_measured_cells_are_barred(ledger: Ledger) -> None:
    ledger.issue(0.0, 0.0)
    ledger.issue(5.0, 0.0)
    ledger.ingest([{"_id": 0, "objective": 1.0}])
    assert _barred(ledger) == [0, 1]


def test_an_id_seen_before_replaces_its_outcome_and_keeps_its_place(ledger: Ledger) -> None:
    for i in range(3):
        ledger.issue(5.0 * i, 0.0)
    ledger.ingest([{"_id": i, "objective": float(i)} for i in range(3)])
    ledger.ingest([{"_id": 1, "objective": 9.0}])
    assert ledger.objectives().tolist() == [0.0, 9.0, 2.0]


def test_a_readback_within_a_pitch_counts_as_the_suggested_cell(ledger: Ledger) -> None:
    ledger.issue(5.0, 5.0)
    ledger.ingest([{"_id": 0, "x": 5.3, "y": 4.8, "objective": 1.0}])
    assert ledger.positions().tolist() == [[5.0, 5.0]]


def test_a_nan_outcome_frees_the_cell(ledger: Ledger) -> None:
    ledger.issue(5.0, 5.0)
    ledger.ingest([{"_id": 0, "objective": np.nan}])
    assert _barred(ledger) == []
    assert len(ledger.positions()) == 0


def test_a_cell_that_is_invalid_three_times_is_given_up(ledger: Ledger) -> None:
    for attempt in range(3):
        assert _barred(ledger) == []
        ledger.issue(5.0, 0.0)
        ledger.ingest([{"_id": attempt, "objective": np.nan}])
    assert _barred(ledger) == [1]


def test_an_invalid_point_told_twice_counts_once(ledger: Ledger) -> None:
    ledger.issue(5.0, 0.0)
    for _ in range(5):
        ledger.ingest([{"_id": 0, "objective": np.nan}])
    assert _barred(ledger) == []


def test_an_invalid_relabelled_point_does_not_free_a_cell_measured_again(ledger: Ledger) -> None:
    ledger.issue(5.0, 0.0)
    ledger.ingest([{"_id": 0, "objective": np.nan}])
    ledger.issue(5.0, 0.0)
    ledger.ingest([{"_id": 0, "objective": np.nan}, {"_id": 1, "objective": 2.0}])
    assert _barred(ledger) == [1]


def test_points_measured_by_somebody_else_are_data_and_bar_their_cell(ledger: Ledger) -> None:
    ledger.ingest(
        [
            {"x": 5.0, "y": 0.0, "objective": 1.0},
            {"_id": None, "x": 10.0, "y": 0.0, "objective": 2.0},
            {"_id": 7, "x": 15.0, "y": 0.0, "objective": 3.0},
            {"_id": "theirs", "x": 0.0, "y": 0.0, "objective": 4.0},
        ]
    )
    assert ledger.objectives().tolist() == [1.0, 2.0, 3.0, 4.0]
    assert _barred(ledger) == [0, 1, 2, 3]
    assert ledger.issue(0.0, 5.0)["_id"] == 8


def test_nameless_points_never_replace_each_other(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.ingest([{"x": 5.0, "y": 0.0, "objective": 1.0}])
    assert len(ledger.positions()) == 3


def test_a_foreign_point_far_off_the_grid_bars_no_cell(ledger: Ledger) -> None:
    ledger.ingest([{"x": 50.0, "y": 0.0, "objective": 1.0}])
    assert _barred(ledger) == []
    assert ledger.positions().tolist() == [[50.0, 0.0]]


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"_id": 0}, "objective must be a number, got None at position 1"),
        ({"_id": 0, "objective": np.inf}, "objective must be finite, or NaN .* got inf"),
        ({"_id": 0, "x": 50.0, "y": 5.0, "objective": 1.0}, r"within a pitch \(5\) of \(5, 5\)"),
        ({"_id": 1.5, "objective": 1.0}, "_id must be an integer or a string, got 1.5"),
        ({"objective": 1.0}, "x must be a number, got None"),
        ({"x": np.nan, "y": 0.0, "objective": 1.0}, "x and y must be finite, got"),
    ],
)
def test_a_wrong_outcome_is_refused_and_nothing_is_taken(
    ledger: Ledger, point: dict[str, Any], message: str
) -> None:
    ledger.issue(5.0, 5.0)
    with pytest.raises(ValueError, match=message):
        ledger.ingest([{"x": 0.0, "y": 0.0, "objective": 1.0}, point])
    assert len(ledger.positions()) == 0


def test_all_wrong_outcomes_are_reported_at_once(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match=r"at position 0.*at position 1"):
        ledger.ingest([{"x": 0.0, "y": 0.0}, {"x": 0.0, "y": 0.0, "objective": "bright"}])


def test_the_record_survives_json(ledger: Ledger) -> None:
    for i in range(3):
        ledger.issue(5.0 * i, 0.0)
    ledger.ingest([{"_id": 0, "objective": 0.1}, {"_id": 1, "objective": np.nan}])
    ledger.ingest([{"x": 1 / 3, "y": 0.0, "objective": 1.0}])
    restored = Ledger(ledger.space)
    restored.load_state_dict(json.loads(json.dumps(ledger.state_dict(), allow_nan=False)))
    assert restored.state_dict() == ledger.state_dict()
    assert restored.measured == ledger.measured
    assert _barred(restored) == _barred(ledger)
