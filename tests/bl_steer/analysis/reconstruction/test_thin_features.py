"""Chords below the pitch against a count line by line, and methods side by side."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bl_steer.analysis.reconstruction.comparison import _chords
from bl_steer.analysis.reconstruction.measures import KEPT, beside_each_other
from bl_steer.protocols import Table


def lengths_by_line(inside: np.ndarray) -> list[int]:
    lengths = []
    for lines in (inside.swapaxes(1, 2), inside):
        for line in lines.reshape(-1, lines.shape[2]):
            runs = [(value, len(list(group))) for value, group in groupby(line.tolist())]
            lengths += [length for value, length in runs[1:-1] if value]
    return sorted(lengths)


@given(arrays(np.bool_, st.tuples(*[st.integers(1, 7)] * 3)))
def test_chords_are_those_that_a_line_by_line_count_finds(inside: np.ndarray) -> None:
    assert sorted(_chords(inside).tolist()) == lengths_by_line(inside)


def test_tables_of_methods_are_joined_row_by_row() -> None:
    def tables(n: int, value: float) -> dict[str, Table]:
        return {name: {"value": np.full(n, value)} for name in KEPT}

    joined = beside_each_other({"a": tables(2, 1.0), "b": tables(1, 5.0)})
    assert set(joined) == set(KEPT)
    for table in joined.values():
        assert table["method"].tolist() == ["a", "a", "b"]
        assert table["value"].tolist() == [1.0, 1.0, 5.0]
