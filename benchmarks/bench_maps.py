"""Steer over real recorded maps, beside random search and plain BoTorch.

    python benchmarks/bench_maps.py [--data DIR] [--seeds 0:10]
    python benchmarks/bench_maps.py --peers bl_steer scikit-learn random --seeds 0:20

The maps lie in ../shared/data/maps from the project's root; see its README for their sources. With
`--peers`, agents of `hotspot.py` search the totals until 95 % of the maximum is measured, told the
recorded values themselves: without frames and RunEngine, which change no outcome of a recorded map.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import peers
from peer_tables import report

from bl_steer.trials.trial import replay_trials, sample_space
from simulators.film import true_map
from simulators.film.recorded_map import RecordedMap

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "maps"
CASES = [
    ("sxdm_fast_wse2_darkfield.npz", "map", {"clip": 99.9, "stride": 10}),
    ("bepfm_gpim_32x32.npz", "total", {}),
    ("bepfm_gpim_32x32.npz", "nmf:3@box:30,50", {}),
    ("eds_coreshell_hyperspy.npz", "total", {}),
    ("eds_coreshell_hyperspy.npz", "nmf:3@box:6.2,6.6", {}),
    ("raman_thp1_cell_L5.npz", "total", {}),
    ("raman_thp1_cell_L5.npz", "nmf:4@box:1430,1470", {}),
]
BUDGET = 100


def search(name: str, sample: RecordedMap, target: str, seed: int) -> dict[str, Any]:
    """Let an agent of `peers` search a map for 95 % of its maximum; return what it took."""
    space, truth = sample_space(sample), true_map(sample, target)
    bright = truth >= truth.max() - 0.05 * abs(truth.max())
    found, cpu_s = None, []
    with peers.quietly():
        agent = peers.make(name, space, seed)
        for number in range(1, BUDGET + 1):
            started = time.process_time()
            point = agent.suggest()[0]
            cpu_s.append(time.process_time() - started)
            cell = space.cell_of(*(point[axis] for axis in space.names))
            if bright[cell]:
                found = number
                break
            agent.ingest([{**point, "objective": float(truth[cell])}])
    return {
        "agent": name,
        "seed": seed,
        "budget": BUDGET,
        "n_to_found": found,
        "cpu_s": float(np.median(cpu_s[peers.N_START + 1 :] or [np.nan])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", default="0:10")
    parser.add_argument("--peers", nargs="+", choices=peers.AGENTS, help="compare these")
    arguments = parser.parse_args()
    first, end = map(int, arguments.seeds.split(":"))
    if arguments.peers:
        for name, target, options in CASES:
            if target in ("map", "total"):
                sample = RecordedMap.load(arguments.data / name, **options)
                records = [
                    {**search(agent, sample, target, seed), "sample": name.split("_")[0]}
                    for agent in arguments.peers
                    for seed in range(first, end)
                ]
                print(report(records, peers.OURS), flush=True)
        return
    print("| map | points | target | agent | to 95 %: 50 % | best seed | worst seed | best cell |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, target, options in CASES:
        sample = RecordedMap.load(arguments.data / name, **options)
        for agent in ("bayesian", "random"):
            trials = [
                trial
                for _, _, trial in replay_trials(
                    lambda seed, sample=sample: sample,
                    agents=[agent],
                    seeds=range(first, end),
                    target=target,
                    budget=BUDGET,
                )
            ]
            bright = [trial.score.n_to_95 or BUDGET + 1 for trial in trials]
            best = [trial.score.n_to_best_cell or BUDGET + 1 for trial in trials]
            cells = [np.median(bright), min(bright), max(bright), np.median(best)]
            texts = [f"{c:g}" if c <= BUDGET else f"> {BUDGET}" for c in cells]
            print(
                f"| {name.split('_')[0]} | {len(sample.grid[0])} | {target} | {agent} | "
                f"{' | '.join(texts)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
