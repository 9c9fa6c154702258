"""How far a chain is, as one number: each of its stages has a share of the time."""

from __future__ import annotations

from bl_steer.protocols import Progress

__all__ = ["STAGES", "Stages", "stage_at"]

STAGES = {"align": 5, "segment": 15, "learn": 45, "insert": 10, "leave out": 20, "measure": 5}
"""Stages in their order, with about their share of the time, %."""
TOTAL = 1000


class Stages:
    """Report the progress of stages as that of the chain."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._latest = 0

    def of(self, name: str, part: int = 0, parts: int = 1) -> Progress | None:
        """Return the progress of a stage, or of one of its equal parts."""
        progress = self._progress
        if progress is None:
            return None
        names = list(STAGES)
        before = sum(STAGES[earlier] for earlier in names[: names.index(name)])

        def report(done: int, total: int) -> None:
            within = (part + min(done / max(total, 1), 1.0)) / parts
            now = round(TOTAL / 100 * (before + STAGES[name] * within))
            # Never back: a stage may count in several rounds.
            self._latest = max(self._latest, now)
            progress(self._latest, TOTAL)

        return report


def stage_at(done: int, total: int) -> str:
    """Return the name of the stage that is under way.

    >>> stage_at(0, 1000), stage_at(300, 1000), stage_at(1000, 1000)
    ('align', 'learn', 'measure')
    """
    reached = 0.0
    for name, share in STAGES.items():
        reached += share / 100
        if done < reached * total - 1e-9:
            return name
    return list(STAGES)[-1]
