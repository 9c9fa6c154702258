"""Frames of a rocking scan to a map in reciprocal space, beside xrayutilities in one run.

Run: ``python benchmarks/bench_gridding.py``. Times are those of the processor, on one core. Aims,
41 frames of 512² to 33×33: .7 s the first time, .2 s from the table, 100 MB above the frames; 900
frames of 516² in 1 GB above them.
"""

from __future__ import annotations

import resource
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import xrayutilities as xu

from bl_steer.diffraction import GriddedFrames, QGrid, goniometer

REPEATS = 5
WHERE = {"eta": 0.0, "chi": 0.0, "phi": 0.0, "nu": 24.88, "delta": 24.16}
MU = 2.0 + np.linspace(-1.0, 1.0, 41)
MB = 2**20


def seconds(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Return the median processor time of a call, s."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def peak_mb(work: Callable[[], Any]) -> float:
    """Return how much memory a call takes at most, MB."""
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / MB


def by_xrayutilities(frames: np.ndarray, grid: QGrid) -> np.ndarray:
    """Return the mean of each cell by xrayutilities, frame by frame."""
    conversion = xu.QConversion(["x+", "z+", "y+", "z+"], ["z+", "x+"], [0, 1, 0], en=11000.0)
    conversion.init_area(
        "z-", "x+", 255.5, 255.5, 512, 512, distance=600.0, pwidth1=0.055, pwidth2=0.055
    )
    n_perp, n_par = grid.shape
    gridder = xu.Gridder2D(n_par, n_perp)
    gridder.KeepData(True)
    gridder.dataRange(*grid.q_par[:2], *grid.q_perp[:2], fixed=True)
    for mu, frame in zip(MU, frames, strict=True):
        q_x, q_y, q_z = conversion.area(mu, 0.0, 0.0, 0.0, WHERE["nu"], WHERE["delta"])
        gridder(np.hypot(q_x, q_y), q_z, frame)
    return gridder.data.T


def main() -> None:
    """Print times and memory."""
    xu.config.NTHREADS = 1
    g = goniometer("4S+2D")
    grid = QGrid((2.24, 2.345, 33), (2.24, 2.345, 33))
    frames = np.random.default_rng(0).poisson(1.0, (41, 512, 512)).astype(np.uint32)
    scales = np.ones(41)

    def first() -> np.ndarray:
        fresh = GriddedFrames(g, grid, angles=WHERE)
        return fresh.reduce(frames, scales=scales, angles=MU)

    gridded = GriddedFrames(g, grid, angles=WHERE)
    mean = gridded.reduce(frames, scales=scales, angles=MU).reshape(grid.shape)
    judge = by_xrayutilities(frames, grid)
    inner = (slice(1, -1), slice(1, -1))
    print(
        f"41 x 512² to 33×33: first {seconds(first):.3f} s, from the table "
        f"{seconds(lambda: gridded.reduce(frames, scales=scales, angles=MU)):.3f} s, xrayutilities "
        f"{seconds(lambda: by_xrayutilities(frames, grid), 3):.3f} s; "
        f"{peak_mb(first):.0f} MB above the frames; largest difference in interior cells "
        f"{np.nanmax(abs(mean - judge)[inner]):.1e}"
    )
    wide = QGrid((2.1, 2.5, 33), (2.1, 2.5, 33))
    all_in = GriddedFrames(g, wide, angles=WHERE)
    start = time.process_time()
    all_in.reduce(frames, scales=scales, angles=MU)
    took = time.process_time() - start
    print(
        f"the same, with every pixel in the grid: first {took:.3f} s, from the table "
        f"{seconds(lambda: all_in.reduce(frames, scales=scales, angles=MU)):.3f} s"
    )
    solid = QGrid((2.24, 2.345, 100), (2.24, 2.345, 100), q_across=(-0.1, 0.1, 100))
    facing = replace(g, in_plane=g.facing({**WHERE, "mu": 2.0}).in_plane)
    volume = GriddedFrames(facing, solid, angles=WHERE)
    start = time.process_time()
    volume.reduce(frames, scales=scales, angles=MU)
    print(f"to 100×100×100: {time.process_time() - start:.3f} s")


def many_frames() -> None:
    """Print time and memory of a map of 900 points, all at the same angles."""
    g = goniometer("4S+2D")
    large = replace(g, detector=replace(g.detector, shape=(516, 516)))
    grid = QGrid((2.24, 2.345, 33), (2.24, 2.345, 33))
    frames = np.ones((900, 516, 516), dtype=np.int32)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    GriddedFrames(large, grid, angles={**WHERE, "mu": 2.0}).reduce(frames, scales=np.ones(900))
    took = time.process_time() - start
    above = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    print(f"900 x 516²: {took:.2f} s, {above / 1024:.0f} MB above the frames")


if __name__ == "__main__":
    main()
    many_frames()
