"""Cosmic rays and hot pixels in the raw frames of rocking scans; a sharp peak keeps its counts."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.protocols import Array
from bl_steer.runs.raw_frames import FEWEST_POINTS, RawFrames

N, SIZE = 41, 64
HOT = {(5, 7): 900.0, (50, 55): 8.0, (40, 3): 500.0}


def scan(rng: np.random.Generator, *, drift: int = 0, sharp: float = 20_000.0) -> Array:
    """A film's broad peak, and a substrate's of one pixel in one frame, that drifts, in counts."""
    frame, row, column = np.mgrid[:N, :SIZE, :SIZE]
    row_0, column_0 = rng.uniform(20, 40, 2)
    apart = (
        ((frame - 20) / 6.0) ** 2 + ((row - row_0) / 4.0) ** 2 + ((column - column_0) / 4.0) ** 2
    )
    rates = 60.0 * np.exp(-0.5 * apart) + 0.05
    moved = rng.integers(-1, 2, 3) + drift
    rates[22 + moved[0], 9 + moved[1], 10 + moved[2]] += sharp
    return rng.poisson(rates).astype(float)


def rays(rng: np.random.Generator, n: int) -> tuple[Array, ...]:
    return tuple(rng.integers(0, high, n) for high in (N, SIZE, SIZE))


@pytest.mark.parametrize("drift", [0, 1], ids=["straight", "bent"])
def test_rays_are_left_out_and_a_peak_of_one_pixel_in_one_frame_is_not(drift: int) -> None:
    rng, raw = np.random.default_rng(0), RawFrames()
    real = lost = 0.0
    found = struck = 0
    for point in range(14):
        clean = scan(rng, drift=drift * (point // 2))
        frames, where = clean.copy(), rays(rng, 6)
        frames[where] += rng.uniform(200, 5000, 6).round()
        raw.clean(frames)
        gone = np.isnan(frames)
        real, lost = real + clean.sum(), lost + clean[gone].sum()
        if point >= FEWEST_POINTS:
            found, struck = found + int(gone[where].sum()), struck + 6
    assert lost <= 0.001 * real
    assert found >= 0.9 * struck


def test_hot_pixels_are_left_out_from_the_first_scan_on() -> None:
    rng, raw = np.random.default_rng(1), RawFrames()
    for _ in range(8):
        clean = scan(rng)
        frames = clean.copy()
        for place, rate in HOT.items():
            frames[:, *place] += rng.poisson(rate, N)
        total = frames.sum()
        hot = sum(frames[:, *place].sum() for place in HOT)
        share = raw.clean(frames)
        assert all(np.isnan(frames[:, *place]).all() for place in HOT)
        assert share == pytest.approx(hot / total, abs=0.001)
        assert np.nansum(frames) >= 0.999 * (total - hot)


def test_few_frames_are_left_as_they_are() -> None:
    frames = np.zeros((5, 8, 8))
    frames[2, 3, 3] = 1000.0
    raw = RawFrames()
    for _ in range(20):
        assert raw.clean(frames) == 0.0
    assert frames[2, 3, 3] == 1000.0


def test_gaps_are_no_counts() -> None:
    rng, raw = np.random.default_rng(2), RawFrames()
    for _ in range(7):
        frames = scan(rng)
        frames[:, 16] = np.nan
        assert raw.clean(frames) < 0.001
    assert np.isfinite(frames[:, :16]).all()
