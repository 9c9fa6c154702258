"""One bad place ends no run, and what is odd about all outcomes is told."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.warp import WarpName
from bl_steer.analysis.advice.analysis import AdviceParams, SteeringAdvice
from bl_steer.protocols import Array, Inputs
from bl_steer.runs import PointResult
from bl_steer.steering import DetectorDeadError, build_steering, remark_on
from simulators.film import SigeFilm

AXIS = 10.0 * np.arange(12)
SPACE = Space.grid(AXIS, AXIS)
SETTINGS = {
    "target": "total",
    "agent": "bayesian",
    "agent_options": {},
    "seed": 0,
    "grid": SPACE.to_dict(),
    "scales": True,
    "masks": True,
}


def hills(x: float, y: float) -> float:
    return 5.0 + 900.0 * float(np.exp(-((x - 40) ** 2 + (y - 70) ** 2) / 600))


def path(shift: float, *, scale: float = 1.0, warp: WarpName = "none") -> tuple[Array, float]:
    """Return where 25 points are measured of hills on a pedestal, and the reported sd."""
    agent = BayesianAgent(SPACE, n_start=6, warp=warp)
    places = []
    for _ in range(25):
        point = agent.suggest()[0]
        places.append((point["x"], point["y"]))
        agent.ingest([{**point, "objective": scale * hills(*places[-1]) + shift}])
    return np.array(places), agent.recommend().sd / scale


@pytest.mark.parametrize("shift", [1e9, -1e9, 1e12])
def test_a_constant_added_to_all_outcomes_changes_no_decision(shift: float) -> None:
    (plain, sd), (shifted, sd_shifted) = path(0.0), path(shift)
    np.testing.assert_array_equal(shifted, plain)
    assert sd_shifted == pytest.approx(sd, rel=0.2)


def test_square_roots_of_a_large_pedestal_are_straight_lines() -> None:
    places, sd = path(1e9, warp="sqrt")
    assert [40.0, 70.0] in places.tolist()
    assert sd < 50.0


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_a_factor_of_all_outcomes_changes_no_decision(scale: float) -> None:
    np.testing.assert_array_equal(path(0.0, scale=scale, warp="sqrt")[0], path(0.0, warp="sqrt")[0])


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (np.zeros(6), "got 0 at all 6 points: the reported spot is none; check target, detector"),
        (np.full(6, 7.5), "got 7.5 at all 6 points: the reported spot is none; check what is"),
        (
            np.append(np.linspace(0, 1, 20), 1e4),
            "point 20 gave 10000, and the other 20 gave 0 to 1",
        ),
        (np.append(np.linspace(1, 2, 20), -50.0), "point 20 gave -50, and the other 20"),
        (np.array([np.nan, 3.0, 3.0, np.nan, 3.0]), "got 3 at all 3 points"),
        (np.array([3.0, 3.0]), ""),
        (np.array([1.0] * 9 + [900.0, 1000.0]), ""),
        (np.linspace(0.0, 1.0, 20), ""),
    ],
)
def test_what_is_odd_about_all_outcomes_is_told(outcomes: Array, words: str) -> None:
    told = remark_on(outcomes)
    assert told.startswith(words)
    assert bool(told) == bool(words)


def test_an_advice_tells_what_is_odd_about_its_values() -> None:
    x, y = SPACE.points[::7].T
    result = SteeringAdvice().run(Inputs({"x": x, "y": y, "value": 0 * x}), AdviceParams())
    assert any(text.startswith("Of the values, got 0 at all 21 points") for text in result.warnings)


def run_over(bad: set[tuple[float, float]], *, dead_from: int = 10**6, **settings: bool) -> int:
    """Steer over hills of which some places give nothing; return the number of valid points."""
    steering = build_steering(SETTINGS | {"budget": 30} | settings, SigeFilm("smooth").axes)
    for number in range(30):
        decision = steering.decide()
        place = decision.x, decision.y
        gave_nothing = place in bad or number >= dead_from
        pattern = None if gave_nothing else np.full(33 * 33, hills(*place))
        steering.observe(PointResult(pattern, "frames" if gave_nothing else ""))
    return int(np.isfinite(steering.outcomes()).sum())


def test_a_place_that_gives_nothing_is_left_out_and_the_run_goes_on() -> None:
    agent = BayesianAgent(SPACE)
    fourth = [(point["x"], point["y"]) for point in agent.suggest(4)][-1]
    assert run_over({fourth, (40.0, 70.0)}, gives_up=True) >= 22


def test_a_detector_that_gives_nothing_anywhere_ends_a_run() -> None:
    with pytest.raises(DetectorDeadError, match="got 4 dead ones in a row"):
        run_over(set(), dead_from=12, gives_up=True)
    with pytest.raises(DetectorDeadError, match="got 4 dead ones in a row"):
        run_over(set(), dead_from=2, gives_up=True)


def test_a_run_of_an_earlier_version_ends_as_it_did() -> None:
    agent = BayesianAgent(SPACE)
    fourth = [(point["x"], point["y"]) for point in agent.suggest(4)][-1]
    with pytest.raises(DetectorDeadError, match="got 4 dead ones in a row"):
        run_over({fourth})
