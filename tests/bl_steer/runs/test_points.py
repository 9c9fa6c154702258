"""What is made of a point's exposures: beam that goes and returns, frames that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.runs import Exposure, Points, Readout

RNG = np.random.default_rng(0)


def frames(n: int = 1, mean: float = 20.0) -> Any:
    return RNG.poisson(mean, (n, 8, 9)).astype(float)


def judged(points: Points, *monitors: float, n_frames: int = 1) -> list[str]:
    """Return the problem of each point with these monitor counts."""
    return [points.take([Exposure(frames(n_frames), counts)]).problem for counts in monitors]


def test_a_beam_that_comes_late_is_confirmed_and_the_points_before_it_are_withdrawn() -> None:
    points = Points()
    assert judged(points, *[0.1] * 7, 100.0) == [""] * 7 + ["beam"]
    result = points.take([Exposure(frames(), 100.0)])
    assert result.withdrawn == tuple(range(7))
    assert result.pattern is not None
    assert result.pattern.sum() == pytest.approx(20 * 72, rel=0.2), "scaled to the beam"


def test_dark_current_from_the_first_point_on_is_no_beam_where_the_nominal_is_known() -> None:
    assert judged(Points(nominal_counts=100.0), 0.1, 0.1, 80.0) == ["beam", "beam", ""]
    assert judged(Points(nominal_counts=100.0, min_monitor=0.05), 0.1) == [""]


def test_one_spike_of_the_monitor_withdraws_nothing() -> None:
    points = Points()
    assert judged(points, 100.0, 100.0, 1e5, 100.0) == ["", "", "beam", ""]
    assert points.take([Exposure(frames(), 101.0)]).withdrawn == ()


def test_a_series_with_half_the_beam_is_measured_once_more() -> None:
    points = Points()
    assert judged(points, 100.0, 50.0, 52.0, 51.0, n_frames=5) == ["", "beam", "", ""]
    assert judged(Points(), 100.0, 50.0) == ["", ""], "one frame is scaled by its monitor"


def test_a_repeated_frame_is_measured_once_more_and_counted_while_it_stays() -> None:
    points, stuck = Points(), frames()
    results = [points.take([Exposure(f)]) for f in (frames(), stuck, stuck, frames())]
    assert [result.problem for result in results] == ["", "", "repeated", ""]
    results = [points.take([Exposure(stuck)]) for _ in range(4)]
    assert [result.n_repeated for result in results] == [0, 1, 2, 3]


def test_a_torn_frame_is_measured_once_more() -> None:
    points, first, torn = Points(), frames(), frames()
    torn[:, 4:] = first[:, 4:]
    results = [points.take([Exposure(f)]) for f in (first, torn, frames())]
    assert [result.problem for result in results] == ["", "torn", ""]


def test_saturated_pixels_are_told() -> None:
    bright = frames(mean=200.0)
    bright[:, :3] = 100.0
    assert not Points().take([Exposure(bright)]).saturated
    clipped = np.minimum(bright, 205.0)
    assert Points().take([Exposure(clipped)]).saturated
    assert not Points().take([Exposure(np.full((1, 4, 5), 101.0))]).saturated, "no noise at all"


def test_an_empty_point_is_measured_once_more_and_then_believed() -> None:
    points, nothing = Points(), np.zeros((1, 8, 9))
    results = [points.take([Exposure(f)]) for f in (frames(), nothing, nothing, nothing)]
    assert [result.problem for result in results] == ["", "empty", "", ""]
    assert [result.n_empty for result in results] == [0, 1, 2, 3]


def peaks(n: int, rng: Any) -> Any:
    """Return frames of a peak that wanders, on a background, beside a beam stop and a mask."""
    rows, columns = np.mgrid[:24, :24]
    middles = rng.uniform(8, 16, (n, 2, 1, 1))
    distance = (rows - middles[:, 0]) ** 2 + (columns - middles[:, 1]) ** 2
    rates = 0.3 + 50.0 * np.exp(-distance / 8.0)
    rates[:, :, 3] *= 0.001
    result = rng.poisson(rates).astype(float)
    result[:, 20:, 20:] = 65535.0
    return result


@pytest.mark.parametrize("seed", range(3))
def test_pixels_that_die_are_told_and_no_others(seed: int) -> None:
    whole = peaks(60, np.random.default_rng(seed))
    broken = whole.copy()
    broken[30:, 9, 12] = broken[30:, 13, 8:15] = 0.0
    broken[30:, 10, 10] = 20.0
    for images, n_dead in ((whole, 0), (broken, 9)):
        points = Points()
        told = [points.take([Exposure(image[None])]).n_dead_pixels for image in images]
        assert told[:31] == [0] * 31
        assert told[-1] == n_dead


def test_a_run_of_an_earlier_version_is_judged_as_it_was() -> None:
    broken = peaks(60, np.random.default_rng(0))
    broken[30:, 13, 8:15] = 0.0
    points = Points.from_start({"steering": {"source": {"kind": "frames", "detector": "det"}}})
    assert not any(points.take([Exposure(image[None])]).n_dead_pixels for image in broken)


def test_a_beam_that_may_have_been_away_all_the_time_is_unverified() -> None:
    def unverified(points: Points, contrast: float = 1.0) -> list[bool]:
        means = [0.2, 0.2 * contrast] * 5
        taken = [points.take([Exposure(frames(mean=m), 3.0 + m)]) for m in means]
        return [result.unverified for result in taken]

    assert unverified(Points()) == [False] * 7 + [True] * 3
    assert not any(unverified(Points(), contrast=10.0)), "counts that differ are of a sample"
    assert not any(unverified(Points(min_monitor=2.0)))
    assert not any(unverified(Points(nominal_counts=3.0)))
    points = Points()
    judged(points, 0.003, 3.0, 3.0)
    assert not any(unverified(points)), "it has come"


def images(n: int) -> Any:
    return RNG.poisson(6.0, (n, 1, 16, 16)).astype(np.uint32)


def test_a_gap_is_no_count_and_leaves_no_alarm() -> None:
    points, stack = Points(), images(30)
    stack[:, :, 5] = 2**32 - 1
    results = [points.take([Exposure(frame)]) for frame in stack]
    for result, frame in zip(results, stack, strict=True):
        assert result.pattern is not None
        pattern = result.pattern.reshape(16, 16)
        assert np.isnan(pattern[5]).all()
        np.testing.assert_array_equal(np.delete(pattern, 5, 0), np.delete(frame[0], 5, 0))
        assert (result.unit, result.problem, result.alarm) == ("counts", "", False)
        np.testing.assert_array_equal(result.variance, result.pattern)


def test_a_gap_in_another_type_is_told_by_ten_points() -> None:
    points, stack = Points(), images(12).astype(np.int32)
    stack[:, :, 5] = 65535
    last = [points.take([Exposure(frame)]).pattern for frame in stack][-1]
    assert last is not None
    assert np.isnan(last.reshape(16, 16)[5]).all()
    assert np.isfinite(np.delete(last.reshape(16, 16), 5, 0)).all()


def test_a_frame_that_was_not_measured_is_dead_and_a_torso_too() -> None:
    points, (first, nothing, torso, last) = Points(), images(4).astype(float)
    nothing[:] = np.nan
    torso[:, :9] = np.nan
    problems = [points.take([Exposure(f)]).problem for f in (first, nothing, torso, last)]
    assert problems == ["", "frames", "frames", ""]


@pytest.mark.parametrize("rows", [slice(0, 8), slice(4, 8)], ids=["half", "inside"])
def test_a_block_that_dies_is_told_in_whole_and_dim_frames_are_not(rows: slice) -> None:
    points, stack = Points(), images(40)
    stack[20:, :, rows, 4:12] = 0
    told = [points.take([Exposure(frame)]).n_dead_pixels for frame in stack]
    assert told[19] == 0
    n_rows = len(range(16)[rows])
    assert told[25] == 8 * n_rows
    dim = Points()
    shown = RNG.poisson(0.05, (60, 1, 16, 16))
    assert not any(dim.take([Exposure(frame)]).n_dead_pixels for frame in shown)


def counted(value: float, *, dtype: str = "uint32") -> Exposure:
    """A frame whose peak of four pixels counts `value`, beside a gap in the detector."""
    frame = RNG.poisson(20.0, (1, 8, 9)).astype(dtype)
    frame[:, 2:4, 2:4] = value
    frame[:, :, 7] = np.iinfo("uint32").max
    return Exposure(frame)


@pytest.mark.parametrize("dtype", ["uint32", "float64"])
def test_a_pixel_whose_counter_is_full_has_the_most_that_was_counted(dtype: str) -> None:
    points, full = Points(), np.iinfo("uint32").max
    results = [points.take([counted(value, dtype=dtype)]) for value in (300, 700, full, 300)]
    assert [result.n_overflowed for result in results] == [0, 0, 4, 0]
    assert [result.alarm for result in results] == [False, False, True, False]
    pattern = results[2].pattern
    assert pattern is not None
    image = pattern.reshape(8, 9)
    assert (image[2:4, 2:4] == 700).all()
    assert np.isnan(image[:, 7]).all(), "a gap never counts"
    assert image[:, :7][~np.isin(np.arange(8), (2, 3))].max() < 60


def test_a_counter_that_is_full_at_the_first_point_is_no_gap() -> None:
    points, full = Points(), np.iinfo("uint32").max
    first, second, third = (points.take([counted(value)]) for value in (full, full, 300))
    assert (first.n_overflowed, second.n_overflowed, third.n_overflowed) == (0, 0, 0)
    assert third.withdrawn == (0, 1)
    assert points.take([counted(300)]).withdrawn == ()


def test_a_gap_that_counts_at_last_withdraws_nothing() -> None:
    points, full = Points(), np.iinfo("uint32").max
    for _ in range(6):
        points.take([counted(full)])
    assert points.take([counted(300)]).withdrawn == ()


def test_a_counter_may_be_full_in_some_frames_of_a_series() -> None:
    series = [counted(value).frames for value in (100, 400, np.iinfo("uint32").max, 200)]
    result = Points().take([Exposure(np.concatenate(series))])
    assert result.n_overflowed == 4
    assert result.pattern is not None
    assert (result.pattern.reshape(8, 9)[2:4, 2:4] == 100 + 400 + 400 + 200).all()


@pytest.mark.parametrize("limit", [2**32 - 1, -(2**31), 2**63 - 1])
def test_a_number_of_a_full_counter_is_none(limit: int) -> None:
    readout = Readout(field="counts")
    assert not readout.exposure({"counts": limit}, list).sound
    assert readout.exposure({"counts": 65535}, list).sound
