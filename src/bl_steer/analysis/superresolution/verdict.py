"""Do the networks predict slices that were left out better than what needs no training?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bl_steer.protocols import Table

__all__ = ["NETWORKS", "check_warnings", "is_gain", "verdict"]

NETWORKS = "super-resolved"
"""What readers know the networks' prediction by, as a method among others."""
KNOW_NOTHING = ("mean", "chance")
"""Methods that predict a slice without a look at those beside it."""
MARGIN_IOU, MARGIN_DB = 0.005, 0.1
"""Methods whose scores differ by less are alike."""


def verdict(scores: Table) -> str:
    """Return whether the networks predict left-out slices better than what needs no training.

    Parameters
    ----------
    scores : as `validation.leave_out` returns them
    """
    measure, best = ("miou", max) if "miou" in scores else ("rms_error", min)
    name = "mean IoU" if measure == "miou" else "rms error"
    by_method = dict(zip(np.asarray(scores["method"]).tolist(), scores[measure], strict=True))
    networks = by_method.pop(NETWORKS)
    simple = best(by_method, key=lambda method: by_method[method])
    other = by_method[simple]
    nothing = next((by_method[method] for method in KNOW_NOTHING if method in by_method), None)
    if nothing is not None and not any(_is_better(s, nothing, measure) for s in (networks, other)):
        least = "chance" if measure == "miou" else "mean"
        return (
            f"no method predicts the slices better than {least} "
            f"({name} {networks:.3f} against {nothing:.3f}): they show nothing of each other; do "
            "not use it"
        )
    beside = f"{simple} ({name} {networks:.3f} against {other:.3f})"
    if _is_better(networks, other, measure):
        return f"better than {beside}"
    how = "not better than" if _is_better(other, networks, measure) else "like"
    return f"{how} {beside}: train longer, or do not use it"


def is_gain(verdict: str) -> bool:
    """Return whether a verdict speaks for the networks."""
    return verdict.startswith("better than")


def check_warnings(card: Mapping[str, Any]) -> Iterator[str]:
    """Say that a model has shown no gain on the stack that it learnt from.

    Parameters
    ----------
    card : of the model; one without a check says nothing
    """
    check = card.get("check")
    if check is not None and not check["better"]:
        yield (
            "of slices left out of the stack that it learnt from, the model predicts as much as "
            f"this: {check['verdict']}. What it inserts is worth no more here"
        )


def _is_better(score: float, other: float, measure: str) -> bool:
    """Return whether a score is better than another by more than the margin."""
    if measure == "miou":
        return score > other + MARGIN_IOU
    return score * 10 ** (MARGIN_DB / 20) < other
