"""A map is searched and scored alike in whatever order a file lists its points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.plotting.maps import plot_map
from bl_steer.protocols import Array
from bl_steer.trials.trial import Trial, replay_trials
from simulators.film import RecordedMap

X, Y = np.meshgrid(5.0 * np.arange(12), 5.0 * np.arange(10))
VALUES = np.exp(-((X - 40) ** 2 + (Y - 10) ** 2) / 150) + np.exp(-((X - 10) ** 2 + Y**2) / 80) / 2
SHUFFLED = np.random.default_rng(0).permutation(X.size)


def _snake(a: Array) -> Array:
    return np.concatenate([row[:: -1 if n % 2 else 1] for n, row in enumerate(a)])


ORDERS: dict[str, Callable[[Array], Array]] = {
    "descending": lambda a: a[::-1, ::-1],
    "x descending": lambda a: a[:, ::-1],
    "transposed": lambda a: a.T,
    "a list": np.ravel,
    "a list along y": lambda a: a.T.ravel(),
    "a snake": _snake,
    "no order": lambda a: a.ravel()[SHUFFLED],
}


def searched(sample: RecordedMap) -> Trial:
    trials = replay_trials(
        lambda seed: sample, agents=["bayesian"], seeds=[3], target="total", budget=16
    )
    return next(trial for _, _, trial in trials)


@pytest.fixture(scope="module")
def ascending() -> Trial:
    return searched(RecordedMap(X, Y, VALUES))


@pytest.mark.parametrize("name", ORDERS)
def test_a_grid_in_any_order_is_searched_on_the_same_path(name: str, ascending: Trial) -> None:
    turn = ORDERS[name]
    trial = searched(RecordedMap(turn(X), turn(Y), turn(VALUES)))
    assert trial.score == ascending.score
    assert (trial.best_x, trial.best_y) == (40.0, 10.0)
    assert trial.score.found


def test_readbacks_of_a_grid_are_its_positions_not_candidates_of_their_own() -> None:
    jitter = np.random.default_rng(1).uniform(-0.02, 0.02, (2, *X.shape))
    sample = RecordedMap(X + jitter[0], Y + jitter[1], VALUES)
    assert sample.grid_shape == X.shape
    assert searched(sample).score.found
    assert len(np.unique(sample.grid[0])) == X.shape[1]


def test_scattered_points_in_any_order_are_searched_on_the_same_path() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0.0, 60.0, (2, 90))
    values = np.exp(-((x - 40) ** 2 + (y - 10) ** 2) / 150)
    turned = rng.permutation(90)
    first = searched(RecordedMap(x, y, values))
    assert searched(RecordedMap(x[turned], y[turned], values[turned])).score == first.score


@pytest.mark.parametrize("axis", [[0.0, 5.0, 10.0], [10.0, 5.0, 0.0], [5.0, 0.0, 10.0]])
def test_a_map_is_drawn_where_its_cells_are(axis: list[float]) -> None:
    space = Space.grid(axis, [0.0, 5.0])
    mesh = plot_map(space, space.points[:, 0]).collections[0]
    drawn = mesh.get_array().reshape(2, 3)
    edges = mesh.get_coordinates()[0, :, 0]
    centres = 0.5 * (edges[1:] + edges[:-1])
    np.testing.assert_allclose(drawn[0], centres)
