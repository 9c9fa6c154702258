from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bl_steer.agents import BayesianAgent, Space
from bl_steer.diffraction import FrameAxes
from bl_steer.features import make_feature
from bl_steer.protocols import Array
from bl_steer.runs import PointResult
from bl_steer.steering import (
    DetectorDeadError,
    Steering,
    build_steering,
    predicted_map,
    replay,
    same_decision,
)
from simulators.film.sige_film import SigeFilm

PLACES = np.linspace(0.0, 150.0, 7).tolist()
SETTINGS: dict[str, Any] = {
    "target": "nmf:3@x=0.45",
    "agent": "bayesian",
    "agent_options": {"n_start": 10},
    "seed": 3,
    "budget": 18,
    "grid": {"x": PLACES, "y": PLACES, "scattered": False},
}


def usable(patterns: Any, valid: Any) -> list[Any]:
    return [pattern if good else None for pattern, good in zip(patterns, valid, strict=True)]


def pattern_at(film: SigeFilm, x: float, y: float, shot: int) -> Array:
    frame, monitor = film.expose(x, y, exposure_s=10.0, time_s=11.2 * shot, shot=shot)
    return np.asarray(frame.ravel() * (film.nominal_monitor * 10.0 / monitor))


def steer(film: SigeFilm, dead: tuple[int, ...] = ()) -> tuple[Steering, list[Any], Array, Array]:
    steering = build_steering(SETTINGS, film.axes)
    decisions, patterns = [], []
    valid = np.ones(SETTINGS["budget"], dtype=bool)
    valid[list(dead)] = False
    for shot in range(SETTINGS["budget"]):
        decision = steering.decide()
        pattern = pattern_at(film, decision.x, decision.y, shot)
        steering.observe(pattern if valid[shot] else None)
        decisions.append(decision)
        patterns.append(pattern)
    return steering, decisions, np.array(patterns), valid


def test_a_replay_repeats_every_decision_bit_for_bit(film: SigeFilm) -> None:
    _, decisions, patterns, valid = steer(film, dead=(4, 12))
    again = list(replay(SETTINGS, film.axes, usable(patterns, valid)))
    assert len(again) == SETTINGS["budget"]
    assert all(map(same_decision, decisions, again))


def test_a_bright_reading_with_little_beam_is_not_taken_at_its_word() -> None:
    settings = SETTINGS | {"target": "field:n", "agent": "raster", "agent_options": {}}
    best = []
    for noise_ratio in (1.0, 10.0):
        steering = build_steering(settings | {"noise_per_point": True}, FrameAxes.channels((1, 1)))
        for counts, ratio in ((50.0, 1.0), (60.0, 1.0), (80.0, noise_ratio), (55.0, 1.0)):
            steering.decide()
            steering.observe(PointResult(np.array([counts]), noise_ratio=ratio))
        best.append((steering.report().value, steering.decide().best_so_far))
    assert best == [(80.0, 80.0), (60.0, 60.0)]


def test_the_predicted_map_is_that_of_the_agent_which_knows_of_noise() -> None:
    space = Space.from_dict(SETTINGS["grid"])
    measured = space.points[::4]
    outcomes = 100.0 + measured[:, 0]
    outcomes[5] = 400.0
    ratios = np.where(outcomes == 400.0, 10.0, 1.0)
    agent = BayesianAgent(space, seed=SETTINGS["seed"], **SETTINGS["agent_options"])
    agent.ingest(
        [
            {**space.point(position), "objective": outcome, "noise_ratio": ratio}
            for position, outcome, ratio in zip(measured, outcomes, ratios, strict=True)
        ]
    )
    expected, sd = agent.predict(space.points)
    mean, own_sd = predicted_map(SETTINGS, measured, outcomes, ratios)
    np.testing.assert_array_equal(mean, expected)
    np.testing.assert_array_equal(own_sd, sd)
    naive, _ = predicted_map(SETTINGS, measured, outcomes)
    assert naive[20] > mean[20]


def test_a_replay_notices_a_pattern_that_was_changed(film: SigeFilm) -> None:
    _, decisions, patterns, valid = steer(film)
    patterns[11] *= 1.5
    again = list(replay(SETTINGS, film.axes, usable(patterns, valid)))
    same = [same_decision(*pair) for pair in zip(decisions, again, strict=True)]
    assert all(same[:12])
    assert not all(same[12:])


def test_a_decision_differs_by_any_field_but_its_times(film: SigeFilm) -> None:
    decision = build_steering(SETTINGS, film.axes).decide()
    assert same_decision(decision, replace(decision, think_s=9.0, previous_move_s=1.0))
    assert not same_decision(decision, replace(decision, x=decision.x + 1e-12))
    assert not same_decision(decision, replace(decision, reason="improve"))


