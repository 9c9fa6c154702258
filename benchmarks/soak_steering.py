"""A day of steering with faults: do memory, open files or threads of the session grow?

One session on the simulated beamline, run after run until its clock has gone on by 24 hours: most
search, some map, some turn the circle, and in each of them up to three things of
`simulators.film.faults` go wrong. Memory, open files and threads are read after each run. Flat is
what is, in the mean of the last third of the day, within 3 % of that of the middle third: in the
first one libraries, and the frames that are kept at hand, come into memory.

    python benchmarks/soak_steering.py [--hours 24] [--exposure-s 120]
    make soak-steering
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from bluesky.utils import FailedStatus

import devices.detector
import devices.motor
from bl_steer.session import Session, open_session
from bl_steer.steering import DetectorDeadError
from devices import DetectorError
from plans.stubs.axes import StageError
from plans.stubs.per_point import rocking_scan, rocking_sweep
from simulators.film.faults import KINDS

logger = logging.getLogger(__name__)

BUDGET = 24
FLAT = 0.03
MIB = 2**20
ENDS = (StageError, DetectorError, DetectorDeadError, FailedStatus)
"""How a run may fail that something happens to."""


def drawn_faults(rng: np.random.Generator, n_points: int) -> list[str]:
    """Return up to three faults at random measurements."""
    faults = []
    for kind in rng.choice(list(KINDS), size=rng.integers(0, 4), replace=False):
        devices = [name for name in KINDS[kind].devices if name in ("x", "y", "det")]
        device = f":{rng.choice(devices)}" if devices else ""
        faults.append(f"{kind}@{rng.integers(1, n_points)}{device}")
    return faults


def drawn_plan(session: Session, rng: np.random.Generator) -> Any:
    """Return a search or a map."""
    eta = session.devices["diffractometer"].eta
    kind = rng.choice(["random", "sobol", "bayesian", "map", "in steps", "in a sweep"])
    seed = int(rng.integers(1000))
    if kind == "map":
        return session.map_sample(grid={"x": [0, 50, 100], "y": [10, 20, 30, 40, 50, 60, 70, 80]})
    if kind == "bayesian":
        return session.find_hotspot(budget=BUDGET, seed=seed)
    per_point: Any = {"in steps": rocking_scan, "in a sweep": rocking_sweep}.get(kind)
    options: dict[str, Any] = {"agent": "random", "target": "total", "seed": seed}
    if per_point is None:
        return session.find_hotspot(budget=BUDGET, **{**options, "agent": kind})
    return session.find_hotspot(budget=4, per_point=per_point(eta, -0.5, 0.5, 6), **options)


def used() -> tuple[float, int, int]:
    """Return resident memory, MiB, and the numbers of open files and of threads."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / MIB
    return resident, len(os.listdir("/proc/self/fd")), threading.active_count()


def main(hours: float, exposure_s: float, seed: int) -> int:
    """Run, and print what was used; return 1 where something grew."""
    # Moves take no time here, so that what never ends may be given up soon.
    devices.motor.SLOWER, devices.motor.ARRIVAL_MARGIN_S = 0.0, 1.0
    devices.detector.READOUT_MARGIN_S = 1.0 - exposure_s
    logging.getLogger("ophyd").setLevel(logging.CRITICAL)
    rng = np.random.default_rng(seed)
    ends: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    rows = []
    n_points = 0
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            "smooth", seed=1, data_dir=folder, progress=False, exposure_s=exposure_s
        ) as session,
    ):
        clock, det = session.instrument.simulator.clock, session.devices["det"]
        passed_s = 0.0
        stopped: list[dict[str, Any]] = []
        session.watch(lambda name, doc: stopped.append(doc) if name == "stop" else None)
        while passed_s < 3600.0 * hours:
            faults = drawn_faults(rng, BUDGET)
            session.instrument.simulator.misbehave(*faults)
            struck.update(fault.partition("@")[0] for fault in faults)
            at = clock.elapsed_s
            try:
                session.RE(drawn_plan(session, rng))
                ends["success"] += 1
            except ENDS as error:
                logger.info("%s: %s", type(error).__name__, error)
                ends[type(error).__name__] += 1
            jumped = 3600.0 * any(fault.startswith("clock") for fault in faults)
            passed_s += max(clock.elapsed_s - at - jumped, 0.0)
            session.instrument.simulator.misbehave()
            session.devices["stage"].wait_for_connection(timeout=10.0)
            det.wait_for_connection(timeout=10.0)
            n_points += int(stopped[-1]["num_events"].get("primary", 0)) if stopped else 0
            stopped.clear()
            rows.append((passed_s / 3600.0, *used()))
            logger.info("%.2f h: %.1f MiB, %d files, %d threads", *rows[-1])
    table = np.array(rows)
    print(f"{hours:g} simulated hours, {len(rows)} runs, {n_points} events in "
          f"{(time.monotonic() - began) / 60:.1f} minutes")  # fmt: skip
    print("ends:", dict(ends))
    print("faults:", dict(struck))
    return report(table)


def report(table: Any) -> int:
    """Print the means of the thirds of the day; return 1 where the last one is no longer flat."""
    third = np.minimum(3.0 * table[:, 0] / table[-1, 0], 2.0).astype(int)
    grown = 0
    for column, what in enumerate(("memory, MiB", "open files", "threads"), start=1):
        means = [float(table[third == k, column].mean()) for k in range(3)]
        slope = float(np.polyfit(table[third > 0, 0], table[third > 0, column], 1)[0])
        growth = means[2] / means[1] - 1.0
        grown |= growth > FLAT
        print(f"{what:12} {means[0]:8.1f} {means[1]:8.1f} {means[2]:8.1f}  "
              f"{100.0 * growth:+5.1f} %  {slope:+.3f} an hour")  # fmt: skip
    return int(grown)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated")
    parser.add_argument("--exposure-s", type=float, default=120.0, help="of a frame")
    parser.add_argument("--seed", type=int, default=0)
    raise SystemExit(main(**vars(parser.parse_args())))
