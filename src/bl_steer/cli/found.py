"""What the commands that steer print of what they found."""

from __future__ import annotations

from typing import Any

from bl_steer.cli.options import print_columns, print_row
from bl_steer.progress import coordinate, significant
from bl_steer.runs import Run, read_outcomes

__all__ = [
    "counts_of",
    "place_of",
    "print_found",
    "print_front",
    "print_outlook",
    "print_run",
    "print_told",
]

PLACE = ("x_um", "y_um")


def print_found(report: dict[str, Any]) -> None:
    """Print how a search on a film of known truth did."""
    if "targets" in report:
        _print_targets(report)
        return
    first = report["n_to_found"]
    print(
        f"film          {report['preset']}, seed {report['seed']}, {report['grid_points']} points\n"
        f"point A       reported at {place_of(report, 'best')}, "
        f"truly at {place_of(report, 'true')}: "
        f"{'found' if report['found'] else 'not found'}\n"
        f"measurements  {report['n_measured']}"
        f"{f', A reached at number {first}' if first else ', A never reached'}\n"
        f"beam time     {report['beam_time_s'] / 60:.1f} min{_until_found(report)}, "
        f"the whole grid {report['grid_time_s'] / 60:.1f} min: "
        f"{report['speedup']:.0f} times as fast\n"
        f"thinking      {1000 * report['decision_cpu_s_median']:.1f} ms of CPU a decision (median)"
    )


def _print_targets(report: dict[str, Any]) -> None:
    print(
        f"film          {report['preset']}, seed {report['seed']}, {report['grid_points']} points"
    )
    for number, spot in enumerate(report["targets"], 1):
        first = spot["n_to_found"]
        print(
            f"target {number}      {spot['target']}: reported at {place_of(spot, 'best')} "
            f"with {significant(spot['best_value'], 4)} ± "
            f"{significant(spot['best_sd'], 2)} counts, "
            f"truly at {place_of(spot, 'true')}: "
            f"{'found' if spot['found'] else 'not found'}"
            f"{f', reached at number {first}' if first else ', never reached'}"
        )
    print_front(report)
    print(
        f"measurements  {report['n_measured']}\n"
        f"beam time     {report['beam_time_s'] / 60:.1f} min{_until_found(report)}, "
        f"the whole grid {report['grid_time_s'] / 60:.1f} min: "
        f"{report['speedup']:.0f} times as fast\n"
        f"thinking      {1000 * report['decision_cpu_s_median']:.1f} ms of CPU a decision (median)"
    )


def print_front(report: dict[str, Any]) -> None:
    """Print the places that no other one beats, where these were sought."""
    if "front" not in report:
        return
    print("no other place beats these (counts by the model of each target)")
    columns: dict[str, list[Any]] = {key: [row[key] for row in report["front"]] for key in PLACE}
    for number in range(len(report["targets"])):
        columns[f"target {number + 1}"] = [
            f"{significant(row['values'][number], 4)} ± {significant(row['sds'][number], 2)}"
            for row in report["front"]
        ]
    print_columns(columns)


def place_of(report: dict[str, Any], which: str) -> str:
    """Return the best or the true place of a report."""
    return f"({', '.join(coordinate(report[f'{which}_{axis}_um'], 3) for axis in 'xy')}) µm"


def _until_found(report: dict[str, Any]) -> str:
    seconds = report["time_to_found_s"]
    return "" if seconds is None else f" (A reached after {seconds:.0f} s)"


def print_outlook(report: dict[str, Any]) -> None:
    """Print how sure a search is in the end, of each target."""
    for spot in report.get("targets", [report]):
        of = f" [{spot['target']}]" if "targets" in report else ""
        if "p_right" in spot:
            sure = f"{100 * spot['p_right']:.1f} %, by the model"
            print(f"right         with a probability of {sure}{of}")
        if "p_better" in spot:
            ended = "rule met" if report["stop_reason"] == "stop" else "rule not met"
            print(
                f"a better spot  with a probability of {100 * spot['p_better']:.1f} % ({ended}); "
                f"hills narrower than {spot['hidden_width_um']:.3g} µm could hide{of}"
            )


def print_run(report: dict[str, Any]) -> None:
    """Print how to look at the run."""
    uid = report["run_uid"][:8]
    print_row("run", f"{uid} (bl-steer show {uid})")


def print_told(key: str, value: Any) -> None:
    """Print what a run tells under a key: a line, or a table of its spots."""
    if key != "spots":
        print(f"{key:22}{value}")
        return
    print(key)
    names = [n for n in value[0] if n in ("target", "best_x", "best_y", "best_z")]
    names += ["best_value", "best_sd", *(n for n in ("p_better", "hidden_width") if n in value[0])]
    print_columns({name: [spot[name] for spot in value] for name in names})


def counts_of(run: Run) -> dict[str, int]:
    """Return how many points a run has, and how many events and frames these are."""
    n_frames = 0 if run.frames is None else len(run.frames) * run.frames.shape[1]
    n_events = len(run.primary.get("seq_num", ()))
    seen = run.streams.get("seen")
    return {
        "n_points": run.n_points,
        **({"n_seen": len(read_outcomes(seen["outcomes"][-1]))} if seen else {}),
        "n_events": n_events,
        "n_frames": n_frames,
    }
