"""Points decided together, and the shortest way through them."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from bl_steer.agents import BayesianAgent, Space, SpaceExhausted, make_agent
from bl_steer.diffraction import FrameAxes
from bl_steer.features import make_feature
from bl_steer.protocols import Array
from bl_steer.steering import Steering, build_steering
from bl_steer.steering.batches import Batch, shortest_way
from bl_steer.steering.requests import Request

SPACE = Space.grid(np.arange(0, 60, 5.0), np.arange(0, 60, 5.0))
AXES = FrameAxes.channels((1, 1))
SETTINGS: dict[str, Any] = {
    "target": "field:det",
    "agent": "bayesian",
    "agent_options": {"n_start": 5},
    "seed": 3,
    "budget": 30,
    "grid": SPACE.to_dict(),
    "sparing": True,
    "scales": True,
}


def _length(places: Array, order: Any, start: Array | None) -> float:
    way = [*([] if start is None else [start]), *places[list(order)]]
    return float(np.abs(np.diff(way, axis=0)).max(axis=1).sum())


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_the_way_through_a_few_places_is_the_shortest_of_all(n: int) -> None:
    rng = np.random.default_rng(n)
    for start in (None, rng.uniform(0, 10, 2)):
        places = rng.uniform(0, 10, (n, 2))
        order = shortest_way(places, start)
        assert sorted(order) == list(range(n))
        best = min(_length(places, p, start) for p in permutations(range(n)))
        assert _length(places, order, start) == pytest.approx(best)


def test_the_way_through_many_places_is_shorter_than_the_nearest_next() -> None:
    places = np.random.default_rng(0).uniform(0, 10, (20, 2))
    start = np.zeros(2)
    order = shortest_way(places, start)
    assert sorted(order) == list(range(20))
    assert _length(places, order, start) < 0.6 * _length(places, range(20), start)
    turned = [*order[:4], *order[4:9][::-1], *order[9:]]
    assert _length(places, order, start) <= _length(places, turned, start)


def _measured(steering: Steering, n: int) -> list[tuple[float, float]]:
    places = []
    for _ in range(n):
        decision = steering.decide()
        places.append((decision.x, decision.y))
        height = 50 * np.exp(-((decision.x - 20) ** 2 + (decision.y - 35) ** 2) / 150) + 2
        steering.observe(np.array([height]))
    return places


def test_points_of_a_batch_are_those_that_the_agent_suggests_together() -> None:
    together = build_steering(SETTINGS | {"batch": 4}, AXES)
    places = _measured(together, 24)
    assert len(set(places)) == 24
    lengths = [
        _length(np.array(p), range(len(p)), None)
        for p in (places, _measured(build_steering(SETTINGS, AXES), 24))
    ]
    assert lengths[0] < lengths[1]
    agent = BayesianAgent(SPACE, seed=3, n_start=5, explores=False)
    for first in range(0, 20, 4):
        points = agent.suggest(4)
        assert {(p["x"], p["y"]) for p in points} == set(places[first : first + 4])
        told = {(p["x"], p["y"]): p for p in points}
        outcomes = together._known.outcomes[first : first + 4].tolist()
        for place, outcome in zip(places[first : first + 4], outcomes, strict=True):
            agent.ingest([{**told[place], "objective": outcome}])


def test_a_batch_is_the_same_each_time_and_batches_of_one_are_no_batches() -> None:
    first, again = (build_steering(SETTINGS | {"batch": 3}, AXES) for _ in range(2))
    assert _measured(first, 20) == _measured(again, 20)
    one = build_steering(SETTINGS | {"batch": 1}, AXES)
    assert _measured(one, 12) == _measured(build_steering(SETTINGS, AXES), 12)


def test_the_last_batch_is_what_is_left() -> None:
    space = Space.grid([0.0, 5.0, 10.0], [0.0, 5.0])
    agent = make_agent("raster", space, seed=0)
    batch, ids = Batch(4), set[Any]()

    def following() -> Any:
        return batch.next(agent, space, ids, lambda: dict(agent.suggest()[0]))[0]["_id"]

    order = [following() for _ in range(6)]
    assert (set(order[:4]), set(order[4:])) == ({0, 1, 2, 3}, {4, 5})
    with pytest.raises(SpaceExhausted):
        following()


def test_points_of_a_batch_that_lie_in_a_new_zone_are_given_back() -> None:
    steering = build_steering(SETTINGS | {"batch": 5, "agent": "sobol", "agent_options": {}}, AXES)
    first = _measured(steering, 1)
    left = [(p["x"], p["y"]) for p, _ in steering._batch._left]
    zone = json.dumps({"circle": [*left[0], 1.0]})
    steering.heed(Request("forbid", zone, asked_at=0.0))
    assert _measured(steering, 3) == left[1:]
    assert not set(_measured(steering, 20)) & {*first, *left}


@pytest.mark.parametrize("batch", [0, 65, 2.5, True])
def test_a_batch_of_no_number_of_points_is_refused(batch: Any) -> None:
    feature = make_feature("field:det", AXES)
    with pytest.raises(ValueError, match="batch must be a whole number of points in 1 … 64, got"):
        Steering(BayesianAgent(SPACE), feature, budget=9, space=SPACE, batch=batch)
