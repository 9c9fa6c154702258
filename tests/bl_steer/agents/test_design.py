"""Start designs: cells in order, and the farthest cell by another way of counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from bl_steer.agents.design import farthest_cell, first_free_cell
from bl_steer.agents.space import Space, SpaceExhausted

NONE = np.zeros((0, 2))


def cells(n: int, *indices: int) -> np.ndarray:
    barred = np.zeros(n, dtype=bool)
    barred[list(indices)] = True
    return barred


def test_the_first_free_cell_follows_the_order_and_not_the_numbers() -> None:
    assert first_free_cell(np.array([3, 0, 2, 1]), cells(4)) == 3
    assert first_free_cell(np.array([3, 0, 2, 1]), cells(4, 3, 0)) == 2


def test_a_space_without_a_free_cell_is_exhausted() -> None:
    with pytest.raises(
        SpaceExhausted, match="a cell left, got all 3 measured, pending, invalid or forbidden"
    ):
        first_free_cell(np.arange(3), np.ones(3, dtype=bool))


@given(st.permutations(range(12)), st.sets(st.integers(0, 11), max_size=11))
def test_no_cell_before_the_first_free_one_is_free(order: list[int], barred: set[int]) -> None:
    chosen = first_free_cell(np.array(order), cells(12, *barred))
    assert chosen not in barred
    assert set(order[: order.index(chosen)]) <= barred


def test_with_nothing_occupied_the_first_of_the_order_is_taken() -> None:
    space = Space.grid(np.arange(3.0), np.arange(3.0))
    order = np.roll(np.arange(9), 4)
    assert farthest_cell(space, occupied=NONE, barred=cells(9), order=order) == order[0]
    barred = cells(9, int(order[0]))
    assert farthest_cell(space, occupied=NONE, barred=barred, order=order) == order[1]


def test_an_exhausted_space_has_no_farthest_cell() -> None:
    space = Space.grid([0.0, 1.0], [0.0, 1.0])
    with pytest.raises(SpaceExhausted, match="finer grid"):
        farthest_cell(space, occupied=space.points, barred=~cells(4), order=np.arange(4))


def test_on_a_line_the_second_point_stands_between_the_first_and_the_mirror_at_the_rim() -> None:
    # From a point at 0, cell x is x away, and 2 (10.5 - x) from its image: equal at x = 7.
    space = Space.grid(np.arange(11.0), [0.0])
    chosen = farthest_cell(
        space, occupied=np.array([[0.0, 0.0]]), barred=cells(11, 0), order=np.arange(11)
    )
    assert chosen == 7


def test_ties_go_to_the_first_in_the_order() -> None:
    space = Space.grid(np.arange(5.0), np.arange(5.0))
    centre = np.array([[2.0, 2.0]])
    barred = cells(25, 12)
    corners = [space.index_of(x, y) for x, y in ((1, 1), (3, 1), (1, 3), (3, 3))]
    for first in corners:
        order = np.concatenate([[first], np.setdiff1d(np.arange(25), [first])])
        occupied = np.concatenate([centre, [[2.0, 0.0], [0.0, 2.0], [4.0, 2.0], [2.0, 4.0]]])
        assert farthest_cell(space, occupied=occupied, barred=barred, order=order) == first


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_the_farthest_cell_has_the_greatest_least_distance(seed: int, n_occupied: int) -> None:
    rng = np.random.default_rng(seed)
    space = Space.grid(np.arange(6.0), np.arange(4.0))
    occupied = rng.uniform([-0.5, -0.5], [5.5, 3.5], (n_occupied, 2))
    barred = cells(24, *rng.choice(24, 5, replace=False))
    chosen = farthest_cell(space, occupied=occupied, barred=barred, order=rng.permutation(24))
    x, y = space.points.T
    rim = 2.0 * np.min([x + 0.5, 5.5 - x, y + 0.5, 3.5 - y], axis=0)
    least = np.minimum(cdist(space.points, occupied).min(axis=1), rim)
    assert not barred[chosen]
    assert least[chosen] == pytest.approx(least[~barred].max(), rel=1e-9)
