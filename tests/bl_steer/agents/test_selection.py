"""A search reports the brightest spot, and goes on looking until it is probably that one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.ensemble.scatter import Noise
from bl_steer.agents.looks import Looks, Visits
from bl_steer.agents.selection import Standing, next_look
from bl_steer.agents.surrogate import NUGGETS, GridEnsembleGP
from bl_steer.agents.warp import WarpName
from bl_steer.protocols import Array

AXIS = np.arange(0.0, 105.0, 5.0)
FILM = Space.grid(AXIS, AXIS)
COARSE = Space.grid(AXIS[::4], AXIS[::4])
FULL_S = 10.0


def hills(x: float, y: float) -> float:
    """The brightest hill, and two that come near it."""
    heights = {(25.0, 25.0): 1.0, (75.0, 30.0): 0.88, (40.0, 80.0): 0.85}
    return 0.05 + sum(
        height * float(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 130))
        for (a, b), height in heights.items()
    )


class Search:
    """A faint film whose beam flickers by a tenth: 15 counts/s at best."""

    def __init__(self, seed: int, *, selects: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.agent = BayesianAgent(FILM, seed=0, looks={"full_s": FULL_S}, selects=selects)
        self.looks: list[tuple[tuple[float, float], float, str]] = []

    def measure(self, point: dict[str, float]) -> None:
        place, exposure_s = (point["x"], point["y"]), point["exposure_s"]
        beam = float(np.exp(0.1 * self.rng.standard_normal()))
        counts = self.rng.poisson(15.0 * exposure_s * beam * hills(*place))
        ratio = FULL_S / exposure_s
        self.agent.learn_noise(ratio * self.rng.poisson(counts, 8), ratio)
        self.agent.ingest([{**point, "objective": ratio * counts, "noise_ratio": ratio}])
        self.agent.learn_pace(1.0, exposure_s + 0.2)
        self.looks.append((place, exposure_s, self.agent.explain().reason))

    def run(self, n_search: int, n_more: int) -> Array:
        for _ in range(n_search):
            self.measure(dict(self.agent.suggest()[0]))
        for n_left in range(n_more, 0, -1):
            if (point := self.agent.confirm(n_left)) is None:
                break
            self.measure(dict(point))
        spot = self.agent.recommend()
        return np.array([spot.x, spot.y])


@pytest.mark.parametrize("seed", [0, 3])
def test_the_brightest_of_near_rivals_is_reported_and_looked_at_in_full(seed: int) -> None:
    search = Search(seed)
    spot = search.run(90, 75)
    assert np.hypot(*(spot - 25.0)) <= 5.0
    assert sum(s for place, s, _ in search.looks if place == tuple(spot)) >= 0.95 * FULL_S
    reasons = [reason for _, _, reason in search.looks[90:]]
    assert set(reasons) <= {"compare", "confirm"}
    assert len(reasons) < 75  # it ends once that is sure
    # The beam flickers, so that many looks tell more than a long one.
    times = [s for _, s, reason in search.looks if reason == "compare"]
    assert np.median(times) < FULL_S


def test_a_spot_beside_a_bright_one_may_be_looked_at_for_the_first_time() -> None:
    search = Search(4)
    search.run(30, 20)
    seen = {place for place, _, _ in search.looks[:30]}
    assert {place for place, _, _ in search.looks[30:]} - seen


def test_a_spot_that_one_look_took_for_one_of_many_may_be_the_brightest() -> None:
    rng = np.random.default_rng(1)
    agent = BayesianAgent(FILM, seed=0, looks={"full_s": FULL_S})
    places = FILM.points[rng.choice(len(FILM), 80, replace=False)]
    for i, (x, y) in enumerate(places):
        objective = 4.0 if i == 0 else rng.uniform(4.0, 5.0) if i <= 24 else rng.uniform(0.0, 0.5)
        agent.learn_noise(10.0 * rng.poisson(np.full(8, objective / 10.0)), 10.0)
        point = {"x": float(x), "y": float(y), "exposure_s": 1.0}
        agent.ingest([{**point, "objective": objective, "noise_ratio": 10.0}])
        agent.learn_pace(1.0, 1.2)
    standing = agent._standing()
    assert standing is not None
    assert (standing.positions == places[0]).all(axis=1).any()


@pytest.mark.parametrize("sums", [True, False])
def test_a_cell_without_a_look_may_be_the_brightest(sums: bool) -> None:
    agent = BayesianAgent(FILM, seed=0, looks={"full_s": FULL_S}, sums=sums)
    seen = FILM.points[(FILM.points[:, 0] < 60.0) & (FILM.points % 10.0 == 0.0).all(axis=1)]
    for x, y in seen:
        point = {"x": float(x), "y": float(y), "exposure_s": 1.0}
        objective = 1000.0 * hills(float(x), float(y))
        agent.ingest([{**point, "objective": objective, "noise_ratio": 10.0}])
    standing = agent._standing()
    assert standing is not None
    assert ((standing.positions[:, 0] > 65.0) & (standing.shares == 0.0)).any() == sums
    assert agent.recommend().p_right < 1.0


def standing(covariance: Array, *, p_first: float, shares: tuple[float, ...]) -> Standing:
    n_right = round(1000 * p_first)
    right = np.zeros((1000, 3), dtype=bool)
    right[:n_right, 0], right[n_right:, 1] = True, True
    return Standing(
        positions=np.array([[0.0, 0.0], [50.0, 50.0], [50.0, 55.0]]),
        shares=np.array(shares),
        mean=np.array([3.0, 2.9, 2.5]),
        covariance=covariance,
        right=right,
        brightest=np.where(right[:, 0], 0, 1),
        noise=Noise(0.01, 0.0),
    )


def told(X: Array) -> tuple[Array, Array]:
    return np.full(len(X), 9.0), np.full(len(X), 0.1)


def test_the_look_is_where_it_tells_most_by_the_second_until_the_leader_is_sure() -> None:
    looks, visits = Looks(FULL_S), Visits(FILM)
    beside = np.array([[0.01, 0.0, 0.0], [0.0, 0.09, 0.08], [0.0, 0.08, 0.09]])
    doubtful = standing(beside, p_first=0.7, shares=(1.0, 0.2, 0.0))
    times = []
    for sums in (False, True):
        chosen = next_look(looks, visits, doubtful, 5, told, sums=sums)
        assert chosen is not None
        place, exposure_s, why = chosen
        assert (place, why.reason) == ([50.0, 50.0], "compare")
        times.append(exposure_s)
    # By hand: of the variance of the difference a look of t s takes .09²/(.09 + .01·10/t).
    ladder = looks.ladder(visits.overhead_s)
    rates = 0.09**2 / (0.09 + 0.1 / ladder) / (visits.overhead_s + ladder)
    assert times[0] == ladder[rates.argmax()]
    assert times[1] == ladder[rates >= 0.9 * rates.max()].max() > times[0]
    last = next_look(looks, visits, doubtful, 1, told, sums=True)
    assert last is None  # the leader was looked at in full
    sure = standing(beside, p_first=0.99, shares=(0.3, 0.2, 0.0))
    chosen = next_look(looks, visits, sure, 5, told, sums=True)
    assert chosen is not None
    assert chosen[:2] == ([0.0, 0.0], FULL_S)
    assert chosen[2].reason == "confirm"
    spot, p_right = sure.reported()
    assert (spot.tolist(), p_right) == ([0.0, 0.0], 0.99)


def test_the_joint_posterior_is_that_of_dense_algebra() -> None:
    rng = np.random.default_rng(3)
    X, at = torch.tensor(rng.choice(FILM.points, 9, replace=False)), torch.tensor(FILM.points[:4])
    at[0] = X[0]
    y, noise = torch.tensor(rng.normal(size=9)), torch.tensor(rng.uniform(0.1, 0.5, 9))
    model = GridEnsembleGP(at, metrics=FILM.metrics, kernel="rbf", nuggets=NUGGETS)
    model.condition(X, y)
    means, covariances = model.joint_moments(torch.tensor([2, 20]), X, y, noise, at, texture=0.3)
    for i, member in enumerate((2, 20)):
        both = torch.cat([X, at])
        squared = torch.cdist(both, both).square()
        prior = (
            model.amplitude_variance[member]
            * torch.exp(-0.5 * squared / model.lengthscales[member] ** 2)
            + 0.3 * (squared == 0.0).double()
        )
        K, k = prior[:9, :9] + torch.diag(noise), prior[:9, 9:]
        one = torch.ones(9, dtype=torch.float64)
        constant = (one @ torch.linalg.solve(K, y)) / (one @ torch.linalg.solve(K, one))
        assert_allclose(means[i], constant + k.T @ torch.linalg.solve(K, y - constant), rtol=1e-8)
        expected = prior[9:, 9:] - k.T @ torch.linalg.solve(K, k)
        assert_allclose(covariances[i], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("warp", ["sqrt", "none"])
@pytest.mark.parametrize("value", [0.0, -5.0, 1e-150, 5.0, 1e30])
def test_where_nothing_differs_a_search_goes_on_to_its_end(value: float, warp: WarpName) -> None:
    agent = BayesianAgent(COARSE, n_start=6, warp=warp, looks={"full_s": 1.0})
    for i in range(12):
        point = agent.suggest()[0] if i < 8 else agent.confirm(12 - i)
        if point is None:
            break
        ratio = 1.0 / point["exposure_s"]
        agent.learn_noise(np.full(4, value), ratio)
        agent.ingest([{**point, "objective": value, "noise_ratio": ratio}])
    assert agent.recommend().mean == pytest.approx(value, rel=1e-9, abs=1e-200)
