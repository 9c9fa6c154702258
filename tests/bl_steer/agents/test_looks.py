"""An agent that also says how long to look: what it costs, when it is enough, and no more dose."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.comparison import by_place, excess_scatter
from bl_steer.agents.looks import Looks, Visits
from bl_steer.protocols import ChoosesExposure

AXIS = np.arange(0.0, 105.0, 5.0)
FILM = Space.grid(AXIS, AXIS)
FULL_S = 10.0


def hill(x: float, y: float) -> float:
    return float(np.exp(-((x - 60) ** 2 + (y - 75) ** 2) / 300) + 0.04)


class Film:
    """A hill of so many counts/s, and the seconds that looking at it takes."""

    def __init__(self, rate: float, *, seed: int = 1, **looks: float) -> None:
        self.rate = rate
        self.rng = np.random.default_rng(seed)
        self.agent = BayesianAgent(FILM, seed=0, looks={"full_s": FULL_S, **looks})
        self.looks: list[dict[str, Any]] = []

    def measure(self, point: dict[str, Any]) -> None:
        exposure_s = point["exposure_s"]
        counts = self.rng.poisson(self.rate * exposure_s * hill(point["x"], point["y"]))
        ratio = FULL_S / exposure_s
        self.agent.learn_noise(ratio * self.rng.poisson(counts, 8), ratio)
        self.agent.ingest([{**point, "objective": ratio * counts, "noise_ratio": ratio}])
        self.agent.learn_pace(1.0, exposure_s + 0.2)
        self.looks.append(point)

    def search(self, n: int) -> None:
        for _ in range(n):
            self.measure(self.agent.suggest()[0])

    def confirm(self) -> list[str]:
        reasons = []
        while len(reasons) < 40 and (point := self.agent.confirm(40 - len(reasons))) is not None:
            reasons.append(self.agent.explain().reason)
            self.measure(point)
        return reasons


def test_a_faint_sample_gets_longer_looks_by_itself() -> None:
    times = {}
    for rate in (4000.0, 20.0):
        film = Film(rate)
        film.search(30)
        times[rate] = np.median([look["exposure_s"] for look in film.looks[15:]])
        spot = film.agent.recommend()
        assert np.hypot(spot.x - 60, spot.y - 75) <= 8, rate
    assert times[4000.0] <= 0.1 < 0.5 <= times[20.0]


def test_the_reported_spot_had_a_full_exposure_and_so_had_who_could_beat_it() -> None:
    film = Film(20.0)
    film.search(30)
    reasons = film.confirm()
    assert set(reasons) <= {"confirm", "compare"}
    assert len(reasons) < 40  # else nothing is decided
    spot = film.agent.recommend()
    here = [p["exposure_s"] for p in film.looks if (p["x"], p["y"]) == (spot.x, spot.y)]
    assert sum(here) >= 0.95 * FULL_S
    assert film.agent.confirm(1) is None


def test_no_place_gets_more_than_its_dose() -> None:
    film = Film(20.0, max_dose_s=3.0)
    film.search(25)
    film.confirm()
    doses: dict[tuple[float, float], float] = {}
    for look in film.looks:
        place = look["x"], look["y"]
        doses[place] = doses.get(place, 0.0) + look["exposure_s"]
    assert max(doses.values()) == pytest.approx(3.0)


def test_looks_at_one_place_count_by_their_inverse_variance() -> None:
    places, outcomes, ratios = by_place(
        np.array([[5.0, 0.0], [0.0, 0.0], [5.0, 0.0]]),
        np.array([12.0, 1.0, 2.0]),
        np.array([4.0, 1.0, 1.0]),
    )
    assert_allclose(places, [[0, 0], [5, 0]])
    assert_allclose(outcomes, [1, (12 / 4 + 2) / (1 / 4 + 1)])
    assert_allclose(ratios, [1, 0.8])


def test_a_model_of_two_looks_is_that_of_one_as_long() -> None:
    X = np.array([[0.0, 0.0], [50.0, 50.0], [95.0, 20.0], [20.0, 80.0]])
    y = np.array([3.0, 9.0, 4.0, 6.0])
    twice = np.repeat(np.arange(4), [2, 1, 1, 1])
    predicted = []
    for rows, ratios in ((np.arange(4), [0.5, 1.0, 1.0, 1.0]), (twice, [1.0] * 5)):
        agent = BayesianAgent(FILM, seed=0, warp="none")
        agent.ingest(
            [
                {"x": X[i, 0], "y": X[i, 1], "objective": y[i], "noise_ratio": r}
                for i, r in zip(rows, ratios, strict=True)
            ]
        )
        agent._beliefs.condition()
        mean, _ = agent._model.member_moments(agent._model.candidates)
        predicted.append(mean)
    assert_allclose(predicted[0], predicted[1], rtol=1e-9)


def test_what_a_point_costs_is_learnt_from_time_stamps() -> None:
    visits = Visits(FILM)
    rng = np.random.default_rng(0)
    for position in rng.choice(AXIS, (9, 2)).tolist():
        steps = float(visits.steps_to(np.array([position]))[0])
        visits.add(position, 0.5)
        visits.learn(0.9 + 0.1 * steps, 0.5 + 0.2)
    assert visits.overhead_s == pytest.approx(1.1)
    here = visits.steps_to(FILM.points)
    assert_allclose(visits.costs(2.0), 3.1 + 0.1 * here, rtol=1e-9)


@given(
    full_s=st.floats(1e-3, 1e3),
    least_s=st.floats(0.0, 1.0),
    overhead_s=st.floats(0.0, 100.0),
    nugget=st.floats(1e-9, 10.0),
)
def test_a_look_is_never_shorter_than_the_detector_takes_nor_longer_than_full(
    full_s: float, least_s: float, overhead_s: float, nugget: float
) -> None:
    looks = Looks(full_s, least_s=min(least_s, full_s))
    ladder = looks.ladder(overhead_s)
    assert ladder[-1] == full_s
    assert (np.diff(ladder) > 0).all()
    assert looks.least_s * (1 - 1e-9) <= looks.search_s(nugget, overhead_s) <= full_s
    assert Looks.from_dict(json.loads(json.dumps(looks.to_dict()))) == looks


def test_a_restored_agent_carries_on_with_the_same_looks() -> None:
    film = Film(20.0)
    film.search(18)
    lost = film.agent
    restored = BayesianAgent(FILM, seed=0, looks={"full_s": FULL_S})
    restored.load_state_dict(json.loads(json.dumps(lost.state_dict())))
    assert restored.suggest() == lost.suggest()
    assert restored.confirm(5) == lost.confirm(5)
    assert isinstance(lost, ChoosesExposure)


@pytest.mark.parametrize(
    ("looks", "message"),
    [
        ({"full_s": 0.0}, "the full exposure must be a time above 0, got 0.0 s"),
        ({"full_s": 1.0, "least_s": 2.0}, "least_s must be a time up to the full exposure, 1 s"),
        ({"full_s": 1.0, "max_dose_s": 0.0}, "max_dose_s must be above 0"),
    ],
)
def test_looks_that_cannot_be_are_refused(looks: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BayesianAgent(FILM, looks=looks)


def test_repeated_looks_tell_of_noise_that_no_exposure_lowers() -> None:
    class Counting:
        def predict(self, X: Any) -> Any:
            raise AssertionError("only the noise is asked for")

        def variances(self, outcomes: Any, noise_ratios: Any) -> Any:
            return outcomes * noise_ratios

    rng = np.random.default_rng(5)
    positions = np.repeat([[0.0, 0.0], [5.0, 5.0]], 200, axis=0)
    ratios = np.ones(400)
    steady = rng.poisson(900.0, 400).astype(float)
    assert excess_scatter(positions, steady, ratios, Counting()) < 1.2
    flickering = rng.poisson(900.0 * (1.0 + 0.1 * rng.standard_normal(400))).astype(float)
    scatter = np.mean([half.var() / half.mean() for half in np.split(flickering, 2)])
    factor = excess_scatter(positions, flickering, ratios, Counting())
    assert factor == pytest.approx(scatter, rel=0.03)
    assert excess_scatter(positions[::200], steady[:2], ratios[:2], Counting()) == 1.0
