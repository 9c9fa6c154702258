"""What the searches of `hotspot.py` came to: percentiles with their error, and who won.

An unfinished search counts as one that needed more than its budget. Intervals are those of 2,000
bootstrap samples of the films. A win is a film on which ours needed fewer; ties count for nobody,
and the probability is that of the sign test on both sides.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

__all__ = ["read", "report"]

Record = Mapping[str, Any]
HEADS = (
    "agent",
    "films",
    "50 %",
    "75 %",
    "95 %",
    "missed",
    "beam s, 50 / 95 %",
    "CPU ms a decision",
    "wins (p)",
)
PERCENTILES = (50, 75, 95)


def read(file: Path) -> list[Record]:
    """Return the records of a file of lines of JSON; none where there is no file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def report(records: Sequence[Record], ours: str) -> str:
    """Return a table in Markdown for each sample, of the films that all agents have searched."""
    samples: dict[str, dict[str, dict[int, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        samples[record["sample"]][record["agent"]][record["seed"]] = record
    return "\n".join(_table(name, agents, ours) for name, agents in samples.items())


def _table(sample: str, agents: Mapping[str, Mapping[int, Record]], ours: str) -> str:
    seeds = sorted(set.intersection(*(set(found) for found in agents.values())))
    lines = [f"\n### {sample}, {len(seeds)} films or starts, seeds {_written(seeds)}\n"]
    if not seeds:
        return lines[0]
    lines += [f"| {' | '.join(HEADS)} |", "| --- " * len(HEADS) + "|"]
    for agent, found in agents.items():
        rows = [found[seed] for seed in seeds]
        budget = rows[0]["budget"]
        counts = _counts(rows)
        cells = [_with_interval(counts, percentile, budget) for percentile in PERCENTILES]
        timed = all("beam_s" in r for r in rows)
        beam = [r["beam_s"] if r["n_to_found"] else np.inf for r in rows] if timed else [np.nan]
        seconds = np.percentile(beam, [50, 95], method="higher")
        beam_text = " / ".join("never" if np.isinf(s) else f"{s:.0f}" for s in seconds)
        cpu_ms = 1000 * np.median([s for r in rows if np.isfinite(s := r["cpu_s"])] or [np.nan])
        missed = sum(r["n_to_found"] is None for r in rows)
        wins = (
            ""
            if agent == ours or ours not in agents
            else _wins(_counts([agents[ours][s] for s in seeds]), counts)
        )
        lines.append(
            f"| {agent} | {len(rows)} | {' | '.join(cells)} | {missed} | {beam_text} "
            f"| {cpu_ms:.3g} | {wins} |".replace("nan", "–")
        )
    return "\n".join(lines)


def _counts(rows: Sequence[Record]) -> np.ndarray:
    return np.array([r["n_to_found"] or r["budget"] + 1 for r in rows])


def _with_interval(counts: np.ndarray, percentile: int, budget: int) -> str:
    rng = np.random.default_rng(0)
    draws = counts[rng.integers(len(counts), size=(2000, len(counts)))]
    method = "linear" if percentile == 50 else "higher"
    value = np.percentile(counts, percentile, method=method)
    low, high = np.percentile(np.percentile(draws, percentile, axis=1, method=method), [2.5, 97.5])
    value_text, low_text, high_text = (
        f"{v:.3g}" if v <= budget else f"> {budget}" for v in (value, low, high)
    )
    return f"{value_text} ({low_text}–{high_text})"


def _wins(ours: np.ndarray, theirs: np.ndarray) -> str:
    won, lost = int((ours < theirs).sum()), int((ours > theirs).sum())
    p = binomtest(won, won + lost).pvalue if won + lost else 1.0
    return f"{won} : {lost} ({p:.2g})"


def _written(seeds: Sequence[int]) -> str:
    if not seeds:
        return "none"
    whole = seeds == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]}–{seeds[-1]}" if whole else ", ".join(map(str, seeds))
