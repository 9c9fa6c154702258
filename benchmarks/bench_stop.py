"""When a rule stops a search, whether it is right, and whether its probabilities come true.

    python benchmarks/bench_stop.py [--seeds 100:200] [--presets multi-domain rough]
        [--stop W=20] [--budget 150] [--traces FILE] [--figure PNG]

The loop of `bl_steer.steering` without Bluesky: decisions and outcomes as in a run. Right is a
search that had measured A when the rule was met. Traces of earlier calls in the same file count.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bl_steer.agents import Space, make_agent
from bl_steer.features import make_feature
from bl_steer.runs import PointResult
from bl_steer.single_thread import single_thread
from bl_steer.steering import Steering, StopRule, score
from simulators.film import SigeFilm, true_map

FROZEN = "ref:x=0.45,R=0.9,tilt=0"
EXPOSURE_S = 10.0
OVERHEAD_S = 1.2
WIDE_UM = 20.0
EDGES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0)


def search(
    preset: str, seed: int, rule: StopRule, budget: int, target: str = FROZEN
) -> dict[str, Any]:
    """Steer over a film until the rule is met; return what was stated after each point."""
    film = SigeFilm(preset, seed=seed)
    x, y = film.grid
    space = Space.grid(np.unique(x), np.unique(y))
    steering = Steering(
        make_agent("bayesian", space, seed=seed),
        make_feature(target, film.axes, masks=True),
        budget=budget,
        space=space,
        stop=rule,
    )
    places, stated, reasons = [], [], []
    while steering.n_observed < budget and not steering.is_done:
        shot = steering.n_observed
        decision = steering.decide()
        frame, counts = film.expose(
            decision.x,
            decision.y,
            exposure_s=EXPOSURE_S,
            time_s=shot * (EXPOSURE_S + OVERHEAD_S),
            shot=shot,
        )
        pattern = frame.ravel() * (film.nominal_monitor * EXPOSURE_S / counts)
        steering.observe(PointResult(pattern if frame.any() else None))
        outlook = steering.outlook
        places.append((decision.x, decision.y))
        reasons.append(decision.reason)
        stated.append([1.0, 1.0] if outlook is None else [outlook.p_hidden, outlook.p_better])
    best = steering.report()
    truth = true_map(film, target, exposure_s=EXPOSURE_S)
    measured = score(
        np.array(places), np.array([best.x, best.y]), space.points, truth, reach=space.pitch
    )
    return {
        "preset": preset,
        "seed": seed,
        "fwhm_um": sorted(film.fields.main_fwhm_um),
        "n_to_found": measured.n_to_found,
        "found": measured.found,
        "n": steering.n_observed,
        "done": steering.is_done,
        "hidden_width": steering.hidden_width,
        "p_hidden": [p for p, _ in stated],
        "p_better": [p for _, p in stated],
        "n_excluding": reasons.count("exclude"),
    }


def reliability(traces: list[dict[str, Any]]) -> list[tuple[float, float, int, int]]:
    """Return mean stated and observed probability, statements and films of each bin of `EDGES`."""
    rows = [
        (stated, trace["n_to_found"] is None or n < trace["n_to_found"], number)
        for number, trace in enumerate(traces)
        for n, stated in enumerate(trace["p_better"], 1)
        if n >= 10
    ]
    stated, missed, film = np.array(rows).T
    bins = np.digitize(stated, EDGES[1:-1])
    return [
        (
            float(stated[bins == b].mean()),
            float(missed[bins == b].mean()),
            int((bins == b).sum()),
            len(np.unique(film[bins == b])),
        )
        for b in range(len(EDGES) - 1)
        if (bins == b).any()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="100:200")
    parser.add_argument(
        "--presets", nargs="+", default=["multi-domain", "rough", "noisy", "smooth", "needle"]
    )
    parser.add_argument("--stop", default="W=20")
    parser.add_argument("--target", default=FROZEN)
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--narrowest", type=float, default=0.0, help="of the main hill, µm")
    parser.add_argument("--traces", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    rule = StopRule.parse(arguments.stop)
    traces: list[dict[str, Any]] = []
    if arguments.traces and arguments.traces.exists():
        traces = [json.loads(line) for line in arguments.traces.read_text().splitlines()]
    known = {(trace["preset"], trace["seed"]) for trace in traces}
    with single_thread():
        for seed in range(*map(int, arguments.seeds.split(":"))):
            for preset in arguments.presets:
                widths = SigeFilm(preset, seed=seed).fields.main_fwhm_um
                if (preset, seed) not in known and min(widths) >= arguments.narrowest:
                    traces.append(search(preset, seed, rule, arguments.budget, arguments.target))
                    if arguments.traces:
                        with arguments.traces.open("a") as file:
                            file.write(json.dumps(traces[-1]) + "\n")
    _print(traces, rule, arguments.budget)
    if arguments.figure:
        _draw(traces, rule).savefig(arguments.figure, dpi=120)


def _print(traces: list[dict[str, Any]], rule: StopRule, budget: int) -> None:
    wide = [trace for trace in traces if trace["fwhm_um"][0] >= WIDE_UM]
    groups = {p: [t for t in traces if t["preset"] == p] for p in {t["preset"]: 0 for t in traces}}
    print(f"| {rule} | films | stopped in {budget} | right | measurements 50/75/95 % | stated |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, group in {**groups, f"hill ≥ {WIDE_UM:g} µm": wide}.items():
        done = [trace for trace in group if trace["done"]]
        if not done:
            print(f"| {name} | {len(group)} | 0 | | | |")
            continue
        right = sum(trace["n_to_found"] is not None for trace in done)
        spent = np.percentile([t["n"] for t in group], [50, 75, 95], method="higher")
        stated = np.mean([trace["p_better"][-1] for trace in done])
        print(
            f"| {name} | {len(group)} | {len(done)} | {right} ({100 * right / len(done):.1f} %) | "
            f"{' / '.join(f'{s:g}' for s in spent)} | {100 * stated:.1f} % |"
        )
    print("\n| stated | came true | statements | films |\n| --- | --- | --- | --- |")
    for row in reliability([t for t in traces if t["preset"] not in ("smooth", "needle")]):
        print("| {:.3f} | {:.3f} | {} | {} |".format(*row))


def _draw(traces: list[dict[str, Any]], rule: StopRule) -> Figure:
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color="0.6", lw=1)
    ax.fill_between([0, 1], [-0.05, 0.95], [0.05, 1.05], color="0.9", lw=0)
    groups = {
        "hills of 15 to 25 µm": [t for t in traces if t["preset"] not in ("smooth", "needle")],
        f"hill ≥ {WIDE_UM:g} µm": [
            t for t in traces if t["fwhm_um"][0] >= WIDE_UM and t["preset"] != "smooth"
        ],
        "smooth (66 to 99 µm)": [t for t in traces if t["preset"] == "smooth"],
    }
    for marker, (name, group) in zip("os^", groups.items(), strict=True):
        if group:
            rows = np.array(reliability(group))
            label = f"{name}, {len(group)} films"
            ax.plot(rows[:, 0], rows[:, 1], marker=marker, label=label)
    ax.set(
        xlabel="stated: probability of a better spot",
        ylabel="observed: A not yet measured",
        xlim=(0, 1),
        ylim=(-0.02, 1),
        title=f"stop = {rule}",
        aspect="equal",
    )
    ax.legend(fontsize=8, loc="upper left")
    return figure


if __name__ == "__main__":
    main()
