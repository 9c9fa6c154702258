"""The Bayesian agent as a user meets it: limits, repeats, seeds, restarts, explanations."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from bl_steer.agents import BayesianAgent, Space, SpaceExhausted
from bl_steer.protocols import (
    Array,
    ExplainsDecisions,
    Explanation,
    Point,
    PredictsMap,
    RemembersState,
)

AXIS = np.arange(0.0, 155.0, 5.0)
FILM = Space.grid(AXIS, AXIS)
SMALL = Space.grid(np.arange(5) * 2.0, np.arange(4) * 2.0)


def hills(x: float, y: float) -> float:
    """One main hill at (60, 95), one rival of 70 %, FWHM 20 µm, on a pedestal."""
    main = np.exp(-((x - 60) ** 2 + (y - 95) ** 2) / 144)
    rival = np.exp(-((x - 110) ** 2 + (y - 35) ** 2) / 144)
    return float(100 * main + 70 * rival + 5)


def measure(agent: BayesianAgent, n: int, *, noise: float = 0.0, seed: int = 0) -> list[Point]:
    """Run n points and return them with their outcomes."""
    done: list[Point] = []
    rng = np.random.default_rng(seed)
    for _ in range(n):
        point = agent.suggest()[0]
        outcome = {**point, "objective": hills(point["x"], point["y"]) + noise * rng.normal()}
        agent.ingest([outcome])
        done.append(outcome)
    return done


def places(points: list[Point]) -> list[tuple[float, float]]:
    return [(p["x"], p["y"]) for p in points]


def test_it_keeps_the_contracts() -> None:
    agent = BayesianAgent(SMALL)
    assert isinstance(agent, ExplainsDecisions)
    assert isinstance(agent, PredictsMap)
    assert isinstance(agent, RemembersState)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("start", ["maximin", "random"])
def test_it_finds_the_main_hill_among_rivals(seed: int, start: Any) -> None:
    agent = BayesianAgent(FILM, seed=seed, start=start)
    measure(agent, 60)
    spot = agent.recommend()
    assert np.hypot(spot.x - 60, spot.y - 95) <= 5
    assert_allclose(spot.mean, 105, rtol=0.05)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    outcomes=st.lists(st.floats(-10, 1e4) | st.just(float("nan")), min_size=20, max_size=20),
    start=st.sampled_from(["maximin", "random"]),
    kernel=st.sampled_from(["rbf", "matern52"]),
)
def test_suggestions_are_cells_of_the_space_and_never_repeat_a_valid_one(
    seed: int, outcomes: list[float], start: Any, kernel: Any
) -> None:
    agent = BayesianAgent(SMALL, seed=seed, n_start=4, start=start, kernel=kernel)
    cells = {(x, y) for x, y in SMALL.points.tolist()}
    valid = set()
    for number, outcome in enumerate(outcomes):
        point = agent.suggest()[0]
        place = (point["x"], point["y"])
        assert point["_id"] == number
        assert place in cells
        assert place not in valid
        agent.ingest([{**point, "objective": outcome}])
        if not np.isnan(outcome):
            valid.add(place)


def test_pending_cells_are_not_suggested_again() -> None:
    agent = BayesianAgent(SMALL, n_start=4)
    measure(agent, 5)
    later = [agent.suggest()[0] for _ in range(15)]
    assert len(set(places(later))) == 15
    with pytest.raises(SpaceExhausted, match="got all 20 measured, pending, invalid or forbidden"):
        agent.suggest()


def test_the_same_seed_and_outcomes_give_the_same_suggestions_and_another_seed_others() -> None:
    runs = [places(measure(BayesianAgent(FILM, seed=s), 14, noise=1.0)) for s in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]


PROGRAM = """
import numpy as np
from bl_steer.agents import BayesianAgent, Space
axis = np.arange(0.0, 155.0, 5.0)
agent = BayesianAgent(Space.grid(axis, axis), seed=5)
for _ in range(20):
    p = agent.suggest()[0]
    agent.ingest([{**p, "objective": (p["x"] * 7.3 + p["y"] * 3.1) % 11}])
