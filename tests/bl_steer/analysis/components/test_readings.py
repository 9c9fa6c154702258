"""What is no count becomes no component, whether or not the patterns have rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.components import ComponentParams, MapComponents
from bl_steer.analysis.components.readings import measured, value_of_count
from bl_steer.protocols import AnalysisResult, Array, Inputs
from simulators.film.sige_film import SigeFilm

N = 60
FRAMES = [{}, {"frame_shape": [33, 33]}]
"""Patterns without rows and columns, and with."""


@pytest.fixture(scope="module")
def counts() -> Array:
    film = SigeFilm("multi-domain", seed=1)
    x, y = film.grid
    chosen = np.random.default_rng(0).choice(len(x), N, replace=False)
    rates = 10.0 * film.rates(x[chosen], y[chosen]).reshape(N, -1)
    return np.random.default_rng(1).poisson(rates).astype(float)


def analyse(patterns: Any, metadata: dict[str, Any], **params: Any) -> AnalysisResult:
    arrays = {"patterns": patterns, "x": np.arange(N, dtype=float), "y": np.zeros(N)}
    return MapComponents().run(Inputs(arrays, metadata), ComponentParams(**params))


def narrowest(result: AnalysisResult) -> float:
    """Return the pixels that the narrowest component covers."""
    components = result.arrays["components"].reshape(4, -1)
    return float((components.sum(axis=1) ** 2 / (components**2).sum(axis=1)).min())


@pytest.mark.parametrize("metadata", FRAMES, ids=["a row", "a frame"])
@pytest.mark.parametrize(
    ("mark", "dtype", "where"),
    [
        (2**32 - 1, np.uint32, np.s_[:, 500:530]),
        (2**32 - 1, float, np.s_[:, 500:530]),
        (2**32 - 1, float, np.s_[5:50:4, 600]),
        (2**32 - 1, float, np.s_[5, 600]),
        (65535, np.uint16, np.s_[5, 600]),
        (65535, float, np.s_[5:50:4, 600]),
        (-1, np.int32, np.s_[:, 500:530]),
        (-2, float, np.s_[:, 500:530]),
    ],
)
def test_marks_of_gaps_and_full_counters_are_left_out_and_told(
    counts: Array, metadata: dict[str, Any], mark: int, dtype: type, where: Any
) -> None:
    patterns = counts.copy()
    patterns[where] = mark
    with_gaps = counts.copy()
    with_gaps[where] = np.nan
    result = analyse(patterns.astype(dtype), metadata)
    expected = analyse(with_gaps, metadata)
    for name, column in expected.tables["components"].items():
        np.testing.assert_array_equal(result.tables["components"][name], column)
    (warning,) = result.warnings
    assert f"hold a mark ({mark}) of a gap or a full counter" in warning
    assert ("peak is cut off: weaken the beam" in warning) == (where[0] != np.s_[:])


def test_marks_of_patterns_that_were_scaled_to_the_beam_are_told() -> None:
    counts = np.random.default_rng(0).poisson(1.0, (20, 40)).astype(float)
    scales = np.random.default_rng(1).uniform(0.5, 2.0, (20, 1))
    counts[:, 7], counts[:, 8], counts[3, 9] = 65535, 2**32 - 1, 65535
    counts[:, 10] = -1
    values = measured(counts * scales)
    assert np.isnan(values[:, [7, 8, 10]]).all()
    assert np.isnan(values).sum() == 61
    assert np.isnan(measured(np.full((2, 4), 0.3))).sum() == 0


def test_values_below_zero_of_a_background_are_no_marks_but_are_told(counts: Array) -> None:
    assert not np.isnan(measured(counts - 0.5)).any()
    assert not np.isnan(measured(counts - 3.0)).any()
    (warning,) = analyse(counts - 3.3, {}).warnings
    assert "values below 0 count as 0: their sum is 2.2 % of that of the values above" in warning


@pytest.mark.parametrize("factor", [0.0, -1.5])
def test_a_map_without_counts_is_refused(counts: Array, factor: float) -> None:
    with pytest.raises(ValueError, match="patterns must hold counts, got a sum of"):
        analyse(factor * counts, {})


@pytest.mark.parametrize(
    "patterns",
    [
        np.full((N, 100), 7.0),
        np.outer(np.linspace(1.0, 3.0, N), np.pi + np.sin(np.arange(100.0))),
        np.random.default_rng(3).poisson(3.0 + np.sin(np.arange(100.0)), (N, 100)),
    ],
    ids=["constant", "one pattern", "noise"],
)
def test_patterns_that_are_all_alike_are_told(patterns: Array) -> None:
    warnings = analyse(patterns, {"frame_shape": [10, 10]}).warnings
    assert any("patterns of all points are alike, but for their counts" in w for w in warnings)
    assert any("4 share it at will; ask for one" in w for w in warnings)
    assert analyse(patterns, {"frame_shape": [10, 10]}, n_components=1).warnings == []


def test_a_channel_that_stands_alone_in_a_row_is_told(counts: Array) -> None:
    assert analyse(counts, {}).warnings == []
    patterns = counts.copy()
    patterns[:, 500] += np.random.default_rng(2).poisson(5000.0, N)
    (warning,) = analyse(patterns, {}).warnings
    assert "1 channels (500) stand out alone at all points, with 5." in warning
    assert "lines one channel wide, or hot pixels" in warning
    patterns = counts.copy()
    patterns[7, 300] = 1e7
    assert any(
        "covers 1.0 channels, too few for a peak" in w for w in analyse(patterns, {}).warnings
    )


def test_what_a_zinger_holds_is_told_with_its_share_of_the_readings(counts: Array) -> None:
    patterns = counts.copy()
    patterns[7, 300] = 4e9
    result = analyse(patterns, {"frame_shape": [33, 33]})
    assert any(
        "0 bad pixels and 1 zingers are left out: 0.0015 % of the readings, with 99.9 %" in w
        for w in result.warnings
    )
    assert narrowest(result) > 50.0


@pytest.mark.parametrize("scale", [1e-3, 1e3, np.pi])
def test_shares_and_what_is_unexplained_do_not_depend_on_the_unit(
    counts: Array, scale: float
) -> None:
    for patterns in (counts, counts + 0.1 * np.pi):
        here, there = (analyse(factor * patterns, {}).tables for factor in (1.0, scale))
        for table, name in (("components", "share"), ("points", "unexplained")):
            np.testing.assert_allclose(there[table][name], here[table][name], rtol=1e-6)
        assert np.median(here["points"]["unexplained"]) > 0.01


def test_a_variance_tells_the_noise_of_patterns_that_are_no_counts(counts: Array) -> None:
    n = np.random.default_rng(3).integers(5, 60, counts.shape[1])  # pixels in each cell
    mean = counts / n
    arrays = {"patterns": mean, "variance": mean / n, "x": np.arange(N), "y": np.zeros(N)}
    told = MapComponents().run(Inputs(arrays), ComponentParams()).tables["points"]["unexplained"]
    count = value_of_count(mean, mean / n)
    np.testing.assert_allclose(count[mean.any(axis=0)], 1.0 / n[mean.any(axis=0)])
    assert np.isfinite(told).all()
    with pytest.raises(ValueError, match=r"variance must have the shape of patterns, got \(3,\)"):
        MapComponents().run(Inputs(arrays | {"variance": np.ones(3)}), ComponentParams())
