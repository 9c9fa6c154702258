from __future__ import annotations

import numpy as np
import pytest

from bl_steer.analysis.advice.analysis import AdviceParams, SteeringAdvice
from bl_steer.processing.digest import digest_of
from bl_steer.protocols import Inputs

PEAK = (70.0, 40.0)


def points(n: int = 25, *, seed: int = 0) -> Inputs:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, 100, n), rng.uniform(0, 60, n)
    hill = 200 * np.exp(-((x - PEAK[0]) ** 2 + (y - PEAK[1]) ** 2) / 300)
    return Inputs({"x": x, "y": y, "value": hill + 10}, {"unit": "um"})


def test_the_next_points_are_near_the_true_maximum() -> None:
    result = SteeringAdvice().run(points(), AdviceParams())
    suggestions = result.tables["suggestions"]
    assert len(suggestions["x"]) == 5
    away = np.hypot(suggestions["x"] - PEAK[0], suggestions["y"] - PEAK[1])
    assert away.min() < 5.0
    assert len({*zip(suggestions["x"], suggestions["y"], strict=True)}) == 5
    assert result.arrays["expected"].shape == (
        len(result.arrays["grid_y"]),
        len(result.arrays["grid_x"]),
    )


def test_a_minimum_is_found_like_a_maximum_turned_round() -> None:
    inputs = points()
    turned = Inputs({**inputs.arrays, "value": -inputs.arrays["value"]})
    result = SteeringAdvice().run(turned, AdviceParams(goal="lowest"))
    suggestions = result.tables["suggestions"]
    assert np.hypot(suggestions["x"] - PEAK[0], suggestions["y"] - PEAK[1]).min() < 5.0
    assert result.tables["best"]["value"][0] == turned.arrays["value"].min()


def test_a_bright_value_with_much_noise_is_not_the_best() -> None:
    inputs = points()
    value, noise_ratio = inputs.arrays["value"].copy(), np.ones(25)
    true_best = int(value.argmax())
    dark = int(value.argmin())
    value[dark], noise_ratio[dark] = 1.5 * value.max(), 10.0
    arrays = {**inputs.arrays, "value": value}
    result = SteeringAdvice().run(Inputs(arrays | {"noise_ratio": noise_ratio}), AdviceParams())
    assert result.tables["best"]["value"].tolist() == [value[true_best]]
    result = SteeringAdvice().run(Inputs(arrays), AdviceParams())
    assert result.tables["best"]["value"].tolist() == [value[dark]]


def test_the_same_points_give_the_same_digest() -> None:
    first, second = (SteeringAdvice().run(points(), AdviceParams()) for _ in range(2))
    other = SteeringAdvice().run(points(), AdviceParams(seed=1, method="sobol"))
    assert digest_of(first) == digest_of(second) != digest_of(other)


def test_methods_that_learn_nothing_expect_nothing_and_load_no_map() -> None:
    result = SteeringAdvice().run(points(), AdviceParams(method="sobol"))
    assert np.isnan(result.tables["suggestions"]["expected"]).all()
    assert dict(result.arrays) == {}


def test_points_without_a_value_are_left_out_and_told_of() -> None:
    inputs = points(6)
    inputs.arrays["value"][:3] = np.nan
    result = SteeringAdvice().run(inputs, AdviceParams(method="sobol"))
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
    inputs = Inputs({key: np.array(column) for key, column in arrays.items()})
    with pytest.raises(ValueError, match=message):
        SteeringAdvice().run(inputs, AdviceParams())


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


def test_the_map_fills_its_axes_and_is_named_with_the_values_of_the_file() -> None:
    inputs = points()
    source = {"columns": {"x": "x (um)", "y": "y (um)", "value": "強度 (counts)"}}
    result = SteeringAdvice().run(Inputs(inputs.arrays, inputs.metadata, source), AdviceParams())
    figure = result.figures["advice"]()
    ax, beside = figure.axes
    corners = ax.collections[0].get_coordinates()
    np.testing.assert_allclose(ax.get_xlim(), corners[0, [0, -1], 0])
    np.testing.assert_allclose(ax.get_ylim(), corners[[0, -1], 0, 1])
    assert beside.get_xlim() == ax.get_xlim()
    inside = (inputs.arrays["x"] >= ax.get_xlim()[0]) & (inputs.arrays["x"] <= ax.get_xlim()[1])
    assert inside.all()
    bars = [panel.child_axes[0].get_ylabel() for panel in (ax, beside)]
    assert bars == ["強度 (counts)", "± 1 sd, 強度 (counts)"]


def test_of_many_points_some_are_learnt_from_and_none_is_suggested_again() -> None:
    x, y = (part.ravel() for part in np.meshgrid(np.arange(60.0), np.arange(50.0)))
    hill = 200 * np.exp(-((x - 41) ** 2 + (y - 23) ** 2) / 60)
    holes = np.random.default_rng(0).choice(len(x), 12, replace=False)
    finite = np.setdiff1d(np.arange(len(x)), holes)
    inputs = Inputs({"x": x[finite], "y": y[finite], "value": hill[finite]})
    result = SteeringAdvice().run(inputs, AdviceParams(pitch=1.0, n_points=4))
    assert "learnt from 258 of the 2988 points" in result.warnings[0]
    suggestions = result.tables["suggestions"]
    holes_left = {(float(x[k]), float(y[k])) for k in holes}
    assert {*zip(suggestions["x"].tolist(), suggestions["y"].tolist(), strict=True)} <= holes_left
    assert result.arrays["expected"][23, 41] == pytest.approx(200, abs=10)


