from __future__ import annotations

import numpy as np
import pytest

from bl_steer.analysis.advice import AdviceParams, SteeringAdvice
from bl_steer.analysis.digest import digest_of
from bl_steer.protocols import Inputs

PEAK = (70.0, 40.0)


def points(n: int = 25, *, seed: int = 0) -> Inputs:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, 100, n), rng.uniform(0, 60, n)
    hill = 200 * np.exp(-((x - PEAK[0]) ** 2 + (y - PEAK[1]) ** 2) / 300)
    return Inputs({"x": x, "y": y, "value": hill + 10}, {"unit": "um"})


def test_the_next_points_are_near_the_true_maximum() -> None:
    result = SteeringAdvice().run(points(), AdviceParams())
    found = result.tables["suggestions"]
    assert len(found["x"]) == 5
    away = np.hypot(found["x"] - PEAK[0], found["y"] - PEAK[1])
    assert away.min() < 5.0
    assert len({*zip(found["x"], found["y"], strict=True)}) == 5
    assert result.arrays["expected"].shape == (
        len(result.arrays["grid_y"]),
        len(result.arrays["grid_x"]),
    )


def test_a_minimum_is_found_like_a_maximum_turned_round() -> None:
    given = points()
    turned = Inputs({**given.arrays, "value": -given.arrays["value"]})
    result = SteeringAdvice().run(turned, AdviceParams(goal="lowest"))
    found = result.tables["suggestions"]
    assert np.hypot(found["x"] - PEAK[0], found["y"] - PEAK[1]).min() < 5.0
    assert result.tables["best"]["value"][0] == turned.arrays["value"].min()


def test_the_same_points_give_the_same_digest() -> None:
    first, second = (SteeringAdvice().run(points(), AdviceParams()) for _ in range(2))
    other = SteeringAdvice().run(points(), AdviceParams(seed=1, method="sobol"))
    assert digest_of(first) == digest_of(second) != digest_of(other)


def test_methods_that_learn_nothing_expect_nothing_and_load_no_map() -> None:
    result = SteeringAdvice().run(points(), AdviceParams(method="sobol"))
    assert np.isnan(result.tables["suggestions"]["expected"]).all()
    assert dict(result.arrays) == {}


def test_points_without_a_value_are_left_out_and_told_of() -> None:
    given = points(6)
    given.arrays["value"][:3] = np.nan
    result = SteeringAdvice().run(given, AdviceParams(method="sobol"))
    assert "3 points without" in result.warnings[0]
    assert "only 3 points" in result.warnings[1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": [1.0, 2.0], "y": [1.0, 2.0]}, "value is missing"),
        ({"x": [1.0, 2.0], "y": [1.0, 2.0], "value": [1.0, 2.0]}, "at least 3 points"),
        ({"x": [1.0] * 4, "y": [1.0, 2, 3, 4], "value": [1.0] * 4}, "span an area"),
        ({"x": [1.0, 2, 3], "y": [1.0, 2.0], "value": [1.0, 2.0]}, "one length"),
    ],
)
def test_what_is_no_set_of_points_is_refused(arrays: dict[str, list[float]], message: str) -> None:
    given = Inputs({key: np.array(column) for key, column in arrays.items()})
    with pytest.raises(ValueError, match=message):
        SteeringAdvice().run(given, AdviceParams())


def test_a_pitch_that_gives_too_many_places_is_refused() -> None:
    with pytest.raises(ValueError, match="2 to 40000 places"):
        SteeringAdvice().run(points(), AdviceParams(pitch=0.01))


@pytest.mark.parametrize("method", ["bayesian", "sobol"])
def test_the_picture_shows_points_and_numbered_suggestions(method: str) -> None:
    result = SteeringAdvice().run(points(), AdviceParams(method=method, n_points=3))
    figure = result.figures["advice"]()
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ["1", "2", "3"]
    assert figure.axes[0].get_xlabel() == "x (µm)"


def test_more_points_than_can_be_learnt_from_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 5000 points, got 5001"):
        SteeringAdvice().run(points(5001), AdviceParams())