def test_an_invalid_point_is_measured_again_and_never_taken_as_dark(film: SigeFilm) -> None:
    steering, decisions, _, _ = steer(film, dead=(4,))
    assert (decisions[5].x, decisions[5].y) == (decisions[4].x, decisions[4].y)
    assert decisions[5].reason == "retake"
    assert np.isnan(steering.outcomes()[4])
    assert np.isfinite(np.delete(steering.outcomes(), 4)).all()
    assert steering.n_observed == SETTINGS["budget"]


def test_a_detector_that_stays_dead_is_an_error_that_names_the_place(film: SigeFilm) -> None:
    steering = build_steering(SETTINGS, film.axes)
    steering.decide()
    for _ in range(3):
        steering.observe(None)
    with pytest.raises(DetectorDeadError, match=r"4 dead ones in a row at x = .*; check detector"):
        steering.observe(None)


def test_all_outcomes_are_computed_anew_when_the_basis_changes(film: SigeFilm) -> None:
    steering, decisions, patterns, _ = steer(film)
    versions = [decision.basis_version for decision in decisions]
    assert versions[0] == 0
    assert versions[-1] >= 2
    feature = steering.feature
    np.testing.assert_allclose(steering.outcomes(), feature.transform(patterns), rtol=1e-12)
    changed = versions.index(1)
    frozen = make_feature("ref:x=0.45", film.axes)
    np.testing.assert_allclose(
        decisions[changed - 1].outcomes[: changed - 1],
        frozen.transform(patterns[: changed - 1]),
        rtol=1e-12,
    )


def test_observing_without_a_decision_is_refused(film: SigeFilm) -> None:
    with pytest.raises(RuntimeError, match="observe must follow decide"):
        build_steering(SETTINGS, film.axes).observe(None)


def test_a_map_is_predicted_from_the_outcomes_alone(film: SigeFilm) -> None:
    steering, decisions, _, _ = steer(film)
    places = np.array([(d.x, d.y) for d in decisions])
    mean, sd = predicted_map(SETTINGS, places, steering.outcomes())
    assert mean.shape == sd.shape == (49,)
    assert (sd >= 0).all()
    cell = int(np.argmax(steering.outcomes()))
    grid = np.array(np.meshgrid(PLACES, PLACES)).reshape(2, -1).T
    near = np.argmin(((grid - places[cell]) ** 2).sum(axis=1))
    assert mean[near] == pytest.approx(steering.outcomes()[cell], rel=0.15)


def test_a_named_agent_without_a_map_still_gives_one() -> None:
    settings = {**SETTINGS, "agent": "random", "agent_options": {}}
    mean, _ = predicted_map(settings, np.array([[0.0, 0.0], [150.0, 150.0]]), np.array([1.0, 9.0]))
    assert mean[-1] > mean[0]


def test_spectra_steer_as_well() -> None:
    settings = {**SETTINGS, "target": "total", "budget": 5}
    steering = build_steering(settings, FrameAxes.channels((1, 8)))
    for i in range(5):
        steering.decide()
        steering.observe(np.full(8, float(i)))
    assert steering.brightest_measured().value == 32.0
    assert steering.stop_reason() == "budget"


@pytest.mark.parametrize("n_axes", [1, 3])
def test_a_loop_on_one_or_three_axes_is_replayed_and_its_map_predicted(n_axes: int) -> None:
    names = ["x", "y", "z"][:n_axes]
    num = {1: 33, 3: 9}[n_axes]
    grid = {name: {"start": 0, "stop": 40, "num": num} for name in names}
    settings = {**SETTINGS, "target": "total", "grid": grid, "budget": 14}
    axes = FrameAxes.channels((1, 1))
    steering = build_steering(settings, axes)
    decisions, patterns = [], []
    for _ in range(settings["budget"]):
        decisions.append(steering.decide())
        position = np.array([getattr(decisions[-1], name) for name in names])
        patterns.append(np.array([100 * np.exp(-((position - 25) ** 2).sum() / 200)]))
        steering.observe(patterns[-1])
    again = replay(settings, axes, patterns)
    assert all(map(same_decision, decisions, again))
    absent = ["x", "y", "z"][n_axes:]
    assert all(np.isnan(getattr(decisions[-1], f"{of}{n}")) for of in ("", "best_") for n in absent)
    measured = np.array([[getattr(d, name) for name in names] for d in decisions])
    best = steering.brightest_measured()
    assert [getattr(best, name) for name in names] in measured.tolist()
    mean, _ = predicted_map(settings, measured, steering.outcomes())
    assert mean.shape == (num**n_axes,)


def test_an_error_names_the_position_on_the_axes_that_there_are() -> None:
    settings = {**SETTINGS, "target": "total", "grid": {"x": [0, 1, 2]}}
    steering = build_steering(settings, FrameAxes.channels((1, 1)))
    steering.decide()
    for _ in range(3):
        steering.observe(None)
    with pytest.raises(
        DetectorDeadError, match=r"in a row at x = \d, not finite or a full counter"
    ):
        steering.observe(None)
