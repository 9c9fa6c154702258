"""Point A by our agent and by others' packages: same films, same noise, same places to start with.

    python benchmarks/hotspot.py [--blocks multi-domain=100:160 maps=0:5] [--agents …]
        [--workers 2 | --scheduler tcp://…] [--file FILE.jsonl] [--table]

`make hotspot` installs the peers in an environment of their own and runs it. Each search is the
loop of `plans.find_hotspot` without RunEngine and devices: reduction, target and handling of dead
frames are the same for all agents, which `peers` makes. The noise of a look belongs to the film
and the cell, so that two agents that look at one cell see one frame. A search ends when a point
within a pitch of A, or of 95 % of its value, was measured, or after 100 measurements.

"bl_steer, adaptive" is ours with the exposure of each look as its own choice, up to the same 10 s,
as `bench_exposure.py` measures it: compare its beam time.

A search is a task of dask, on this machine or on a scheduler's workers (which need bl_steer and the
peers' packages); its line of JSON is written as it comes, and what the file has already is not run
again. Searches go film by film through all agents, so that an interrupted run leaves pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import bench_exposure
import numpy as np
import peers
from distributed import Client, LocalCluster, as_completed
from peer_tables import read, report

from bl_steer.agents import SpaceExhausted
from bl_steer.agents.space import Space
from bl_steer.diffraction import SummedFrames
from bl_steer.runs import Points
from bl_steer.runs.readout import Exposure
from bl_steer.steering import DetectorDeadError, build_steering, score
from bl_steer.trials import sample_space
from simulators.film import RecordedMap, SigeFilm, true_map
from simulators.film.beamline import READOUT_S, SETTLE_S, SPEED

BUDGET = 100
EXPOSURE_S = 10.0
TARGET = "ref:x=0.45,R=0.9,tilt=0"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "maps"
MAPS = {
    "sxdm": ("sxdm_fast_wse2_darkfield.npz", "map", {"clip": 99.9, "stride": 10}),
    "bepfm": ("bepfm_gpim_32x32.npz", "total", {}),
    "eds": ("eds_coreshell_hyperspy.npz", "total", {}),
    "raman": ("raman_thp1_cell_L5.npz", "total", {}),
}
ADAPTIVE = f"{peers.OURS}, adaptive"
AGENTS = (peers.OURS, ADAPTIVE, *peers.AGENTS[1:])
BLOCKS = ["multi-domain=100:160", "maps=0:5", "needle=100:120", "noisy=100:120"]


class Task(NamedTuple):
    """One search: an agent on a sample, by a seed."""

    sample: str
    seed: int
    agent: str


class Timed:
    """An agent, and the CPU time of each decision (one suggestion and what is told before it)."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent
        self._told_s = 0.0
        self.cpu_s: list[float] = []

    def suggest(self, num_points: int | None = None) -> Any:
        started = time.process_time()
        points = self._agent.suggest(num_points)
        self.cpu_s.append(self._told_s + time.process_time() - started)
        self._told_s = 0.0
        return points

    def ingest(self, points: Any) -> None:
        started = time.process_time()
        self._agent.ingest(points)
        self._told_s += time.process_time() - started


def search(task: Task, data: str) -> dict[str, Any]:
    """Carry out one search; return when A was measured, and what the decisions took."""
    if task.agent == ADAPTIVE:
        return _adaptive(task)
    sample: Any
    if task.sample in MAPS:
        name, target, options = MAPS[task.sample]
        sample = RecordedMap.load(Path(data) / name, **options)
    else:
        sample, target = SigeFilm(task.sample, seed=task.seed), TARGET
    space = sample_space(sample)
    with peers.quietly():
        agent = Timed(peers.make(task.agent, space, task.seed))
        places, found, beam_s = _steer(sample, target, space, agent, task)
    return {
        **task._asdict(),
        "budget": BUDGET,
        "n_to_found": len(places) if found else None,
        "n_measured": len(places),
        "n_distinct": len(np.unique(places, axis=0)),
        "beam_s": round(beam_s, 3),
        "cpu_s": float(np.median(agent.cpu_s[peers.N_START + 1 :] or [np.nan])),
        "cpu_worst_s": float(np.max(agent.cpu_s[peers.N_START + 1 :] or [np.nan])),
    }


def _adaptive(task: Task) -> dict[str, Any]:
    """Carry out one search of the agent that chooses its exposures."""
    record = bench_exposure.search(task.sample, task.seed, "adaptive", BUDGET)
    cpu_s = record["cpu_s"] / record["n_measured"]  # simulated frames included
    return {
        **task._asdict(),
        "budget": BUDGET,
        "n_to_found": record["n_to_found"],
        "n_measured": record["n_measured"],
        "beam_s": record["time_to_found_s"] or record["beam_time_s"],
        "cpu_s": cpu_s,
    }


