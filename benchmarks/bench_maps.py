"""Steer over real recorded maps, beside random search and plain BoTorch.

    python benchmarks/bench_maps.py [--data DIR] [--seeds 0:10]

The maps lie in ../shared/data/maps from the project's root; see its README for their sources.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bl_steer.trials.trial import replay_trials
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", default="0:10")
    arguments = parser.parse_args()
    first, end = map(int, arguments.seeds.split(":"))
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
