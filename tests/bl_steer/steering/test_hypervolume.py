"""Fronts, the volume that they dominate, and what a further place is expected to add."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from bl_steer.protocols import Array
from bl_steer.steering import (
    dominated_volume,
    expected_hypervolume_improvement,
    non_dominated,
)
from bl_steer.steering.hypervolume import reference_values


def values_of(n_targets: int, n: int = 9, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(0.0, 10.0, (n, n_targets))


def test_no_place_of_a_front_is_beaten_and_every_other_one_is() -> None:
    values = np.vstack([values_of(3, 40), values_of(3, 40)[:3]])  # some are measured twice
    beaten = [
        any((other >= value).all() and (other > value).any() for other in values)
        for value in values
    ]
    np.testing.assert_array_equal(non_dominated(values), ~np.array(beaten))


def test_volume_of_a_staircase() -> None:
    values = np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 1.0]])
    assert dominated_volume(values, np.zeros(2)) == pytest.approx(3.0 + 2.0)


@pytest.mark.parametrize("n_targets", [2, 3])
def test_expected_improvement_is_that_of_quadrature(n_targets: int) -> None:
    values = values_of(n_targets)
    reference = reference_values(values)
    mean, sd = values_of(n_targets, 3, seed=1) + 5.0, values_of(n_targets, 3, seed=2) * 0.3 + 0.2
    expected = expected_hypervolume_improvement(mean, sd, values)
    # Probabilities of equal cells of each target's distribution: a sum over their product.
    n = {2: 32, 3: 12}[n_targets]
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    before = dominated_volume(values, reference)
    for place in range(3):
        draws = [mean[place, t] + sd[place, t] * quantiles for t in range(n_targets)]
        added = [
            dominated_volume(np.vstack([values, np.maximum(draw, reference)]), reference) - before
            for draw in product(*draws)
        ]
        assert expected[place] == pytest.approx(np.mean(added), rel=0.05, abs=0.05)


def test_a_sure_place_adds_what_it_adds() -> None:
    values = np.array([[3.0, 1.0], [1.0, 3.0], [0.0, 0.0]])
    reference = reference_values(values)
    place = np.array([[2.5, 2.5]])
    expected = expected_hypervolume_improvement(place, np.full((1, 2), 1e-9), values)
    added = dominated_volume(np.vstack([values, place]), reference) - dominated_volume(
        values, reference
    )
    assert expected == pytest.approx([added])


def test_the_brightest_place_of_each_target_counts() -> None:
    values = np.array([[9.0, 0.0], [0.0, 9.0], [1.0, 1.0]])
    reference = reference_values(values)
    for end in (values[0], values[1]):
        rest = values[(values != end).any(axis=1)]
        assert dominated_volume(values, reference) > dominated_volume(rest, reference)
