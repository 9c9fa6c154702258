"""How well a map, and the outline at half its range, come out of few points: beside an even grid.

    python benchmarks/bench_mapping.py [--seeds 100:120] [--presets smooth multi-domain] [--maps]

The agent alone, without a RunEngine, on the outcomes of simulated exposures of 10 s (target
`FROZEN`), and on recorded maps as they are; scored against the noise-free map. The even grid is the
largest with at most as many points (`bl_steer.trials.mapping.even_grid`); of it maps are made by
the agent's own model, by linear and by cubic interpolation. "spread" are as many points of the
agent's start design, maximin, "random" random ones, both with the agent's model. A table in
Markdown: medians over the seeds, and the quartiles of the chosen points.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.design import StartName
from bl_steer.agents.mapping.goal import Goal
from bl_steer.features import make_feature
from bl_steer.protocols import Array
from bl_steer.runs import PointResult
from bl_steer.steering.learning import outcomes_again
from bl_steer.trials.mapping import even_maps, map_score
from bl_steer.trials.trial import sample_space
from simulators.film import RecordedMap, SigeFilm, true_map

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "maps"
FROZEN = "ref:x=0.45,R=0.9,tilt=0"
RECORDED = [
    ("sxdm_fast_wse2_darkfield.npz", "map", {"clip": 99.9, "stride": 10}),
    ("bepfm_gpim_32x32.npz", "total", {}),
    ("bepfm_gpim_32x32.npz", "nmf:3@box:30,50", {}),
    ("eds_coreshell_hyperspy.npz", "total", {}),
    ("eds_coreshell_hyperspy.npz", "nmf:3@box:6.2,6.6", {}),
    ("raman_thp1_cell_L5.npz", "total", {}),
    ("raman_thp1_cell_L5.npz", "nmf:4@box:1430,1470", {}),
]
EXPOSURE_S = 10.0
BUDGETS = {"map": 115, "level=50%": 100}
KINDS = ("chosen", "even model", "even linear", "even cubic", "spread", "random")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="100:120")
    parser.add_argument("--presets", nargs="*", default=["smooth", "multi-domain"])
    parser.add_argument("--maps", action="store_true", help="recorded maps as well")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    first, end = map(int, arguments.seeds.split(":"))
    print(f"| sample | goal | points | {' | '.join(KINDS)} | quartiles | expected | CPU ms |")
    print(f"| {' | '.join(['---'] * (len(KINDS) + 6))} |")
    for preset in arguments.presets:
        films = (film(preset, seed) for seed in range(first, end))
        tell(f"{preset}, {end - first} films", list(films))
    for name, target, options in RECORDED if arguments.maps else ():
        recorded = RecordedMap.load(arguments.data / name, **options)
        truth = true_map(recorded, target)
        sample = Measurable(0, sample_space(recorded), truth, truth)
        tell(f"{name.split('_')[0]}, {target}", [sample])


@dataclass(frozen=True)
class Measurable:
    """A sample with its true map, what an exposure of each cell gives, and what it might give."""

    seed: int
    space: Space
    truth: Array
    outcomes: Array
    again: Callable[[int], Array | None] = lambda cell: None


def film(preset: str, seed: int) -> Measurable:
    """Return a film whose cells are exposed."""
    sample = SigeFilm(preset, seed=seed)
    feature = make_feature(FROZEN, sample.axes)
    nominal = sample.nominal_monitor * EXPOSURE_S
    shots = [
        sample.expose(x, y, exposure_s=EXPOSURE_S, time_s=11.0 * shot, shot=shot)
        for shot, (x, y) in enumerate(zip(*sample.grid, strict=True))
    ]
    worth = nominal / np.array([monitor for _, monitor in shots])
    frames = np.array([frame.ravel() for frame, _ in shots]) * worth[:, None]
    truth, outcomes = true_map(sample, FROZEN, exposure_s=EXPOSURE_S), feature.transform(frames)
    # Hot pixels and zingers are masked in a run, before the feature sees them.
    off = np.abs(outcomes - truth)
    spoilt = ~(off <= 6.0 * 1.4826 * np.nanmedian(off))

    def again(cell: int) -> Array | None:
        return outcomes_again(feature, PointResult(frames[cell], count=worth[cell]), cell)

    outcomes = np.where(spoilt, truth, outcomes)
    return Measurable(seed, sample_space(sample), truth, outcomes, again)


def tell(name: str, samples: list[Measurable]) -> None:
    """Print a row for each goal."""
    for text, budget in BUDGETS.items():
        goal, errors, expected, cpu = Goal.parse(text), [], [], []
        for sample in samples:
            space, truth = sample.space, sample.truth
            agent = BayesianAgent(space, seed=sample.seed, goal=text)
            cpu += list(measure(agent, sample, budget))
            _, even = even_maps(space, budget, sample.outcomes)
            maps = {f"even {kind}": values for kind, values in even.items()}
            starts: list[tuple[str, StartName]] = [("spread", "maximin"), ("random", "random")]
            for kind, start in starts:
                other = BayesianAgent(space, seed=sample.seed, n_start=budget, start=start)
                list(measure(other, sample, budget))
                maps[kind] = other.predict(space.points)[0]
            mean, sd = agent.predict(space.points)
            above = None
            if goal.kind == "level":
                p, _ = agent.outlined(goal, goal.level_in(mean))
                above = p > 0.5
                expected.append(float(np.mean(np.minimum(p, 1.0 - p))))
            else:
                expected.append(float(np.sqrt(np.mean(sd**2)) / np.ptp(mean)))
            maps["chosen"] = mean
            errors.append(
                [map_score(goal, maps[k], truth, above if k == "chosen" else None) for k in KINDS]
            )
        cells = [f"{100 * e:.2f} %" for e in np.median(errors, axis=0)]
        low, high = np.percentile([e[0] for e in errors], [25, 75])
        print(
            f"| {name} | {text} | {budget} | {' | '.join(cells)} | "
            f"{100 * low:.2f} … {100 * high:.2f} % | {100 * np.median(expected):.2f} % | "
            f"{1000 * np.median(cpu):.0f} |",
            flush=True,
        )


def measure(agent: BayesianAgent, sample: Measurable, budget: int) -> Iterator[float]:
    """Measure with an agent; yields the CPU time of each decision, s."""
    for _ in range(budget):
        started = time.process_time()
        point = agent.suggest()[0]
        yield time.process_time() - started
        cell = sample.space.index_of(point["x"], point["y"])
        if agent.wants_noise and (again := sample.again(cell)) is not None:
            agent.learn_noise(again, 1.0)
        agent.ingest([{**point, "objective": float(sample.outcomes[cell])}])


if __name__ == "__main__":
    main()
