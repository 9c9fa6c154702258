"""Slices on both sides of missing ones differ more than neighbours, and that is no fault."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.protocols import Array
from bl_steer.slicing.breaks import break_warnings
from bl_steer.slicing.order import order_warnings
from simulators.electron import FibsemSpecimen, micrograph


def stack_of(
    family: str, seed: int, step: int, numbers: list[int]
) -> tuple[NDArray[np.uint8], Array]:
    """Return the slices of a specimen with these numbers, and the pitch before each."""
    labels = FibsemSpecimen(family, seed=seed, shape=(12 * step, 128, 160)).labels[::step]
    slices = np.stack([micrograph(labels[number], seed=[seed, number]) for number in numbers])
    return slices, np.diff(numbers, prepend=numbers[0] - 1).astype(float)


@pytest.mark.parametrize(
    ("family", "seed", "step", "numbers"),
    [
        ("grains", 1, 8, [0, 1, 5, 6, 7, 11]),
        ("grains", 6, 4, [0, 1, 6, 7, 10, 11]),
        ("network", 2, 2, [0, 1, 2, 8, 9, 10]),
        ("network", 7, 4, [0, 1, 2, 4, 5, 6]),
    ],
)
def test_gaps_are_no_faults(family: str, seed: int, step: int, numbers: list[int]) -> None:
    slices, pitches = stack_of(family, seed, step, numbers)
    named = [*order_warnings(slices), *break_warnings(slices)]
    assert named  # as if they were neighbours
    assert not [*order_warnings(slices, (), pitches), *break_warnings(slices, (), pitches)]


def test_slices_out_of_order_beside_a_gap_are_named() -> None:
    slices, pitches = stack_of("grains", 3, 2, [0, 1, 2, 3, 4, 8, 9, 10, 11])
    slices[[1, 2]] = slices[[2, 1]]
    (told,) = order_warnings(slices, (), pitches)
    assert "exchanged" in told


def test_slices_that_are_turned_behind_one_missing_are_named() -> None:
    slices, pitches = stack_of("network", 3, 2, [0, 1, 2, 3, 5, 6, 7, 8])
    slices[4:] = slices[4:, ::-1, ::-1]
    (told,) = break_warnings(slices, (), pitches)
    assert told.startswith("from slice 4 on the slices are unlike those up to 3")
