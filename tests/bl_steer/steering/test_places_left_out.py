"""Places that gave nothing, were refused, or may not be exposed any more: never chosen again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bl_steer.agents import BayesianAgent, Space, make_agent
from bl_steer.runs import PointResult
from bl_steer.steering import Request, Steering, StopRule
from tests.bl_steer.steering.numbers import Number

GRID = np.arange(0.0, 101.0, 10.0)
SPACE = Space.grid(GRID, GRID)
TRUTH = 50.0 + 900.0 * np.exp(-((SPACE.points - [30.0, 40.0]) ** 2).sum(axis=1) / 300.0)
DEAD = PointResult(None, "frames")


def steering_of(*, stop: str | None = "W=20,p=0.001", **options: Any) -> Steering:
    rule = None if stop is None else StopRule.parse(stop)
    agent = make_agent("bayesian", SPACE, seed=0)
    return Steering(agent, Number(), budget=200, space=SPACE, stop=rule, **options)


def until(steering: Steering, reason: str) -> tuple[float, float]:
    """Steer until a point is decided for a reason."""
    for _ in range(100):
        decision = steering.decide()
        if decision.reason == reason:
            return decision.x, decision.y
        steering.observe(TRUTH[[SPACE.index_of(decision.x, decision.y)]])
    raise AssertionError(f"nothing was decided to {reason}")


def places_after(steering: Steering, n: int) -> list[tuple[float, float]]:
    places = []
    for _ in range(n):
        decision = steering.decide()
        places.append((decision.x, decision.y))
        steering.observe(TRUTH[[SPACE.index_of(decision.x, decision.y)]])
    return places


def test_a_dead_place_that_was_to_be_excluded_is_not_chosen_again() -> None:
    steering = steering_of()
    dead = until(steering, "exclude")
    for _ in range(4):
        steering.observe(DEAD)
    assert not steering.is_waiting
    after = places_after(steering, 20)
    assert dead not in after
    assert len({*after}) == 20


@pytest.mark.parametrize("kind", ["veto", "forbid"])
def test_a_place_that_the_user_refuses_is_not_excluded_next(kind: str) -> None:
    steering = steering_of()
    x, y = until(steering, "exclude")
    what = {"x": x, "y": y} if kind == "veto" else {"circle": [x, y, 5.0]}
    assert steering.heed(Request(kind, json.dumps(what), 0.0))
    assert (x, y) not in places_after(steering, 20)


def test_a_place_that_the_user_asked_for_and_that_is_dead_is_left_out() -> None:
    steering = steering_of(stop=None)
    places_after(steering, 12)
    steering.heed(Request("add", json.dumps({"x": 90.0, "y": 90.0}), 0.0))
    assert steering.decide().reason == "user"
    for _ in range(4):
        steering.observe(DEAD)
    agent = steering.agent
    assert isinstance(agent, BayesianAgent)
    assert agent._ledger.barred()[SPACE.index_of(90.0, 90.0)]


def test_dead_frames_and_what_the_user_asks_for_count_for_the_dose() -> None:
    looks = {"full_s": 10.0, "max_dose_s": 3.0}
    agent = BayesianAgent(SPACE, seed=0, looks=looks)
    steering = Steering(agent, Number(), budget=60, space=SPACE, n_kept=10)
    doses: dict[tuple[float, float], float] = {}
    rng = np.random.default_rng(0)

    def step(*, dead: bool = False) -> tuple[float, float]:
        decision = steering.decide(move_s=1.0, expose_s=1.0)
        place = decision.x, decision.y
        doses[place] = doses.get(place, 0.0) + decision.exposure_s
        counts = rng.poisson(decision.exposure_s * TRUTH[SPACE.index_of(*place)] / 400.0)
        ratio = 10.0 / decision.exposure_s
        pattern = None if dead else np.array([ratio * counts])
        steering.observe(PointResult(pattern, "frames" * dead, noise_ratio=ratio, count=ratio))
        return place

    for _ in range(14):
        step()
    for _ in range(3):
        steering.heed(Request("add", json.dumps({"x": 50.0, "y": 50.0}), 0.0))
        step()
    for _ in range(40):
        if steering.n_observed >= steering.budget:
            break
        step(dead=rng.random() < 0.2)
    assert max(doses.values()) <= 3.0 + 1e-9


def test_a_dead_place_beside_the_brightest_is_not_compared_with_it() -> None:
    agent = BayesianAgent(SPACE, seed=0, looks={"full_s": 10.0})
    rng, dead = np.random.default_rng(1), []
    for number, (place, value) in enumerate(zip(SPACE.points.tolist(), TRUTH, strict=True)):
        told = {"_id": number, "x": place[0], "y": place[1], "noise_ratio": 20.0}
        near = 0.0 < np.hypot(place[0] - 30.0, place[1] - 40.0) <= 10.0
        if near:
            dead.append(tuple(place))
            agent.ingest([told | {"objective": np.nan, "n_invalid": 4}])
        else:
            agent.ingest([told | {"objective": float(value + rng.normal(0.0, 20.0))}])
    for _ in range(12):
        point = agent.confirm(12)
        if point is None:
            break
        assert (point["x"], point["y"]) not in dead
        ratio = 10.0 / point["exposure_s"]
        value = TRUTH[SPACE.index_of(point["x"], point["y"])]
        agent.ingest([{**point, "objective": float(value), "noise_ratio": ratio}])
