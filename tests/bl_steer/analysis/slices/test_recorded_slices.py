"""Frames of several runs as one stack, against the stack in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.analysis.slices.recorded_slices import RecordedSlices

RUNS = [np.arange(n * 12, dtype=np.uint16).reshape(n, 1, 3, 4) + 100 * n for n in (2, 1, 4)]
STACK = np.concatenate([frames[:, 0] for frames in RUNS])


def test_several_runs_look_like_one_array() -> None:
    slices = RecordedSlices(RUNS)
    assert (slices.shape, slices.ndim, len(slices)) == (STACK.shape, 3, len(STACK))
    assert slices.dtype == STACK.dtype
    np.testing.assert_array_equal(np.asarray(slices), STACK)
    assert np.asarray(slices, dtype=np.float32).dtype == np.float32


@given(st.integers(-7, 6) | st.slices(7) | st.lists(st.integers(-7, 6), min_size=1))
def test_an_index_gives_what_numpy_gives(index: Any) -> None:
    expected = STACK[index]
    if len(expected):
        np.testing.assert_array_equal(RecordedSlices(RUNS)[index], expected)


@pytest.mark.parametrize("index", [7, -8])
def test_an_index_beyond_the_stack_is_an_error(index: int) -> None:
    with pytest.raises(IndexError):
        RecordedSlices(RUNS)[index]
