"""What a point costs beyond motion and exposure: the plans beside Bluesky's own `list_scan`.

    python benchmarks/bench_point.py [POINTS]

Motion and exposure take no time on the simulated beamline (its clock jumps), so that what is left
is messages, documents, frames on disk and decisions. Side by side in one process, in a store.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import bluesky.plans as bp

from bl_steer.session import Session, open_session
from plans import find_hotspot, map_sample


def main(n_points: int = 48) -> None:
    """Print milliseconds a point of each plan."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session("smooth", seed=1, data_dir=folder, progress=False) as session,
    ):
        det, stage, monitor = (session.devices[k] for k in ("det", "stage", "monitor"))
        columns = [5.0 * (i % 31) for i in range(n_points)]
        rows = [5.0 * (i // 31) for i in range(n_points)]
        grid = {"x": columns, "y": rows, "scattered": True}

        def search(agent: str) -> Any:
            return find_hotspot(
                det, stage, monitor=monitor, target="total", budget=n_points, agent=agent
            )

        plans: dict[str, Callable[[], Any]] = {
            "list_scan": lambda: bp.list_scan([det, monitor], stage.x, columns, stage.y, rows),
            "map_sample": lambda: map_sample(det, stage, monitor=monitor, grid=grid),
            "find_hotspot, random": lambda: search("random"),
            "find_hotspot, bayesian": lambda: search("bayesian"),
        }
        session.run(plans["find_hotspot, bayesian"]())  # loads what is loaded once
        base = _ms(session, plans["list_scan"], n_points)
        print(f"{'plan':24} ms a point   beyond list_scan")
        for name, plan in plans.items():
            each = _ms(session, plan, n_points)
            print(f"{name:24} {each:10.1f} {each - base:18.1f}")


def _ms(session: Session, plan: Callable[[], Any], n_points: int) -> float:
    began = time.perf_counter()
    session.run(plan())
    return 1000.0 * (time.perf_counter() - began) / n_points


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
