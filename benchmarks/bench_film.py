"""How long the simulated film takes: one reciprocal-space map, and the whole grid.

Run: ``python benchmarks/bench_film.py``. Aims on one core: 2 ms a frame, 1 s a map.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from simulators.film.sige_film import SigeFilm

REPEATS = 7


def median_ms(work: Callable[[], object], *, calls: int = 1) -> float:
    """Return the median time of one call, ms, after one call to warm up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(calls):
            work()
        times.append((time.perf_counter() - start) / calls)
    return 1e3 * float(np.median(times))


def main() -> None:
    """Print the times."""
    for preset in ("smooth", "multi-domain", "rough"):
        film = SigeFilm(preset, seed=0)
        x, y = film.grid
        spot_x, spot_y = x[:1], y[:1]
        one = median_ms(lambda f=film, u=spot_x, v=spot_y: f.rates(u, v), calls=50)
        shot = median_ms(
            lambda f=film: f.expose(75.0, 75.0, exposure_s=10.0, time_s=0.0, shot=0), calls=50
        )
        grid = median_ms(lambda f=film, u=x, v=y: f.rates(u, v))
        print(
            f"{preset:14s} one map {one:6.2f} ms   exposed, with noise {shot:6.2f} ms   "
            f"{len(x)} maps {grid:7.1f} ms"
        )


if __name__ == "__main__":
    main()
