"""What stands for "nothing was measured here" is no count on the way from frames to a map."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.diffraction import (
    Detector,
    GriddedFrames,
    QGrid,
    find_absent,
    find_bad_pixels,
    find_flags,
    goniometer,
)
from bl_steer.diffraction.recorded import record_of, reduction_of_record

CIRCLES = {"eta": 0.0, "chi": 0.0, "phi": 0.0, "nu": 24.88, "delta": 24.16}
MU = np.linspace(1.0, 3.0, 11)
GRID = QGrid((2.24, 2.345, 17), (2.24, 2.345, 17))
SURFACE = goniometer(
    "4S+2D", detector=Detector((64, 48), ("z-", "x+"), (0.44, 0.58), 600.0, (31.2, 24.7))
)
COUNTS = np.random.default_rng(0).poisson(0.3, (len(MU), 64, 48))


def gridded(**settings: bool) -> GriddedFrames:
    return GriddedFrames(SURFACE, GRID, angles=CIRCLES, **settings)


@pytest.mark.parametrize(
    ("mark", "dtype"),
    [(-1, np.int32), (-1, np.float32), (-2, float), (2**32 - 1, np.uint32), (2**32 - 1, float)],
)
def test_marks_in_gaps_are_no_counts_of_a_map(mark: int, dtype: type) -> None:
    frames = COUNTS.astype(dtype)
    frames[:, 20:30] = mark
    expected = COUNTS.astype(float)
    expected[:, 20:30] = np.nan
    maps = [
        gridded().measure(stack, scales=np.ones(len(MU)), angles=MU) for stack in (frames, expected)
    ]
    np.testing.assert_array_equal(maps[0].values, maps[1].values)
    np.testing.assert_array_equal(maps[0].variance, maps[1].variance)
    masked = GriddedFrames(SURFACE, GRID, angles=CIRCLES, mask=np.isnan(expected[0]))
    np.testing.assert_array_equal(
        maps[0].values, masked.reduce(frames, scales=np.ones(len(MU)), angles=MU)
    )


def test_a_record_without_the_rule_is_reduced_as_it_was() -> None:
    frames = COUNTS.astype(float)
    frames[:, 20:30] = -1.0
    now = gridded()
    record = record_of(now)
    assert reduction_of_record(record).sentinels
    del record["sentinels"]
    before = reduction_of_record(record)
    maps = [g.reduce(frames, scales=np.ones(len(MU)), angles=MU) for g in (now, before)]
    assert np.nanmin(maps[1]) < 0.0 <= np.nanmin(maps[0])


@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ([0.0, -1.0, 3.0], [False, True, False]),
        ([0.0, -1.0, -2.0, np.nan], [False, True, True, False]),
        ([0.5, -1.0, 3.0], [False, False, False]),
        ([0.0, -1.0, -3.0], [False, False, False]),
        ([0.0, 1.0], [False, False]),
    ],
)
def test_flags_are_those_of_whole_numbers(values: list[float], flags: list[bool]) -> None:
    assert find_flags(np.array(values)).tolist() == flags
    assert not find_flags(np.array([-1, 2])).any()  # of integers find_sentinels tells


def test_all_that_is_absent_is_told_by_a_whole_measurement() -> None:
    counts = np.array([[3.0, -1.0, 65535.0], [65535.0, 2.0**32 - 1.0, np.nan]])
    assert find_absent(counts).tolist() == [[False, True, True], [True, True, True]]


def test_noise_of_few_counts_is_a_hot_pixel_in_runs_of_earlier_versions() -> None:
    frames = np.random.default_rng(1).poisson(0.2, (61, 128, 96))
    assert not find_bad_pixels(frames).hot.any()
    assert find_bad_pixels(frames, steps=False).hot.any()
