"""Several targets in one loop, on spectra whose channels have hills of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.agents import AGENT_NAMES, Space
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array
from bl_steer.runs import PointResult
from bl_steer.steering import (
    Decision,
    DetectorDeadError,
    JointSteering,
    build_loop,
    replay,
    same_decision,
)

LEFT, RIGHT = "roi:0,1", "roi:2,3"
AXES = FrameAxes.channels((1, 4))
SETTINGS: dict[str, Any] = {
    "target": [LEFT, RIGHT],
    "agent": "bayesian",
    "agent_options": {"n_start": 6},
    "seed": 2,
    "budget": 20,
    "grid": Space.grid(np.linspace(0.0, 50.0, 11), np.linspace(0.0, 50.0, 11)).to_dict(),
    **dict.fromkeys(("masks", "careful", "scales", "noise_per_point", "gives_up"), True),
}
HILLS = {LEFT: 10.0, RIGHT: 40.0}
"""Where along each axis the channels of a target are brightest."""


def pattern(position: Array) -> Array:
    """Return two channels for each target, (4,)."""
    heights = [
        100.0 + 900.0 * np.exp(-((position - centre) ** 2).sum() / (2 * 8.0**2))
        for centre in HILLS.values()
    ]
    return np.repeat(heights, 2)


def steered(settings: dict[str, Any], n: int) -> tuple[JointSteering, list[Decision]]:
    steering = build_loop(settings, AXES)
    assert isinstance(steering, JointSteering)
    names, made = Space.from_dict(settings["grid"]).names, []
    for _ in range(n):
        made.append(steering.decide())
        steering.observe(pattern(np.array([getattr(made[-1], name) for name in names])))
    return steering, made


@pytest.mark.parametrize("pareto", [False, True])
@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_both_hills_are_found_on_any_number_of_axes(n_axes: int, pareto: bool) -> None:
    axis = np.linspace(0.0, 50.0, {1: 51, 2: 11, 3: 6}[n_axes])
    settings = SETTINGS | {"grid": Space.grid(*[axis] * n_axes).to_dict(), "pareto": pareto}
    steering, _ = steered(settings, 20)
    for loop, centre in zip(steering.loops, HILLS.values(), strict=True):
        best = loop.report()
        found = np.array([best.x, best.y, best.z][:n_axes])
        assert np.abs(found - centre).max() <= axis[1] + 1e-9
    if pareto:
        front = steering.front()
        assert front.positions.shape[1] == n_axes
        # Between the two hills one target is as much worse as the other is better.
        assert (np.diff(front.values[:, 0]) <= 0).all()
        assert (np.diff(front.values[:, 1]) >= 0).all()


@pytest.mark.parametrize("agent", AGENT_NAMES)
def test_every_named_agent_decides_in_turn_and_measures_no_place_twice(agent: str) -> None:
    settings = SETTINGS | {"agent": agent, "agent_options": {}}
    steering, made = steered(settings, 12)
    assert [decision.target for decision in made] == [LEFT, RIGHT] * 6
    if agent != "botorch":  # which knows no cells
        assert len({(decision.x, decision.y) for decision in made}) == 12
    np.testing.assert_array_equal(np.isfinite(steering.outcomes()).sum(axis=1), [12, 12])


@pytest.mark.parametrize("pareto", [False, True])
def test_a_replay_decides_alike(pareto: bool) -> None:
    settings = SETTINGS | {"pareto": pareto}
    _, made = steered(settings, 14)
    patterns = [pattern(np.array([decision.x, decision.y])) for decision in made]
    again = replay(settings, AXES, patterns)
    assert all(same_decision(one, other) for one, other in zip(made, again, strict=True))


def test_outcomes_that_are_taken_back_are_taken_back_for_all() -> None:
    steering, made = steered(SETTINGS, 9)
    steering.decide()
    steering.observe(PointResult(pattern(np.array([0.0, 0.0])), withdrawn=(7, 8)))
    known = np.isfinite(steering.outcomes())
    assert (known[0] == known[1]).all()
    assert np.flatnonzero(known[0]).tolist() == [*range(7), 9]
    assert [len(made), steering.n_observed] == [9, 10]


def test_a_dead_detector_is_told_once_all_targets_know() -> None:
    steering = build_loop(SETTINGS | {"gives_up": False}, AXES)
    for _ in range(3):
        steering.decide()
        steering.observe(None)
    steering.decide()
    with pytest.raises(DetectorDeadError, match="dead ones in a row"):
        steering.observe(None)
    assert isinstance(steering, JointSteering)
    assert len({loop.n_observed for loop in steering.loops}) == 1


def test_a_target_whose_rule_is_met_leaves_its_turn() -> None:
    steering, made = steered(SETTINGS | {"stop": "W=40", "budget": 40}, 12)
    while not steering.is_over and steering.n_observed < 40:
        done = [loop.is_done for loop in steering.loops]
        decision = steering.decide()
        made.append(decision)
        if sum(done) == 1:
            assert decision.target == [LEFT, RIGHT][done.index(False)]
        steering.observe(pattern(np.array([decision.x, decision.y])))
    assert steering.is_over
    assert steering.stop_reason() == "stop"
