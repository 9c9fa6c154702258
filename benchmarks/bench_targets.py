"""Measurements until both of two phases are found: in one search, beside one search for each.

    python benchmarks/bench_targets.py [--seeds 100:130] [--preset multi-domain] [--budget 150]
        [--target A --target B]

The loop of `bl_steer.steering` without Bluesky: decisions and outcomes as in a run.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from bl_steer.agents import Space
from bl_steer.protocols import Array
from bl_steer.runs import PointResult
from bl_steer.single_thread import single_thread
from bl_steer.steering import score
from bl_steer.steering.building import build_loop
from simulators.film import SigeFilm, true_map

GE_RICH, RIGHT_TILTED = "ref:x=0.45,R=0.9,tilt=0", "ref:x=0.2,R=0.9,tilt=0.3"
EXPOSURE_S = 10.0
OVERHEAD_S = 1.2


def search(
    film: SigeFilm, seed: int, targets: list[str], budget: int, **settings: Any
) -> tuple[list[int | None], list[float]]:
    """Steer over a film; return after how many points each target's A was measured, and CPU s."""
    x, y = film.grid
    space = Space.grid(np.unique(x), np.unique(y))
    truths = [true_map(film, target, exposure_s=EXPOSURE_S) for target in targets]
    steering = build_loop(
        {
            "target": targets if len(targets) > 1 else targets[0],
            "agent": "bayesian",
            "agent_options": {},
            "seed": seed,
            "budget": budget,
            "grid": space.to_dict(),
            "masks": True,
            "careful": True,
            "scales": True,
            "noise_per_point": True,
            "gives_up": True,
            "explores": True,
            "sparing": True,
            **settings,
        },
        film.axes,
    )
    places: list[list[float]] = []
    cpu: list[float] = []
    found: list[int | None] = [None] * len(targets)
    while steering.n_observed < budget and None in found:
        shot = steering.n_observed
        decision = steering.decide()
        places.append([decision.x, decision.y])
        cpu.append(decision.think_cpu_s)
        frame, counts = film.expose(
            decision.x,
            decision.y,
            exposure_s=EXPOSURE_S,
            time_s=shot * (EXPOSURE_S + OVERHEAD_S),
            shot=shot,
        )
        steering.observe(PointResult(frame.ravel() * (film.nominal_monitor * EXPOSURE_S / counts)))
        found = [_first(places, space, truth) for truth in truths]
    return found, cpu


def _first(places: list[list[float]], space: Space, truth: Array) -> int | None:
    measured = np.array(places)
    return score(measured, measured[-1], space.points, truth, reach=space.steps).n_to_found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="100:130")
    parser.add_argument("--preset", default="multi-domain")
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--target", action="append")
    arguments = parser.parse_args()
    targets = arguments.target or [GE_RICH, RIGHT_TILTED]
    never = 2 * arguments.budget
    rows, cpus = [], []
    with single_thread():
        for seed in range(*map(int, arguments.seeds.split(":"))):
            film = SigeFilm(arguments.preset, seed=seed)
            alone = [search(film, seed, [t], arguments.budget)[0][0] or never for t in targets]
            row = [*alone, sum(alone)]
            found, cpu = search(film, seed, targets, arguments.budget)
            row.append(max(n or never for n in found))
            cpus.append(np.median(cpu[10:]))
            rows.append(row)
            print(seed, *row, flush=True)
    table = np.array(rows, dtype=float)
    for name, column in zip(
        [*(f"{t} alone" for t in targets), "one after another", "in turn"],
        table.T,
        strict=True,
    ):
        shares = np.percentile(column, [50, 75, 95])
        wins = int((column < table[:, len(targets)]).sum())
        losses = int((column > table[:, len(targets)]).sum())
        print(
            f"{name:40}median {shares[0]:.0f}, 75th {shares[1]:.0f}, 95th {shares[2]:.0f}; "
            f"missed {int((column >= never).sum())}; fewer than one after another {wins} : {losses}"
        )
    print(f"CPU of a joint decision, median {1000 * np.median(cpus):.1f} ms")


if __name__ == "__main__":
    main()
