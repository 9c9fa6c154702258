"""Two phases sought in one search, beside one search for each; and how much of their front.

    python benchmarks/bench_targets.py [--seeds 100:120] [--preset multi-domain] [--budget 150]
        [--target A --target B] [--front]

The number of measurements until each phase's brightest spot is measured. Of two searches one after
another it is the sum, as if one knew when each has found its spot; twice the larger is what two
searches of equal length need. With ``--front`` the share of the volume that the film's own front
dominates, by the true values at the places measured. The loop of `bl_steer.steering` without
Bluesky: decisions and outcomes as in a run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from bl_steer.agents import Space
from bl_steer.protocols import Array
from bl_steer.runs import PointResult
from bl_steer.single_thread import single_thread
from bl_steer.steering import build_loop, dominated_volume, score
from bl_steer.steering.hypervolume import reference_values
from simulators.film import SigeFilm, true_map

GE_RICH, RIGHT_TILTED = "ref:x=0.45,R=0.9,tilt=0", "ref:x=0.2,R=0.9,tilt=0.3"
EXPOSURE_S = 10.0
OVERHEAD_S = 1.2
RULES = (
    "masks",
    "careful",
    "scales",
    "noise_per_point",
    "gives_up",
    "explores",
    "textured",
    "sparing",
)
LOOKED_AT = (20, 30, 48, 60)


def search(
    film: SigeFilm, seed: int, targets: list[str], n: int, agent: str = "bayesian", **settings: Any
) -> Iterator[tuple[Array, float]]:
    """Steer over a film; yields the places so far, (n, 2), and the CPU of a decision, s."""
    x, y = film.grid
    space = Space.grid(np.unique(x), np.unique(y))
    steering = build_loop(
        {
            "target": targets if len(targets) > 1 else targets[0],
            "agent": agent,
            "agent_options": {},
            "seed": seed,
            "budget": n,
            "grid": space.to_dict(),
            **dict.fromkeys(RULES, True),
            **settings,
        },
        film.axes,
    )
    places: list[list[float]] = []
    for shot in range(n):
        decision = steering.decide()
        places.append([decision.x, decision.y])
        yield np.array(places), decision.think_cpu_s
        frame, counts = film.expose(
            decision.x,
            decision.y,
            exposure_s=EXPOSURE_S,
            time_s=shot * (EXPOSURE_S + OVERHEAD_S),
            shot=shot,
        )
        pattern = frame.ravel() * (film.nominal_monitor * EXPOSURE_S / counts)
        steering.observe(PointResult(pattern if frame.any() else None))


def until_found(film: SigeFilm, seed: int, targets: list[str], budget: int) -> tuple[float, float]:
    """Return after how many points the spots of all targets were measured, and CPU a decision."""
    x, y = film.grid
    points, reach = np.stack([x, y], axis=1), np.array([5.0, 5.0])
    truths = [true_map(film, target, exposure_s=EXPOSURE_S) for target in targets]
    cpu = []
    for places, seconds in search(film, seed, targets, budget):
        cpu.append(seconds)
        scores = [score(places, places[-1], points, truth, reach=reach) for truth in truths]
        if all(found.n_to_found for found in scores):
            return len(places), float(np.median(cpu))
    return np.inf, float(np.median(cpu))


def shares(film: SigeFilm, seed: int, targets: list[str], n: int, **how: Any) -> list[float]:
    """Return the share of the volume of the film's front at each of `LOOKED_AT` points."""
    points = np.stack(film.grid, axis=1)
    truth = np.stack([true_map(film, t, exposure_s=EXPOSURE_S) for t in targets], axis=1)
    reference = reference_values(truth)
    whole = dominated_volume(truth, reference)
    *_, (places, _) = search(film, seed, targets, n, **how)
    cells = [int(np.argmin(np.hypot(*(points - place).T))) for place in places]
    return [dominated_volume(truth[cells[:m]], reference) / whole for m in LOOKED_AT]


def compare_numbers(films: Iterator[tuple[int, SigeFilm]], targets: list[str], budget: int) -> None:
    """Print how many measurements it takes, one search beside several."""
    rows, cpus = [], []
    for seed, film in films:
        alone = [until_found(film, seed, [target], budget)[0] for target in targets]
        together, cpu = until_found(film, seed, targets, budget)
        rows.append([*alone, sum(alone), len(alone) * max(alone), together])
        cpus.append(cpu)
        print(seed, *rows[-1], flush=True)
    names = [*targets, "one after another", "of equal length", "in turn"]
    table = np.array(rows)
    for name, column in zip(names, table.T, strict=True):
        wins, losses = (table[:, -1] < column).sum(), (table[:, -1] > column).sum()
        quartiles = np.percentile(column, [50, 75, 95], method="nearest")
        print(
            f"{name:28}median {quartiles[0]:3.0f}, 75th {quartiles[1]:3.0f}, 95th "
            f"{quartiles[2]:3.0f}, missed {np.isinf(column).sum()}; in turn before it {wins} : "
            f"{losses}"
        )
    print(f"CPU of a joint decision {1000 * np.median(cpus):.1f} ms (median)")


def compare_fronts(films: Iterator[tuple[int, SigeFilm]], targets: list[str]) -> None:
    """Print how much of the front's volume is measured, by the way of searching."""
    ways: dict[str, dict[str, Any]] = {
        "pareto": {"pareto": True},
        "in turn": {},
        "random": {"agent": "random"},
    }
    rows = []
    for seed, film in films:
        n = max(LOOKED_AT)
        rows.append([shares(film, seed, targets, n, **how) for how in ways.values()])
        print(seed, *np.round(np.array(rows[-1])[:, -1], 3), flush=True)
    table = np.array(rows)
    for way, column in zip(ways, table.transpose(1, 2, 0), strict=True):
        told = ", ".join(
            f"{m}: {100 * np.median(share):.1f} ({100 * np.percentile(share, 10):.1f})"
            for m, share in zip(LOOKED_AT, column, strict=True)
        )
        print(f"{way:10}% of the volume at points, median (10th percentile): {told}")
    for n, m in enumerate(LOOKED_AT):
        wins = [(table[:, 0, n] > table[:, k, n]).sum() for k in (1, 2)]
        print(f"at {m} points pareto is ahead of in turn on {wins[0]}, of random on {wins[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="100:120")
    parser.add_argument("--preset", default="multi-domain")
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--target", action="append")
    parser.add_argument("--front", action="store_true")
    arguments = parser.parse_args()
    targets = arguments.target or [GE_RICH, RIGHT_TILTED]
    seeds = range(*map(int, arguments.seeds.split(":")))
    films = ((seed, SigeFilm(arguments.preset, seed=seed)) for seed in seeds)
    with single_thread():
        if arguments.front:
            compare_fronts(films, targets)
        else:
            compare_numbers(films, targets, arguments.budget)


if __name__ == "__main__":
    main()
