"""Steered runs, maps, flights and rocking scans under SIGKILL: is a point lost, or measured twice?

A process steers on the simulated film and is killed at a random moment between its first line and
its last; another carries the run on, and is killed too in one case of two, and so on; the last one
finishes. Four moments of five are drawn over the documents that a run has left to write, with some
milliseconds more, the others over the process' CPU time, in which it is mostly being opened and
closed. Each run is held against an undisturbed one of the same seed:

- what the dead process was told is on disk is there, with its frames, and to the bit;
- no point is measured twice, and none is left out;
- the point in flight is named;
- the next decision is that of the undisturbed run, to the bit, and all later ones follow from the
  record (``bl-steer show --verify``).

    python benchmarks/kill_steering.py --seed 0 --kills 50
    make kill         # three seeds
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.agents import Space
from bl_steer.cli import main as bl_steer
from bl_steer.runs import RecordsAlone, Run, list_runs, open_run
from bl_steer.session import Session, open_session
from bl_steer.steering import (
    differing_decisions,
    in_flight,
    recorded_decision,
    same_decision,
)
from bl_steer.store import read_record
from plans.stubs import rocking_scan, rocking_sweep

FINE = {axis: {"start": 0.0, "stop": 150.0, "num": 16} for axis in "xy"}
COARSE = {axis: {"start": 0.0, "stop": 150.0, "num": 4} for axis in "xy"}
KILLED_AGAIN = 0.5
KILLED_IN_THE_RUN = 0.8
BETWEEN_S = 0.05
"""A document follows the one before within some such time."""
LIMIT_S = 600.0
TICKS = os.sysconf("SC_CLK_TCK")
LOADED = (
    "__main__",
    "bl_steer.agents.bayesian",
    "bl_steer.cli.resume",
    "bl_steer.cli.stored",
    "bl_steer.features.nmf",
    "bl_steer.plotting.runs",
    "bl_steer.session.session",
    "bl_steer.store.catalogue",
    # Imported late, each time, by what is imported above.
    "adbc_driver_sqlite.dbapi",
    "aiosqlite",
    "anyio.from_thread",
    "matplotlib.pyplot",
    "ophyd.sim",
    "ophyd_async.core",
    "simulators.film",
    "sympy",
)
"""What the process has imported that all others are forked from."""


@dataclass(frozen=True)
class Case:
    """A run to be killed: its plan, its options, and the circle's turn at each point."""

    plan: str
    options: Mapping[str, Any]
    turn: str = ""

    def start(self, session: Session, seed: int, **resumes: Any) -> Any:
        options: dict[str, Any] = resumes or {"grid": FINE, **self.options}
        if self.plan == "find_hotspot" and not resumes:
            options["seed"] = seed
        if self.turn:
            turn = rocking_scan if self.turn == "steps" else rocking_sweep
            options["per_point"] = turn(session.devices["diffractometer"].eta, -1, 1, 5)
        return getattr(session, self.plan)(**options)


CASES = {
    "reference": Case("find_hotspot", {"budget": 12}),
    "online NMF": Case("find_hotspot", {"budget": 12, "target": "nmf:3@x=0.45,R=0.9,tilt=0"}),
    "map": Case("map_sample", {"grid": COARSE}),
    "flight": Case("fly_map", {"grid": FINE, "exposure_s": 0.1, "confirm": 0}),
    "rocking steps": Case("find_hotspot", {"budget": 5, "target": "total"}, "steps"),
    "rocking sweep": Case("find_hotspot", {"budget": 8, "target": "total"}, "sweep"),
}

MAPS = ("map", "flight")
"""Cases that decide nothing."""


def measure(name: str, seed: int, folder: Path, resumes: bool) -> None:
    """Measure, or carry on, in a process of its own; note each point that is said to be on disk."""
    case = CASES[name]
    _silence(folder / "output")
    if resumes and not case.turn:
        sys.exit(bl_steer(["resume", "-1", "--data", str(folder / "data")]))
    options = {"resumes": "-1"} if resumes else {}
    with open_session("smooth", seed=seed, data_dir=folder / "data", progress=False) as session:
        session.watch(_Notes(folder / "notes"))
        session.run(case.start(session, seed, **options))


