"""Blocks against a slow count, and intervals against the theory of sampling."""

from __future__ import annotations

import itertools
from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.analysis.structure.blocks import MIN_BLOCKS, MIN_EDGE, Blocks, Draws, interval
from bl_steer.analysis.structure.directions import (
    Directions,
    flat_range,
    primitive_offsets,
    sphere_shares,
)

shapes = st.tuples(*[st.integers(1, 40)] * 3)


@given(shapes, st.integers(1, 6))
def test_blocks_are_of_nearly_equal_size_and_none_is_smaller_than_it_may_be(
    shape: tuple[int, int, int], per_axis: int
) -> None:
    blocks = Blocks.of(shape, per_axis)
    assert len(blocks) == np.prod(blocks.shape)
    for n, parts, edges in zip(shape, blocks.shape, blocks.edges, strict=True):
        sizes = np.diff(edges)
        assert sizes.sum() == n
        assert np.ptp(sizes) <= 1
        assert parts <= per_axis
        assert parts == 1 or sizes.min() >= MIN_EDGE


@given(shapes, st.integers(1, 4))
def test_every_voxel_has_the_number_of_its_block(
    shape: tuple[int, int, int], per_axis: int
) -> None:
    blocks = Blocks.of(shape, per_axis)
    rows, columns, x_edges = blocks.numbers(0, shape[0])
    x = np.searchsorted(x_edges, np.arange(shape[2]), side="right") - 1
    numbers = rows[:, None, None] + columns[:, None] + x
    sizes = [np.diff(edges) for edges in blocks.edges]
    expected = np.einsum("i,j,k->ijk", *sizes).ravel()
    np.testing.assert_array_equal(np.bincount(numbers.ravel()), expected)


@given(
    st.tuples(*[st.integers(1, 18)] * 3),
    st.tuples(*[st.integers(-2, 2)] * 3),
    st.booleans(),
)
def test_positions_of_a_pair_are_those_that_a_loop_counts(
    shape: tuple[int, int, int], offset: tuple[int, int, int], all_inside: bool
) -> None:
    blocks = Blocks.of(shape, 2)
    positions = blocks.positions(np.array([(0, 0, 0), offset]), all_inside=all_inside)
    rows, columns, x_edges = blocks.numbers(0, shape[0])
    expected = np.zeros(len(blocks), int)
    for z, y, x in itertools.product(*map(range, shape)):
        partner = np.add((z, y, x), offset)
        if not all_inside or ((partner >= 0) & (partner < shape)).all():
            part = np.searchsorted(x_edges, x, side="right") - 1
            expected[rows[z] + columns[y] + part] += 1
    np.testing.assert_array_equal(positions, expected)


def test_draws_take_as_many_blocks_as_there_are_and_the_seed_decides() -> None:
    draws = Draws.of(20, 300, 7)
    np.testing.assert_array_equal(draws.times.sum(axis=1), 20)
    np.testing.assert_array_equal(draws.times, Draws.of(20, 300, 7).times)
    assert not np.array_equal(draws.times, Draws.of(20, 300, 8).times)


def test_sums_over_draws_are_those_of_the_blocks_drawn() -> None:
    draws = Draws.of(9, 5, 1)
    counts = np.random.default_rng(2).integers(0, 1000, (9, 2, 3))
    expected = [
        sum(int(n) * block for n, block in zip(times, counts, strict=True)) for times in draws.times
    ]
    np.testing.assert_array_equal(draws.sums(counts), expected)


def test_too_few_blocks_are_not_drawn_and_leave_the_interval_open() -> None:
    draws = Draws.of(MIN_BLOCKS - 1, 100, 0)
    assert len(draws.times) == 0
    low, high = interval(np.array([1.0, 2.0]), draws.sums(np.ones((7, 2), int)), 7)
    assert np.isnan([low, high]).all()


def test_the_interval_of_a_mean_is_that_of_normal_theory() -> None:
    n, spread = 64, 3.0
    values = np.random.default_rng(3).normal(100.0, spread, n)
    draws = Draws.of(n, 20_000, 5)
    means = draws.times @ values / n
    low, high = interval(values.mean()[None], means[:, None], n)
    # The bootstrap draws from the sample's own variance, which the widening makes unbiased.
    half = 1.96 * values.std(ddof=1) / np.sqrt(n)
    assert high[0] - values.mean() == pytest.approx(half, rel=0.05)
    assert values.mean() - low[0] == pytest.approx(half, rel=0.05)


def test_the_interval_of_an_amount_ends_where_amounts_do() -> None:
    # One block in eight holds all of it: drawn three times, or never.
    draws = Draws.of(8, 500, 0)
    amount = np.eye(8)[0]
    low, high = interval(np.array([1.0]), draws.sums(8 * amount[:, None].astype(int)) / 8, 8)
    assert low[0] == 0.0
    assert not np.signbit(low[0])
    assert high[0] > 2.0
    share = 1 - 0.125 * draws.sums(amount[:, None].astype(int))
    low, high = interval(np.array([0.875]), share, 8, most=1.0)
    assert 0 < low[0] < high[0] == 1.0


@pytest.mark.parametrize(("reach", "n"), [(1, 13), (2, 49)])
def test_offsets_are_one_of_each_pair_of_directions(reach: int, n: int) -> None:
    offsets = primitive_offsets(reach)
    assert len(offsets) == n
    assert all(gcd(*map(int, offset)) == 1 for offset in offsets)
    both = {tuple(offset) for offset in offsets} | {tuple(-offset) for offset in offsets}
    assert len(both) == 2 * n


def test_axes_of_a_cube_share_the_sphere_equally() -> None:
    np.testing.assert_allclose(sphere_shares(np.eye(3)), 1 / 3)


@pytest.mark.parametrize("n", [13, 49])
@pytest.mark.parametrize("voxel", [(10.0, 10.0, 10.0), (40.0, 10.0, 10.0)])
def test_weights_sum_to_one_and_units_have_unit_length(
    n: int, voxel: tuple[float, float, float]
) -> None:
    directions = Directions.of(voxel, n)
    assert directions.weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(np.linalg.norm(directions.units, axis=1), 1.0)
    back = directions.units * directions.lengths_nm[:, None] / voxel
    np.testing.assert_allclose(back, directions.offsets)


def test_three_axes_see_a_flat_interface_by_the_closed_form() -> None:
    # 2/3 (|n_z| + |n_y| + |n_x|) is 2/3 along an axis and 2/√3 along a diagonal.
    least, largest = flat_range(np.eye(3), np.full(3, 1 / 3))
    assert least == pytest.approx(2 / 3, rel=1e-9)
    assert largest == pytest.approx(2 / np.sqrt(3), rel=1e-3)


def test_more_directions_see_every_orientation_more_alike() -> None:
    spans = [np.ptp(flat_range(d.units, d.weights)) for d in map(directions_of_a_cube, (13, 49))]
    assert spans[1] < spans[0]


def directions_of_a_cube(n: int) -> Directions:
    return Directions.of((1.0, 1.0, 1.0), n)


def test_other_numbers_of_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="directions must be 13 or 49, got 26"):
        Directions.of((1.0, 1.0, 1.0), 26)
