from __future__ import annotations

import numpy as np
import pytest

from bl_steer.steering import score

POINTS = np.column_stack([np.tile(np.arange(5) * 5.0, 5), np.repeat(np.arange(5) * 5.0, 5)])
TRUTH = np.exp(-((POINTS[:, 0] - 10.0) ** 2 + (POINTS[:, 1] - 10.0) ** 2) / 30.0)
A = np.array([10.0, 10.0])


def test_a_neighbour_of_the_best_cell_is_found_but_is_not_the_best_cell() -> None:
    result = score(np.array([[0.0, 0.0], [15.0, 10.0]]), A, POINTS, TRUTH, reach=5.0)
    assert (result.n_to_found, result.n_to_95, result.n_to_best_cell) == (2, None, None)
    assert result.found


def test_a_diagonal_neighbour_is_too_far() -> None:
    result = score(np.array([[15.0, 15.0]]), A, POINTS, TRUTH, reach=5.0)
    assert result.n_to_found is None
    assert not result.found


def test_nothing_is_found_when_another_spot_is_reported() -> None:
    result = score(A[None], np.array([0.0, 20.0]), POINTS, TRUTH, reach=5.0)
    assert result.n_to_best_cell == 1
    assert not result.found


def test_a_bright_rival_far_away_counts() -> None:
    truth = TRUTH.copy()
    truth[0] = 0.96
    result = score(np.array([[0.0, 0.0]]), np.zeros(2), POINTS, truth, reach=5.0)
    assert (result.n_to_found, result.n_to_95, result.n_to_best_cell) == (1, 1, None)
    assert result.found


def test_repeats_are_measured_but_not_distinct() -> None:
    result = score(np.array([[0.0, 0.0], [0.0, 0.0], A]), A, POINTS, TRUTH, reach=5.0)
    assert (result.n_measured, result.n_distinct, result.n_to_best_cell) == (3, 2, 3)


def test_the_path_is_the_sum_of_the_steps() -> None:
    result = score(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]), A, POINTS, TRUTH, reach=5.0)
    assert result.path == pytest.approx(9.0)


def test_the_maximum_of_a_negative_map_is_found() -> None:
    result = score(A[None], A, POINTS, TRUTH - 2.0, reach=5.0)
    assert (result.n_to_95, result.n_to_best_cell) == (1, 1)
    assert result.found