class _Notes:
    """Append a character to a file for each event of the points, after the store has taken it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._primary = ""

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "descriptor" and doc["name"] == "primary":
            self._primary = doc["uid"]
        elif name == "event" and doc["descriptor"] == self._primary:
            os.write(self._file, b".")


def verify(name: str, _seed: int, folder: Path) -> None:
    _silence(folder / "output")
    data, report = str(folder / "data"), str(folder / "report.json")
    figure = str(folder / "run.png")
    words = ["show", "-1", "--data", data, "--figure", figure, "--json", report]
    sys.exit(bl_steer(words if name in MAPS else [*words, "--verify"]))


def _silence(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


class Proof:
    """Kills runs of one seed, carries them on and looks at what is there."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.folder = folder
        self.rng = random.Random(seed)
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(list(LOADED))
        self.undisturbed: dict[str, Run] = {}
        self.cpu_s: dict[str, float] = {}
        self.at_death: Counter[str] = Counter()
        self.verified: set[str] = set()
        self.killed: Counter[str] = Counter()
        self.problems: list[str] = []
        self.n_runs = 0
        self.n_points = 0

    def run(self, n_kills: int, names: Sequence[str]) -> None:
        for name in names:
            self._measure_undisturbed(name)
        while self.killed.total() < n_kills:
            name = names[self.n_runs % len(names)]
            folder = Path(tempfile.mkdtemp(prefix=f"{self.n_runs:03}-", dir=self.folder))
            self.n_runs += 1
            before = len(self.problems)
            try:
                self._kill_and_carry_on(name, folder)
            except Exception as error:
                self._say(name, f"{type(error).__name__}: {error}")
            if len(self.problems) == before:
                shutil.rmtree(folder)
            else:
                print(f"{folder} is kept: {self.problems[before:]}", file=sys.stderr)
            print(f"{self.killed.total()} killed", file=sys.stderr, flush=True)

    def _measure_undisturbed(self, name: str) -> None:
        folder = self.folder / f"undisturbed {name}"
        folder.mkdir()
        self.cpu_s[name] = self._child(measure, name, self.seed, folder, False)
        self.undisturbed[name] = self._latest(folder)
        self._verify(name, folder)

    def _kill_and_carry_on(self, name: str, folder: Path) -> None:
        died, over = None, False
        while True:
            self._child(measure, name, self.seed, folder, died is not None, kill=True)
            died = self._look(name, folder, died)
            over = died is not None and died.status == "success"
            if over or self.rng.random() > KILLED_AGAIN:
                break
        if not over:
            self._child(measure, name, self.seed, folder, died is not None)
        self._check_finished(name, folder, self._latest(folder), died)

    def _child(self, target: Any, *arguments: Any, kill: bool = False) -> float:
        """Run something in a process of its own until its end or until it is killed.

        Returns
        -------
        cpu_s : that it took
        """
        child = self.processes.Process(target=target, args=arguments)
        child.start()
        pid, folder = child.pid or 0, arguments[2]
        moment = self._moment(arguments[0], folder) if kill else {}
        deadline = time.monotonic() + LIMIT_S
        cpu_s = 0.0
        while child.exitcode is None and time.monotonic() < deadline:
            time.sleep(0.001)
            cpu_s = _cpu_s(pid) or cpu_s
            if cpu_s >= moment.get("cpu_s", math.inf):
                break
            if _written(folder) >= moment.get("written", math.inf):
                time.sleep(self.rng.uniform(0.0, BETWEEN_S))
                break
        if child.exitcode is None:
            os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        if kill and child.exitcode == -signal.SIGKILL:
            self.killed[str(arguments[0])] += 1
        elif child.exitcode != 0:
            raise RuntimeError(f"{target.__name__}{arguments[:2]} ended with {child.exitcode}")
        return cpu_s

    def _moment(self, name: str, folder: Path) -> dict[str, float]:
        """Draw a moment: by the documents written, or by CPU time."""
        if self.rng.random() > KILLED_IN_THE_RUN:
            return {"cpu_s": self.rng.uniform(0.0, self.cpu_s[name])}
        before, whole = _written(folder), _written(self.folder / f"undisturbed {name}")
        return {"written": before + 1 + self.rng.uniform(0.0, max(0, whole - before))}

    def _verify(self, name: str, folder: Path) -> None:
        """Decide all decisions of the latest run again, by the command."""
        self._child(verify, name, self.seed, folder)
        report = json.loads((folder / "report.json").read_text())
        if report.get("decisions_that_differ"):
            self._say(name, f"decisions {report['decisions_that_differ']} are not made again")

    def _latest(self, folder: Path) -> Run:
        return open_run(RecordsAlone(folder / "data"), -1)

    def _look(self, name: str, folder: Path, before: Run | None = None) -> Run | None:
        """Read what a killed process left; None where it had not begun a run."""
        store = RecordsAlone(folder / "data")
        if not store.record_dir.is_dir() or not list_runs(store):
            self.at_death["no run"] += 1
            return None
        run = open_run(store, -1)
        if before is not None and run.uid == before.uid:
            self.at_death["run not begun again"] += 1
        elif run.status == "success":
            self.at_death["all measured"] += 1
        elif in_flight(run):
            self.at_death["point in flight"] += 1
        else:
            self.at_death["between points"] += 1
        self._check_points(name, run)
        told = len((folder / "notes").read_bytes()) if (folder / "notes").exists() else 0
        stored = sum(_n_events(path) for path in store.record_dir.glob("*.jsonl"))
        if stored < told:
            self._say(name, f"{told} events were said to be on disk, {stored} are")
        if before is not None and run.n_complete < before.n_complete:
            self._say(name, f"{before.n_complete} points were there, now {run.n_complete}")
        return run

    def _check_points(self, name: str, run: Run) -> None:
        """Hold the points of a broken run against those of the undisturbed one."""
        whole = self.undisturbed[name]
        n = _points_of_the_first(run)
        rows = np.concatenate([np.empty(0, int), *run.events_of[:n]])
        if n and not np.array_equal(np.asarray(run.frames)[rows], np.asarray(whole.frames)[rows]):
            self._say(name, f"frames of {n} points are not those of an undisturbed run")
        if not np.array_equal(run.positions[:n], whole.positions[:n]):
            self._say(name, f"{n} points are not where those of an undisturbed run are")

    def _check_finished(self, name: str, folder: Path, run: Run, died: Run | None) -> None:
        whole = self.undisturbed[name]
        n = [int(np.sum(r.valid)) if name in MAPS else r.n_points for r in (run, whole)]
        if run.status != "success" or n[0] != n[1]:  # a frame of a map may be lost by chance
            self._say(name, f"ended with {run.n_points} points, {run.status}")
        self.n_points += run.n_points
        spots = [tuple(spot) for spot in run.positions[run.valid]]
        if len(set(spots)) != len(spots):
            self._say(name, "a point was measured twice")
        if {len(rows) for rows in run.events_of} != {len(rows) for rows in whole.events_of}:
            self._say(name, f"points have {[len(rows) for rows in run.events_of]} events")
        np.asarray(run.frames)  # raises where they are not there
        if died is not None and died.status != "success":
            self._check_carried_on(name, run, died)
        if name in MAPS:
            grid = Space.from_dict(CASES[name].options["grid"])
            cells = [grid.cell_of(*spot) for spot in run.positions[run.valid]]
            if sorted(c for c in cells if c is not None) != list(range(len(grid))):
                self._say(name, "the map has gaps")
            return
        if name not in self.verified:
            self.verified.add(name)
            self._verify(name, folder)
        differing = differing_decisions(run)
        if differing or (run.result or {})["n_measured"] != whole.n_points:
            self._say(name, f"decisions {differing} are not made again; result {run.result}")

    def _check_carried_on(self, name: str, run: Run, died: Run) -> None:
        whole, n = self.undisturbed[name], died.n_complete
        same = _points_of_the_first(died)
        if run.steering["resumes"] != died.uid or run.steering["resumed_points"] != n:
            self._say(name, f"{n} points of {died.uid} were there, {run.steering} took over")
        for key, column in died.primary.items():
            rows = np.concatenate([np.empty(0, int), *died.events_of[:n]])
            is_number = column.dtype.kind == "f"
            if not np.array_equal(run.primary[key][: len(rows)], column[rows], equal_nan=is_number):
                self._say(name, f"column {key} of the points taken over differs")
        if name in MAPS:
            return
        decided = len(died.decisions.get("x", ()))
        flight = run.steering["in_flight"]
        if decided > n:
            where = {axis: float(died.decisions[axis][n]) for axis in "xy"}
            if flight != {"point": n, **where}:
                self._say(name, f"point {n} at {where} was in flight, named is {flight}")
        elif flight is not None:
            self._say(name, f"{flight} is named, but nothing was in flight")
        for point in range(min(same + 1, whole.n_points)):
            decisions = [recorded_decision(r.decisions, point) for r in (run, whole)]
            if not same_decision(*decisions):
                self._say(name, f"decision {point} is not that of the undisturbed run")

    def _say(self, name: str, problem: str) -> None:
        self.problems.append(f"seed {self.seed}, {name}: {problem}")