def _steer(
    sample: Any, target: str, space: Space, agent: Timed, task: Task
) -> tuple[np.ndarray, bool, float]:
    """Measure until A is found; return the places, (n, 2), whether it was, and the beam time, s."""
    settings = {
        "target": target,
        "agent": task.agent,
        "agent_options": {},
        "seed": task.seed,
        "budget": BUDGET,
        "grid": space.to_dict(),
        "masks": True,
        "careful": True,
    }
    steering = build_steering(settings, sample.axes, agent=agent)
    points = Points(
        SummedFrames(sample.axes),
        nominal_counts=sample.nominal_monitor * EXPOSURE_S,
        # A recorded map may well hold one value twice.
        suspicious=task.sample not in MAPS,
    )
    truth = true_map(sample, target, exposure_s=EXPOSURE_S)
    places: list[list[float]] = []
    visits = np.zeros(len(space), dtype=int)
    here, beam_s = space.points[0], 0.0
    while len(places) < BUDGET:
        try:
            decision = steering.decide()
        except SpaceExhausted:
            break
        place = np.array([decision.x, decision.y])
        cell = int(np.argmin(((space.points - place) ** 2).sum(axis=1)))
        beam_s += float(np.abs(place - here).max()) / SPEED + SETTLE_S
        shot = cell + len(space) * int(visits[cell])
        frame, monitor = sample.expose(*place, exposure_s=EXPOSURE_S, time_s=beam_s, shot=shot)
        beam_s += EXPOSURE_S + READOUT_S
        visits[cell] += 1
        here = place
        places.append(place.tolist())
        if score(place[None], place, space.points, truth, reach=space.steps).found:
            return np.array(places), True, beam_s
        try:
            steering.observe(points.take([Exposure(frame[None], monitor)]))
        except DetectorDeadError:
            break
    return np.array(places), False, beam_s


def _tasks(blocks: Sequence[str], agents: Sequence[str]) -> Iterator[Task]:
    """Yield the searches of ``name=first:end`` blocks, film by film; ``maps`` are all of them."""
    for block in blocks:
        name, _, seeds = block.partition("=")
        first, _, end = seeds.partition(":")
        samples = tuple(MAPS) if name == "maps" else (name,)
        for seed in range(int(first), int(end)):
            yield from (
                Task(sample, seed, agent)
                for sample in samples
                for agent in agents
                if agent != ADAPTIVE or sample not in MAPS
            )


def _run(tasks: Sequence[Task], client: Client, arguments: argparse.Namespace) -> None:
    for module in (bench_exposure, peers):
        client.upload_file(str(Path(module.__file__)))
    order = {task: -number for number, task in enumerate(tasks)}
    futures = {
        client.submit(search, task, str(arguments.data), pure=False, priority=order[task]): task
        for task in tasks
    }
    for future in as_completed(futures):
        task = futures[future]
        if future.status == "error":
            print(f"{task.agent} on {task.sample} {task.seed}: {future.exception()!r}", flush=True)
            continue
        with arguments.file.open("a") as file:
            file.write(json.dumps(future.result()) + "\n")
        future.release()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", nargs="+", default=BLOCKS, help="in this order")
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=AGENTS)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--scheduler", help="address of a dask scheduler, instead of workers here")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--file", type=Path, default=Path("hotspot.jsonl"))
    parser.add_argument("--table", action="store_true", help="run nothing, show what there is")
    arguments = parser.parse_args()
    if not arguments.table:
        lacking = peers.missing()
        for name, module in lacking.items():
            print(f"{name} is left out: no module {module} here")
        agents = [name for name in arguments.agents if name not in lacking]
        blocks = arguments.blocks
        if not arguments.data.is_dir():
            print(f"recorded maps are left out: no folder {arguments.data}; see --data")
            blocks = [block for block in blocks if not block.startswith("maps")]
        known = {(r["sample"], r["seed"], r["agent"]) for r in read(arguments.file)}
        tasks = [task for task in _tasks(blocks, agents) if task not in known]
        if arguments.scheduler:
            cluster: Any = arguments.scheduler
        else:
            cluster = LocalCluster(
                n_workers=arguments.workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
            )
        with Client(cluster) as client:
            _run(tasks, client, arguments)
    records = [r for r in read(arguments.file) if r["agent"] in arguments.agents]
    print(report(records, peers.OURS))


if __name__ == "__main__":
    main()
