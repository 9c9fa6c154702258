"""Bluesky's BestEffortCallback, with its plots, beside our plans and beside `bluesky.plans`.

Run ``python benchmarks/bench_best_effort.py``. One session of the simulated film, figures drawn
without a screen; of each plan the best of `REPEATS` runs of `EDGE`² points: ``bp.grid_scan``,
`map_sample` and `find_hotspot` (its own thinking included).
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bluesky.plans as bp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from bluesky.callbacks.best_effort import BestEffortCallback

from bl_steer.agents import Space
from bl_steer.session import Session, open_session
from plans import find_hotspot, map_sample

EDGE = 5
REPEATS = 2
LIMIT = 1.5
"""Times that of ``grid_scan`` that a plan may take."""


def plans_of(session: Session) -> dict[str, Any]:
    det, stage, monitor = (session.devices[name] for name in ("det", "stage", "monitor"))
    axis = np.linspace(0.0, 150.0, EDGE)
    grid = Space.grid(axis, axis)
    ends = (0.0, 150.0, EDGE)
    return {
        "grid_scan": lambda: bp.grid_scan([det, monitor], stage.x, *ends, stage.y, *ends),
        "map_sample": lambda: map_sample(det, stage, monitor=monitor, grid=grid),
        "find_hotspot": lambda: find_hotspot(
            det, stage, monitor=monitor, grid=grid, budget=EDGE**2, target="total"
        ),
    }


def seconds(session: Session, plan: Any) -> float:
    """Time of a run with its figures, s."""
    plt.close("all")
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        session.RE(plan)
    return time.perf_counter() - start


def main() -> None:
    matplotlib.use("Agg")
    warnings.filterwarnings("ignore", message="Attempting to set identical low and high")
    with (
        TemporaryDirectory() as folder,
        open_session("smooth", seed=1, data_dir=Path(folder), progress=False) as session,
    ):
        session.RE.subscribe(BestEffortCallback())
        makers = plans_of(session)
        seconds(session, makers["map_sample"]())  # matplotlib's first figure
        times = {
            name: min(seconds(session, make()) for _ in range(REPEATS))
            for name, make in makers.items()
        }
    print(f"{'plan':14}{'s':>8}{'ratio':>8}")
    for name, taken_s in times.items():
        print(f"{name:14}{taken_s:>8.2f}{taken_s / times['grid_scan']:>8.2f}")
    print("within", LIMIT, "times:", max(times.values()) <= LIMIT * times["grid_scan"])


if __name__ == "__main__":
    main()