def _points_of_the_first(run: Run) -> int:
    """Return the points of the first run of a chain: later ones have another noise."""
    n, earlier = run.n_complete, run.steering["resumes"]
    while earlier is not None:
        if run.record is None:
            raise ValueError(f"a run must have a record, got none of {run.uid}")
        n = run.steering["resumed_points"]
        run = Run.from_record(run.record.with_name(f"{earlier}.jsonl"))
        earlier = run.steering["resumes"]
    return int(n)


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process; 0 where there is none any more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _written(folder: Path) -> int:
    """Return how many bytes of documents there are."""
    return sum(path.stat().st_size for path in (folder / "data" / "record").glob("*.jsonl"))


def _n_events(path: Path) -> int:
    """Count the events of the points in a record."""
    primary, n = "", 0
    for kind, doc in read_record(path):
        if kind == "descriptor" and doc["name"] == "primary":
            primary = doc["uid"]
        n += kind == "event" and doc["descriptor"] == primary
    return n


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="bl-kill-"))
    proof = Proof(options.seed, folder)
    proof.run(options.kills, options.cases)
    report = {
        "seed": options.seed,
        "kills": dict(proof.killed),
        "runs": proof.n_runs,
        "points": proof.n_points,
        "at_death": dict(proof.at_death),
        "problems": proof.problems,
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(report), flush=True)
    if not proof.problems:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
    return 1 if proof.problems else 0


if __name__ == "__main__":
    sys.exit(main())
