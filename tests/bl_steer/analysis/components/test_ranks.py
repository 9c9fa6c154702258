"""The number of components, on counts that are made of a known number and on what is no count."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.analysis.components import ComponentParams, MapComponents
from bl_steer.analysis.components.ranks import knee_of, rank_table
from bl_steer.analysis.components.readings import whole_counts
from bl_steer.protocols import Array, Inputs
from simulators.film.sige_film import SigeFilm


def mixture(n_components: int, height: float) -> Array:
    """Counts of lines that do not overlap much, at 200 points."""
    rng = np.random.default_rng(4)
    channel = np.arange(80.0)
    centres = np.linspace(8.0, 72.0, n_components)
    lines = np.exp(-((channel - centres[:, None]) ** 2) / 30.0)
    return rng.poisson(rng.gamma(1.0, height, (200, n_components)) @ lines).astype(float)


@pytest.mark.parametrize("n_components", [2, 3, 5])
@pytest.mark.parametrize("height", [3.0, 300.0])
def test_counts_of_so_many_lines_have_so_many_components(n_components: int, height: float) -> None:
    table = rank_table(mixture(n_components, height), 8)
    assert table["n_components"][table["is_least"]] == n_components
    assert table["n_components"][table["is_knee"]] == n_components
    assert table["misfit"].min() == pytest.approx(1.0, abs=0.1)


def test_a_film_of_four_patterns_has_its_knee_at_four_though_the_misfit_falls_on() -> None:
    film = SigeFilm("multi-domain", seed=0)
    x, y = (values.ravel() for values in np.meshgrid(*2 * [np.linspace(0.0, 150.0, 16)]))
    rates = film.rates(x, y).reshape(len(x), -1)
    patterns = np.random.default_rng(1).poisson(10.0 * rates).astype(float)
    arrays = {"patterns": patterns, "x": x, "y": y, "qx": film.axes.qx, "qz": film.axes.qz}
    result = MapComponents().run(Inputs(arrays), ComponentParams(max_components=8))
    ranks = result.tables["ranks"]
    assert ranks["n_components"].tolist() == list(range(1, 9))
    assert ranks["n_components"][ranks["is_knee"]] in (3, 4)
    assert ranks["n_components"][ranks["is_least"]] > 4
    ax = result.figures["ranks"]().axes[0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0].startswith("knee: ")


def test_a_curve_that_rises_has_its_least_value_for_knee() -> None:
    assert knee_of(np.array([1.0, 1.1, 1.2, 1.3])) == 1
    assert knee_of(np.array([1.0, 0.9, 1.2, 1.3])) == 2
    assert knee_of(np.array([2.0, 1.0])) == 2


def test_patterns_that_were_scaled_as_a_whole_are_counts_still() -> None:
    counts = np.random.default_rng(3).poisson(2.0, (5, 40)).astype(float)
    scaled = counts * np.array([1.0, 1.03, 0.5, 7.1e-4, 1e6])[:, None]
    np.testing.assert_array_equal(np.asarray(whole_counts(scaled)), counts)
    assert whole_counts(counts + 0.3) is None
    counts[2, 5] = np.nan
    assert np.isnan(whole_counts(counts)[2, 5])  # type: ignore[index]


def test_what_is_no_count_is_said_to_give_no_curve() -> None:
    patterns = np.random.default_rng(3).gamma(2.0, 1.0, (20, 30))
    inputs = Inputs({"patterns": patterns, "x": np.arange(20.0), "y": np.zeros(20)})
    result = MapComponents().run(inputs, ComponentParams(n_components=2, max_components=4))
    assert "ranks" not in result.tables
    assert "the patterns are no counts" in result.warnings[-1]