@pytest.mark.parametrize("method", ["bayesian", "sobol"])
def test_a_grid_that_is_measured_throughout_leaves_nothing_to_suggest_and_says_so(
    method: str,
) -> None:
    x, y = (part.ravel() for part in np.meshgrid(np.arange(6.0), np.arange(5.0)))
    inputs = Inputs({"x": x, "y": y, "value": x + y})
    result = SteeringAdvice().run(inputs, AdviceParams(method=method, pitch=1.0))
    assert len(result.tables["suggestions"]["x"]) == 0
    assert "Nothing is left to suggest: all of the 30 places" in result.warnings[0]
    assert len(result.figures["advice"]().axes[0].texts) == 0
    others = np.arange(len(x)) != 7
    inputs = Inputs({key: column[others] for key, column in inputs.arrays.items()})
    result = SteeringAdvice().run(inputs, AdviceParams(method=method, pitch=1.0))
    assert "Only 1 of 5 points are suggested" in result.warnings[0]


def test_axes_of_unlike_units_are_advised_alike_and_the_user_is_told() -> None:
    inputs = points()
    in_mm = Inputs({**inputs.arrays, "y": inputs.arrays["y"] * 1e-3})
    square = Inputs({**inputs.arrays, "y": inputs.arrays["y"] * 5 / 3})
    mixed, same = (SteeringAdvice().run(i, AdviceParams()) for i in (in_mm, square))
    assert mixed.arrays["expected"].shape == (31, 31)
    away = mixed.tables["suggestions"]["y"] * 1e3 - PEAK[1]
    assert np.hypot(mixed.tables["suggestions"]["x"] - PEAK[0], away).min() < 5.0
    assert any("units of their own" in text for text in mixed.warnings)
    assert not any("units of their own" in text for text in same.warnings)


def test_lengths_in_two_units_are_compared_in_one_and_given_in_their_own() -> None:
    """Twice as wide as high, whatever the units: the advice is the same."""
    both_um = points()
    as_told = Inputs({**both_um.arrays, "x": both_um.arrays["x"] * 1e-3}, {"unit": "mm,um"})
    asked = AdviceParams(pitch=1.0, n_points=3), AdviceParams(pitch=1e-3, n_points=3)
    same, mixed = (
        SteeringAdvice().run(inputs, params)
        for inputs, params in zip((both_um, as_told), asked, strict=True)
    )
    for name, factor in (("x", 1e3), ("y", 1.0)):
        found = mixed.tables["suggestions"][name] * factor
        assert found == pytest.approx(same.tables["suggestions"][name], abs=1e-6)
        assert mixed.tables["best"][name] * factor == pytest.approx(same.tables["best"][name])
    assert mixed.arrays["grid_y"] == pytest.approx(same.arrays["grid_y"])
    assert mixed.arrays["expected"] == pytest.approx(same.arrays["expected"], rel=1e-3)
    assert any("the pitch, are in mm" in text for text in mixed.warnings)
    drawn, alike = (one.figures["advice"]().axes[0] for one in (mixed, same))
    assert drawn.get_box_aspect() == pytest.approx(alike.get_box_aspect())
    assert drawn.get_ylim() == pytest.approx(alike.get_ylim())


def test_a_pitch_over_units_that_cannot_be_compared_is_refused() -> None:
    turned = Inputs(points().arrays, {"unit": "mm,deg"})
    with pytest.raises(ValueError, match="got 2 for x in mm and y in deg; leave it out"):
        SteeringAdvice().run(turned, AdviceParams(pitch=2.0))
    result = SteeringAdvice().run(turned, AdviceParams())
    assert result.arrays["expected"].shape == (31, 31)
    assert any("cannot be compared" in text for text in result.warnings)


def test_candidates_in_one_row_are_told() -> None:
    inputs = points()
    flat = Inputs({**inputs.arrays, "y": inputs.arrays["y"] * 1e-3})
    result = SteeringAdvice().run(flat, AdviceParams(pitch=5.0))
    assert len(set(result.tables["suggestions"]["y"])) == 1
    assert any("lie in one row, for y spans" in text for text in result.warnings)


def test_values_that_are_all_one_tell_no_deviation() -> None:
    inputs = points(8)
    inputs.arrays["value"][:] = 5.0
    result = SteeringAdvice().run(inputs, AdviceParams(n_points=2))
    assert np.isnan(result.tables["suggestions"]["sd"]).all()
    assert np.isnan(result.arrays["sd"]).all()
    np.testing.assert_allclose(result.tables["suggestions"]["expected"], 5.0)
    assert any("sd is NaN" in warning for warning in result.warnings)
    assert [ax.get_title() for ax in result.figures["advice"]().axes[:1]] == ["Expected value"]
