"""The components of a map, against scikit-learn and against a film whose truth is known."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis import digest_of
from bl_steer.analysis.components.analysis import ComponentParams, MapComponents
from bl_steer.protocols import AnalysisResult, Array, Inputs
from simulators.film.sige_film import SigeFilm

REFERENCE = "x=0.45,R=0.9,tilt=0"


@pytest.fixture(scope="module")
def film() -> SigeFilm:
    return SigeFilm("multi-domain", seed=10)


@pytest.fixture(scope="module")
def inputs(film: SigeFilm) -> Inputs:
    """A noisy map of 16×16 points."""
    x, y = (values.ravel() for values in np.meshgrid(*2 * [np.linspace(0.0, 150.0, 16)]))
    rates = film.rates(x, y).reshape(len(x), -1)
    patterns = np.random.default_rng(1).poisson(10.0 * rates).astype(float)
    arrays = {"patterns": patterns, "x": x, "y": y, "qx": film.axes.qx, "qz": film.axes.qz}
    return Inputs(arrays, {"unit": "um"})


@pytest.fixture(scope="module")
def factorised(inputs: Inputs) -> AnalysisResult:
    return analyse(inputs, reference=REFERENCE)


def analyse(inputs: Inputs, **params: Any) -> AnalysisResult:
    return MapComponents().run(inputs, ComponentParams(**params))


def coefficients(result: AnalysisResult) -> Array:
    points = result.tables["points"]
    return np.column_stack([points[key] for key in points if key.startswith("c")])


def test_the_named_component_is_the_ge_rich_population_and_lies_where_it_is(
    factorised: AnalysisResult, film: SigeFilm, inputs: Inputs
) -> None:
    table = factorised.tables["components"]
    (named,) = np.flatnonzero(table["is_reference"])
    assert table["reference_cosine"][named] > 0.97
    truth = film.fields.rich_fraction(inputs.arrays["x"], inputs.arrays["y"])
    assert np.corrcoef(coefficients(factorised)[:, named], truth)[0, 1] > 0.98


def test_it_explains_as_much_as_scikit_learn_with_the_same_weights(inputs: Inputs) -> None:
    from sklearn.decomposition import NMF

    patterns = np.asarray(inputs.arrays["patterns"])
    rows, columns = (np.sqrt(patterns.mean(axis=axis)) for axis in (1, 0))
    weights = rows[:, None] * columns
    own = analyse(inputs)
    fitted = coefficients(own) @ own.arrays["components"].reshape(4, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMF(4, init="nndsvda", max_iter=500, random_state=3)
        expected = model.fit_transform(patterns / weights) @ model.components_ * weights
    own_left, expected_left = (
        np.linalg.norm((patterns - fit) / weights) for fit in (fitted, expected)
    )
    assert own_left <= 1.005 * expected_left


@pytest.mark.parametrize("seed", [2, 5])
def test_hot_pixels_do_not_become_a_component(seed: int) -> None:
    """Without the masks, correlations of .20 and .13 with the Ge-rich population."""
    film = SigeFilm("noisy", seed=seed)
    x, y = film.grid
    shots = [film.expose(x[i], y[i], exposure_s=10, time_s=0, shot=i)[0] for i in range(len(x))]
    patterns = np.reshape(shots, (len(x), -1))
    arrays = {"patterns": patterns, "x": x, "y": y, "qx": film.axes.qx, "qz": film.axes.qz}
    result = analyse(Inputs(arrays))
    truth = film.fields.rich_fraction(x, y)
    likeness = [np.corrcoef(column, truth)[0, 1] for column in coefficients(result).T]
    assert max(likeness) > 0.96
    assert any(text.startswith("3 bad pixels and ") for text in result.warnings)


def test_cells_that_nothing_fell_into_are_left_out(inputs: Inputs, film: SigeFilm) -> None:
    patterns = np.array(inputs.arrays["patterns"])
    patterns[:, :200] = np.nan  # at no point
    patterns[np.random.default_rng(5).random(patterns.shape) < 0.2] = np.nan
    result = analyse(replace(inputs, arrays={**inputs.arrays, "patterns": patterns}))
    components = result.arrays["components"]
    assert components.reshape(4, -1)[:, :200].max() == 0.0
    truth = film.fields.rich_fraction(inputs.arrays["x"], inputs.arrays["y"])
    likeness = [np.corrcoef(column, truth)[0, 1] for column in coefficients(result).T]
    assert max(likeness) > 0.97
    assert all(np.isfinite(values).all() for values in result.arrays.values())


def test_a_component_of_a_few_pixels_is_warned_of() -> None:
    rng = np.random.default_rng(3)
    patterns = rng.poisson(5.0, (40, 100)).astype(float)
    patterns[::2, 44:46] += 500.0
    result = analyse(
        Inputs(
            {"patterns": patterns, "x": np.arange(40.0), "y": np.zeros(40)},
            {"frame_shape": [10, 10]},
        ),
        n_components=2,
    )
    assert any(re.search(r"covers [2-5]\.\d pixels, too few", text) for text in result.warnings)


def test_components_have_height_one_and_come_by_their_share(factorised: AnalysisResult) -> None:
    table, components = factorised.tables["components"], factorised.arrays["components"]
    assert components.shape == (4, 33, 33)
    assert components.min() >= 0.0
    np.testing.assert_allclose(components.max(axis=(1, 2)), 1.0)
    assert np.all(np.diff(table["share"]) <= 0)
    assert np.all(table["share_low"] < table["share"])
    assert np.all(table["share"] < table["share_high"])
    assert table["share"].sum() == pytest.approx(1.0, abs=0.03)
    assert coefficients(factorised).min() >= 0.0


def test_the_interval_of_a_share_is_that_of_the_closed_form(inputs: Inputs) -> None:
    """A share is a ratio of sums over points, whose variance is known for many points."""
    result = analyse(inputs, n_bootstrap=5000)
    table, heights = result.tables["components"], coefficients(result)
    counts = heights * result.arrays["components"].sum(axis=(1, 2))
    totals = np.asarray(inputs.arrays["patterns"]).sum(axis=1)
    share = counts.sum(axis=0) / totals.sum()
    sd = np.sqrt(((counts - share * totals[:, None]) ** 2).sum(axis=0)) / totals.sum()
    np.testing.assert_allclose(table["share"], share, rtol=1e-3)
    np.testing.assert_allclose(table["share_high"] - table["share_low"], 2 * 1.96 * sd, rtol=0.06)


def test_equal_inputs_give_equal_digests_and_another_seed_another(inputs: Inputs) -> None:
    assert digest_of(analyse(inputs)) == digest_of(analyse(replace(inputs, source={"run": "b"})))
    assert digest_of(analyse(inputs)) != digest_of(analyse(inputs, seed=1))


def test_a_phase_that_is_not_there_is_said_to_be_missing(inputs: Inputs) -> None:
    result = analyse(inputs, n_components=2, reference="ellipse:2.335,2.245,.002,.002")
    if not result.tables["components"]["is_reference"].any():
        assert "no component is like the reference" in result.warnings[0]


def test_spectra_without_q_are_factorised_by_channel() -> None:
    rng = np.random.default_rng(2)
    lines = np.array([[0, 5, 1, 0, 0, 0], [0, 0, 0, 1, 5, 1.0]])
    patterns = rng.uniform(0, 100, (30, 2)) @ lines
    result = analyse(
        Inputs({"patterns": patterns, "x": np.arange(30.0), "y": np.zeros(30)}), n_components=2
    )
    assert result.arrays["components"].shape == (2, 1, 6)
    assert sorted(result.tables["components"]["peak_channel"]) == [1.0, 4.0]
    assert result.arrays["residual"] == pytest.approx(0.0, abs=0.5)


def test_figures_carry_units_and_shares(factorised: AnalysisResult) -> None:
    maps, patterns = (factorised.figures[name]() for name in ("maps", "patterns"))
    assert maps.axes[0].get_xlabel() == "x (µm)"
    assert patterns.axes[0].get_ylabel() == "$q_z$ (1/Å)"
    assert "%" in maps.axes[0].get_title()


BAD = [
    ({"patterns": np.ones((3, 4))}, "must have the arrays patterns, x and y, got"),
    ({"patterns": np.ones((3, 4)), "x": np.ones(2), "y": np.ones(2)}, "one row, x and y for each"),
    ({"patterns": np.full((3, 4), np.nan), "x": np.ones(3), "y": np.ones(3)}, "must hold finite"),
    ({"patterns": np.ones((3, 4)), "x": np.ones(3), "y": np.ones(3)}, "must lie in 1 … 3"),
]


@pytest.mark.parametrize(("arrays", "text"), BAD, ids=lambda value: str(value)[:30])
def test_what_is_no_map_is_refused(arrays: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        analyse(Inputs(arrays))


def test_a_reference_is_written_as_in_a_target() -> None:
    assert ComponentParams(reference="ref:x=.45").reference == REFERENCE
    with pytest.raises(ValueError, match="reference must be"):
        ComponentParams(reference="the bright one")
