"""A long work as stages one after another, told in two whole numbers like any progress.

Progress goes through pipes, a database and pages as the steps done and the steps in all. `Stages`
puts into them how far the work is as a whole, by what each stage is expected to take, and which
stage is under way; `stage_of` reads both. Serves all packages, and loads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["STAGES", "SURE_SHARE", "TEXTS", "Stage", "Stages", "part_of", "stage_of", "stages_of"]

STAGES: Mapping[str, tuple[str, ...]] = {
    "reconstruct": ("align", "segment", "learn", "insert", "leave_out", "measure"),
    "superres": ("learn", "leave_out", "insert"),
    "report": ("simulate", "measure_truth", "write"),
}
"""Of the analyses that have some, and of the report of a simulated specimen, in their order."""
TEXTS = {
    "align": "aligning the slices",
    "segment": "segmenting the slices",
    "learn": "training the super-resolution networks",
    "insert": "inserting planes",
    "leave_out": "predicting slices left out",
    "measure": "measuring volumes and areas",
    "simulate": "simulating the truth beside the planes",
    "measure_truth": "measuring the truth",
    "write": "writing the report",
}
PARTS = 1000
"""In which the work as a whole is counted."""
SURE_SHARE = 0.02
"""Of the work, after which the time that is left can be told."""

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Stage:
    """The stage that is under way, from 0, of how many, and how far the work is, 0 … 1."""

    number: int
    count: int
    share: float


class Stages:
    """Report the progress of stages as that of the whole.

    Parameters
    ----------
    names : of `STAGES`
    expected : time that each is expected to take, in any unit; what is left out takes none
    progress : of the whole; it is called with steps of which `stage_of` reads the stage
    """

    def __init__(
        self, names: Sequence[str], expected: Mapping[str, float], progress: Report | None
    ) -> None:
        self._names = list(names)
        self._expected = [max(float(expected.get(name, 0.0)), 0.0) for name in names]
        self._progress = progress
        self._latest = (0, 0)

    def of(self, name: str, part: int = 0, parts: int = 1) -> Report | None:
        """Return the progress of a stage, or of one of its equal parts; tell that it begins."""
        progress = self._progress
        if progress is None:
            return None
        number, count = self._names.index(name), len(self._names)
        total = sum(self._expected) or 1.0
        before = sum(self._expected[:number]) / total
        share = self._expected[number] / total

        def report(done: int, of: int) -> None:
            within = (part + min(done / max(of, 1), 1.0)) / parts
            # Never back: a stage may count in several rounds.
            now = round((PARTS - 1) * (before + share * within))
            self._latest = max(self._latest, (now, number))
            # The remainder is the stage: it takes no place of its own on the way.
            told = count * self._latest[0] + number
            progress(told + (told == PARTS * count - 1), PARTS * count)

        report(0, 1)
        return report


def part_of(progress: Report | None, part: int, parts: int) -> Report | None:
    """Return the progress of one of the equal parts of a work."""
    if progress is None:
        return None
    return lambda done, total: progress(part * total + done, parts * total)


def stage_of(done: int, total: int, count: int) -> Stage:
    """Return which of so many stages is under way, of the steps that `Stages` reports.

    >>> stage_of(1802, 6000, 6), stage_of(6000, 6000, 6)
    (Stage(number=2, count=6, share=0.3), Stage(number=5, count=6, share=1.0))
    """
    if total != PARTS * count:  # not of `Stages`
        return Stage(count - 1, count, min(done / max(total, 1), 1.0))
    if done >= total:
        return Stage(count - 1, count, 1.0)
    return Stage(done % count, count, done // count / PARTS)


def stages_of(analysis: str) -> list[str]:
    """Return what the stages of an analysis do; nothing where it has none.

    >>> stages_of("superres")[-1], stages_of("structure")
    ('inserting planes', [])
    """
    return [TEXTS[name] for name in STAGES.get(analysis, ())]