result = repr((p, agent.explain(), agent.recommend()))
"""


def test_a_fresh_process_gives_the_same_decisions_bit_for_bit() -> None:
    here: dict[str, Any] = {}
    exec(PROGRAM, here)
    fresh = subprocess.run(
        [sys.executable, "-c", PROGRAM + "print(result)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "improve" in here["result"]
    assert fresh.stdout.strip() == here["result"]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), stop=st.integers(1, 25), relabel=st.booleans())
def test_a_restored_agent_carries_on_bit_for_bit(seed: int, stop: int, relabel: bool) -> None:
    agent = BayesianAgent(FILM, seed=seed)
    done = measure(agent, stop, noise=3.0)
    if relabel:
        agent.ingest([{**p, "objective": abs(p["objective"]) ** 1.5 - 2} for p in done])
    agent.ingest([{"x": 33.0, "y": 61.5, "objective": 4.0}])
    agent.ingest([{**agent.suggest()[0], "objective": np.nan}])
    agent.suggest()
    saved = json.loads(json.dumps(agent.state_dict(), allow_nan=False))
    restored = BayesianAgent(FILM, seed=seed)
    restored.load_state_dict(saved)
    for _ in range(4):
        ours, theirs = agent.suggest()[0], restored.suggest()[0]
        assert ours == theirs
        assert repr(agent.explain()) == repr(restored.explain())
        outcome = hills(ours["x"], ours["y"])
        for each in (agent, restored):
            each.ingest([{**ours, "objective": outcome}])
    assert agent.state_dict() == restored.state_dict()


def test_a_state_of_other_settings_is_refused_with_both_values() -> None:
    saved = BayesianAgent(SMALL, seed=1).state_dict()
    with pytest.raises(ValueError, match=r"same settings, got seed=1 \(here 2\)"):
        BayesianAgent(SMALL, seed=2).load_state_dict(saved)


def test_labelling_all_outcomes_anew_equals_having_measured_them_so() -> None:
    first, second = BayesianAgent(FILM, seed=2), BayesianAgent(FILM, seed=2)
    done = measure(first, 15)
    relabelled = [{**p, "objective": 3.0 * p["objective"] + p["x"]} for p in done]
    first.ingest(relabelled)
    second.ingest(relabelled)
    assert first.suggest()[0]["x"] == second.suggest()[0]["x"]
    assert repr(first.explain()) == repr(second.explain())


def test_an_invalid_start_point_is_measured_again_at_once() -> None:
    agent = BayesianAgent(FILM, seed=1)
    measure(agent, 3)
    dead = agent.suggest()[0]
    agent.ingest([{**dead, "objective": np.nan}])
    again = agent.suggest()[0]
    assert (again["x"], again["y"]) == (dead["x"], dead["y"])
    assert again["_id"] == dead["_id"] + 1


def test_the_maximin_start_spreads_out_more_than_the_random_one() -> None:
    def closest_pair(start: Any) -> float:
        agent = BayesianAgent(FILM, seed=0, start=start)
        X = np.array(places(list(agent.suggest(10))))
        distances = np.linalg.norm(X[:, None] - X[None], axis=-1)
        return float(distances[np.triu_indices(10, 1)].min())

    assert closest_pair("maximin") > 30 > closest_pair("random")


def test_points_of_somebody_else_count_towards_the_start_design() -> None:
    agent = BayesianAgent(FILM, n_start=10)
    rng = np.random.default_rng(0)
    agent.ingest(
        [{"x": x, "y": y, "objective": hills(x, y)} for x, y in rng.uniform(0, 150, (10, 2))]
    )
    agent.suggest()
    assert agent.explain().reason == "improve"


def test_several_points_at_once_are_start_points_only() -> None:
    agent = BayesianAgent(FILM, n_start=4, sparing=False)  # as in earlier versions
    assert [p["_id"] for p in agent.suggest(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"num_points must lie in 1 … 1, .* got 2"):
        agent.suggest(2)


def test_an_explanation_says_what_was_expected_of_the_point() -> None:
    agent = BayesianAgent(FILM, seed=0)
    with pytest.raises(ValueError, match="explain must follow a suggestion"):
        agent.explain()
    agent.suggest()
    assert agent.explain().reason == "start"
    agent.ingest([{"_id": 0, "objective": 1.0}])
    measure(agent, 15)
    point = agent.suggest()[0]
    why = agent.explain()
    assert why.reason == "improve"
    assert why.acquisition >= why.runner_up_acquisition
    assert (why.runner_up_x, why.runner_up_y) != (point["x"], point["y"])
    mean, sd = agent.predict(np.array([[point["x"], point["y"]]]))
    assert_allclose([why.mean, why.sd], [mean[0], sd[0]], rtol=1e-6)
    assert 5.0 <= why.lengthscale <= 37.5
    numbers = {name: v for name, v in vars(why).items() if name not in ("reason", "runner_up_z")}
    assert all(map(np.isfinite, numbers.values()))


def test_the_last_free_cell_has_no_runner_up() -> None:
    agent = BayesianAgent(SMALL, n_start=4)
    measure(agent, 20)
    why: Explanation = agent.explain()
    assert np.isfinite(why.acquisition)
    assert np.isnan(why.runner_up_x)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_objectives_unit_does_not_change_the_suggestions(scale: float) -> None:
    def run(factor: float) -> list[tuple[float, float]]:
        agent = BayesianAgent(FILM, seed=1)
        done = []
        for _ in range(18):
            point = agent.suggest()[0]
            value = factor * hills(point["x"], point["y"])
            agent.ingest([{**point, "objective": value}])
            done.append(point)
        return places(done)

    assert run(scale) == run(1.0)


@pytest.mark.parametrize("level", [0.0, 7.0, -3.0])
def test_a_flat_map_is_explored_to_its_end(level: float) -> None:
    agent = BayesianAgent(SMALL, n_start=3)
    for _ in range(20):
        agent.ingest([{**agent.suggest()[0], "objective": level}])
    assert_allclose(agent.recommend().mean, level, atol=1e-6)


def test_predictions_agree_with_the_measured_outcomes_negative_ones_too() -> None:
    agent = BayesianAgent(FILM, seed=0)
    for _ in range(25):
        point = agent.suggest()[0]
        value = hills(point["x"], point["y"]) - 50
        agent.ingest([{**point, "objective": value}])
    X: Array = FILM.points
    mean, sd = agent.predict(X)
    assert mean.shape == sd.shape == (961,)
    spot = agent.recommend()
    assert_allclose(spot.mean, hills(spot.x, spot.y) - 50, atol=3 * spot.sd + 1)


def test_the_reported_spot_is_measured_and_not_merely_the_highest_noisy_reading() -> None:
    agent = BayesianAgent(FILM, seed=0)
    done = measure(agent, 40)
    neighbours = [(x, y) for x in (55.0, 60.0, 65.0) for y in (35.0, 40.0, 45.0)]
    agent.ingest([{"x": x, "y": y, "objective": hills(x, y)} for x, y in neighbours])
    agent.ingest([{"x": 60.0, "y": 40.0, "objective": 110.0}])
    spot = agent.recommend()
    assert (spot.x, spot.y) in places(done)
    assert np.hypot(spot.x - 60, spot.y - 95) <= 5


def test_recommend_and_predict_ask_for_outcomes_first() -> None:
    agent = BayesianAgent(SMALL)
    with pytest.raises(ValueError, match="recommend must have a valid outcome, got none"):
        agent.recommend()
    with pytest.raises(ValueError, match="at least 2 valid outcomes, got 0"):
        agent.predict(SMALL.points)
    agent.ingest([{"x": 2.0, "y": 4.0, "objective": 3.0}])
    assert (agent.recommend().x, agent.recommend().mean) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "grid"}, "start must be one of maximin, random, got 'grid'"),
        ({"kernel": "cubic"}, "kernel must be one of rbf, matern52, got 'cubic'"),
        ({"warp": "log"}, "warp must be one of sqrt, none, got 'log'"),
        ({"n_start": 0}, "n_start must be at least 1, got 0"),
    ],
)
def test_a_bad_option_is_refused_with_its_value(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BayesianAgent(SMALL, **options)
