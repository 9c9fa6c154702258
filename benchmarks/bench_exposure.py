"""Beam time until point A is first measured: exposures of one length, and chosen by the agent.

    python benchmarks/bench_exposure.py [--seeds 100:200] [--presets multi-domain noisy smooth]
        [--exposures adaptive 0.5 0.1x4 10] [--budget 200] [--file FILE.jsonl]

The loop, its agent and its feature are those of `plans.find_hotspot`, and so are the frames of the
simulated film; RunEngine and devices are left out, and the time is counted: 50 µm/s, .9 s to
settle, .2 s to read out, 10 s for a look in full. A line of JSON for each film; seeds that the
file has already are not run again. Then a table in Markdown of all that it holds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.agents import Space, SpaceExhausted
from bl_steer.diffraction import SummedFrames
from bl_steer.features import DEFAULT_TARGET
from bl_steer.runs import Points
from bl_steer.runs.readout import Exposure
from bl_steer.steering import DetectorDeadError, build_steering, score
from simulators.film import SigeFilm, true_map
from simulators.film.beamline import READOUT_S, SETTLE_S, SPEED

FULL_S = 10.0
GRID_S = 961 * (FULL_S + SETTLE_S + READOUT_S) + 960 * 5.0 / SPEED
HEADS = (
    "film",
    "exposure",
    "films",
    "measurements to A: 50 / 75 / 95 %",
    "beam time to A: 50 / 75 / 95 %",
    "of the grid's: 50, 95 %",
    "never",
    "wrong",
    "stated",
    "confirming: 50 / 95 %",
    "all: 50 / 95 %",
)


def search(preset: str, seed: int, exposure: str, budget: int) -> dict[str, Any]:
    """Steer over one film; return when A was found, and what the run reports.

    An exposure of ``"0.1x4"`` is one of .1 s, with four points decided together.
    """
    name = exposure
    exposure, _, batch = exposure.partition("x")
    film = SigeFilm(preset, seed=seed)
    x, y = film.grid
    space = Space.grid(np.unique(x), np.unique(y))
    adaptive = exposure == "adaptive"
    full_s = FULL_S if adaptive else float(exposure)
    settings = {
        "target": DEFAULT_TARGET,
        "agent": "bayesian",
        "agent_options": {},
        "seed": seed,
        "budget": budget,
        "batch": int(batch or 1),
        "grid": space.to_dict(),
        "masks": True,
        "careful": True,
        "noise_per_point": True,
        "scales": True,
        "exact": True,
        "explores": True,
        "selects": True,
        "sums": True,
        "sparing": True,
        "looks": {"full_s": full_s} if adaptive else None,
    }
    steering = build_steering(settings, film.axes)
    points = Points(SummedFrames(film.axes), nominal_counts=film.nominal_monitor * full_s)
    truth, here, now, cpu = true_map(film, DEFAULT_TARGET), space.points[0], 0.0, time.thread_time()
    places, times, exposures, reasons = [], [], [], []
    move_s = expose_s = float("nan")
    confirming = 0.0
    for shot in range(budget):
        try:
            decision = steering.decide(move_s=move_s, expose_s=expose_s)
        except SpaceExhausted:
            break
        place = np.array([decision.x, decision.y])
        exposure_s = decision.exposure_s if adaptive else full_s
        move_s, expose_s = np.abs(place - here).max() / SPEED + SETTLE_S, exposure_s + READOUT_S
        here, now = place, now + move_s
        frame, monitor = film.expose(*place, exposure_s=exposure_s, time_s=now, shot=shot)
        now += expose_s
        places.append(place)
        times.append(now)
        exposures.append(exposure_s)
        reasons.append(decision.reason)
        confirming += (move_s + expose_s) * (decision.reason in ("compare", "confirm"))
        try:
            steering.observe(
                points.take([Exposure(frame[None], monitor, share=exposure_s / full_s)])
            )
        except DetectorDeadError:  # too few counts for any agent
            break
    best = steering.report()
    result = score(
        np.array(places), np.array([best.x, best.y]), space.points, truth, reach=space.steps
    )
    n = result.n_to_found
    return {
        "preset": preset,
        "seed": seed,
        "exposure": name,
        "budget": budget,
        "n_to_found": n,
        "time_to_found_s": None if n is None else times[n - 1],
        "found": result.found,
        "confirmed": best.confirmed,
        "p_right": best.p_right,
        "n_measured": len(places),
        "n_confirmed": sum(reason in ("confirm", "compare") for reason in reasons),
        "confirming_s": confirming,
        "beam_time_s": now,
        "exposure_s": [round(time_s, 4) for time_s in exposures],
        "cpu_s": time.thread_time() - cpu,
    }


def table(records: list[dict[str, Any]]) -> str:
    """Return medians and percentiles of a film's kind; "never" is above all.

    Wrong is a film on which A was measured, and another spot is reported; stated is the mean of
    the probabilities with which the agents held their spots right.
    """
    groups = defaultdict(list)
    for record in records:
        groups[record["preset"], record["exposure"], record["budget"]].append(record)
    lines = [f"| {' | '.join(HEADS)} |", "| --- " * len(HEADS) + "|"]
    for (preset, exposure, _), group in sorted(groups.items()):
        times = [r["time_to_found_s"] or np.inf for r in group]
        n_never = sum(np.isinf(times))
        stated = float(np.mean([r.get("p_right", np.nan) for r in group]))
        cells = (
            preset,
            exposure,
            str(len(group)),
            _joined([r["n_to_found"] or np.inf for r in group], 50, 75, 95),
            f"{_joined(times, 50, 75, 95)} s",
            ", ".join(f"1/{GRID_S / t:.0f}" for t in _percentiles(times, 50, 95)),
            str(n_never),
            str(sum(not r["found"] for r in group) - n_never),
            f"{stated:.1%}",
            f"{_joined([r.get('confirming_s', np.nan) for r in group], 50, 95)} s",
            f"{_joined([r['beam_time_s'] for r in group], 50, 95)} s",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percentiles(values: list[float], *shares: float) -> list[float]:
    return [float(np.percentile(values, share, method="higher")) for share in shares]


def _joined(values: list[float], *shares: float) -> str:
    return " / ".join(f"{value:.0f}" for value in _percentiles(values, *shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="100:200")
    parser.add_argument("--presets", nargs="+", default=["multi-domain", "noisy", "smooth"])
    parser.add_argument("--exposures", nargs="+", default=["adaptive"])
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--file", type=Path, default=Path("bench_exposure.jsonl"))
    arguments = parser.parse_args()
    first, end = map(int, arguments.seeds.split(":"))
    records = []
    if arguments.file.exists():
        records = [json.loads(line) for line in arguments.file.read_text().splitlines()]
    keys = ("preset", "exposure", "seed", "budget")
    known = {tuple(record[key] for key in keys) for record in records}
    for seed in range(first, end):
        for preset in arguments.presets:
            for exposure in arguments.exposures:
                if (preset, exposure, seed, arguments.budget) in known:
                    continue
                records.append(search(preset, seed, exposure, arguments.budget))
                with arguments.file.open("a") as file:
                    file.write(json.dumps(records[-1]) + "\n")
    print(f"the whole grid at {FULL_S:g} s: {GRID_S:.0f} s\n\n{table(records)}")


if __name__ == "__main__":
    main()
