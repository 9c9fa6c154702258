"""The points that an advice learns from are spread out, whatever their values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from bl_steer.analysis.advice.subset import MOST_POINTS, MOST_WORK, most_learnt, spread_out

SAME = np.ones(2)


@given(st.integers(1, 10**7))
def test_the_work_never_exceeds_its_limit(n_candidates: int) -> None:
    n = most_learnt(n_candidates)
    assert n <= MOST_POINTS
    assert n**2 * n_candidates <= MOST_WORK
    assert n == MOST_POINTS or (n + 1) ** 2 * n_candidates > MOST_WORK


@given(n=st.integers(1, 40), count=st.integers(1, 50), seed=st.integers(0, 99))
def test_as_many_as_asked_for_are_chosen_with_the_first_among_them(
    n: int, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    first = int(rng.integers(n))
    chosen = spread_out({"x": rng.random(n), "y": rng.random(n)}, count, first, scale=SAME)
    assert chosen.sum() == min(count, n)
    assert chosen[first]


def test_each_point_is_the_farthest_from_those_before_it() -> None:
    xy = np.random.default_rng(6).random((30, 2))
    order = [4]
    while len(order) < 8:
        order.append(int(cdist(xy, xy[order]).min(axis=1).argmax()))
    chosen = spread_out({"x": xy[:, 0], "y": xy[:, 1]}, 8, 4, scale=SAME)
    assert set(np.flatnonzero(chosen)) == set(order)


def test_points_at_one_position_are_all_chosen_once() -> None:
    chosen = spread_out({"x": np.zeros(5), "y": np.zeros(5)}, 5, 2, scale=SAME)
    assert chosen.all()


@pytest.mark.parametrize("count", [4, 5])
def test_corners_come_before_the_middle(count: int) -> None:
    points = {"x": np.array([0.0, 1.0, 0.0, 1.0, 0.5]), "y": np.array([0.0, 0.0, 1.0, 1.0, 0.5])}
    assert spread_out(points, count, 0, scale=SAME).tolist() == [True] * 4 + [count == 5]
