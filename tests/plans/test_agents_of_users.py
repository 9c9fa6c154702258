"""A search with an agent of a user's own, which may have its slips."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.steering import SuggestionError
from simulators.film.beamline import SimulatedBeamline
from tests.plans.searching import DIAGONAL, ListedAgent, places_of, search


def test_agent_of_a_users_own_is_asked_and_told_by_the_same_ids(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL)
    hotspot = RE(search(beamline, agent=agent)).plan_result
    assert places_of(documents, "primary", "stage_x", "stage_y") == DIAGONAL[:6]
    assert [point["_id"] for point in agent.told] == list(range(6))
    np.testing.assert_array_equal([p["objective"] for p in agent.told], hotspot.outcomes)
    assert documents.run.steering["agent"] == "ListedAgent"
    assert documents.column("decisions", "reason") == ["agent"] * 6
    assert hotspot.best_value == max(hotspot.outcomes)


def test_agent_thinks_off_the_loop_of_the_run_engine(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    agent = ListedAgent(DIAGONAL)
    RE(search(beamline, agent=agent))
    assert len(set(agent.threads)) == 1
    assert agent.threads[0].startswith("think")


def test_agent_that_fails_stops_the_run_with_its_own_error(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL[:3])
    with pytest.raises(IndexError, match="list index out of range"):
        RE(search(beamline, agent=agent))
    assert documents.stop["exit_status"] == "fail"
    assert documents.run.n_points == 3
    assert documents.run.result["n_measured"] == 3


class FixedAgent:
    """An agent of a user's own with a slip: suggests the same whatever it is told."""

    def __init__(self, suggestions: Any) -> None:
        self.suggestions = suggestions

    def suggest(self, num_points: int | None = None) -> Any:
        return self.suggestions

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        pass


CENTRE = {"_id": 0, "x": 75.0, "y": 75.0}


@pytest.mark.parametrize(
    ("suggestions", "message", "n_points"),
    [
        (None, r"suggest\(1\) of the agent FixedAgent must return a list .*, got None; return", 0),
        ([], r"must return a list of one point, got \[\]; return", 0),
        ((75.0, 75.0), r"must return a list of one point, got \(75.0, 75.0\); return", 0),
        ([(75.0, 75.0)], r"must return a list of one point, got \[\(75.0, 75.0\)\]; return", 0),
        ([CENTRE, CENTRE | {"_id": 1}], "must return a list of one point, got .*; return", 0),
        ([{"_id": 0, "x": 75.0}], "FixedAgent must have _id, x, y, got .*; add y", 0),
        ([{"x": 75.0, "y": 75.0}], "must have _id, x, y, got .*; add _id", 0),
        ([CENTRE | {"x": "75"}], "x of .* FixedAgent must be a finite number, got '75'; sugg", 0),
        ([CENTRE | {"y": np.nan}], "y of .* must be a finite number, got nan; suggest", 0),
        ([CENTRE | {"y": 151.0}], "y of .* must lie in the grid, 0 … 150, got 151; clip", 0),
        ([CENTRE | {"_id": []}], r"_id of .* must be a number or text, got \[\]; count", 0),
        ([CENTRE], "_id of .* FixedAgent must be new, got 0 again, .*; count the points", 1),
    ],
)
def test_agent_that_suggests_what_cannot_be_measured_ends_the_run_with_the_reason(
    RE: RunEngine,
    beamline: SimulatedBeamline,
    documents: Any,
    suggestions: Any,
    message: str,
    n_points: int,
) -> None:
    with pytest.raises(SuggestionError, match=message):
        RE(search(beamline, agent=FixedAgent(suggestions)))
    assert documents.stop["exit_status"] == "fail"
    assert re.search(message, documents.stop["reason"])
    assert documents.run.result["n_measured"] == n_points
