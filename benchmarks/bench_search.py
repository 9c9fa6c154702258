"""How many measurements each agent needs to find point A, on the same films, in one run.

    python benchmarks/bench_search.py [--seeds 0:30] [--presets multi-domain smooth] [--json FILE]

Every trial goes through the RunEngine and the simulated beamline. A table in Markdown, medians and
75th and 95th percentiles of the measurements until a point within 5 µm of A, or of 95 % of its
value, was measured; "never" counts as more than the budget.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from bl_steer.trials.trial import replay_trials
from simulators.film.sige_film import SigeFilm

ONLINE = "nmf:4@x=0.45,R=0.9,tilt=0"
FROZEN = "ref:x=0.45,R=0.9,tilt=0"
BUDGETS = {"smooth": 60}
CASES = [
    ("bayesian", ONLINE),
    ("bayesian", FROZEN),
    ("bayesian-random-start", ONLINE),
    ("botorch", FROZEN),
    ("random", FROZEN),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0:30")
    parser.add_argument("--presets", nargs="+", default=["multi-domain", "smooth"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    first, end = map(int, arguments.seeds.split(":"))
    records = []
    for preset in arguments.presets:
        budget = BUDGETS.get(preset, 100)
        print(f"\n{preset}, seeds {arguments.seeds}, budget {budget}\n")
        print("| agent | target | 50 % | 75 % | 95 % | found | CPU ms a decision |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for agent, target in CASES:
            started = time.perf_counter()
            trials = [
                (seed, trial)
                for _, seed, trial in replay_trials(
                    lambda seed, preset=preset: SigeFilm(preset, seed=seed),
                    agents=[agent],
                    seeds=range(first, end),
                    target=target,
                    budget=budget,
                )
            ]
            counts = [trial.score.n_to_found or budget + 1 for _, trial in trials]
            percentiles = [np.median(counts), *np.percentile(counts, [75, 95], method="higher")]
            cells = [f"{c:g}" if c <= budget else f"> {budget}" for c in percentiles]
            found = sum(trial.score.found for _, trial in trials)
            cpu_ms = 1000 * np.median([trial.decision_cpu_s_median for _, trial in trials])
            print(
                f"| {agent} | {target} | {' | '.join(cells)} | {found} of {len(trials)} "
                f"| {cpu_ms:.1f} |",
                flush=True,
            )
            records.append(
                {
                    "preset": preset,
                    "agent": agent,
                    "target": target,
                    "budget": budget,
                    "n_to_found": {seed: trial.score.n_to_found for seed, trial in trials},
                    "wall_s": time.perf_counter() - started,
                }
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
