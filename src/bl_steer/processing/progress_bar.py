"""A progress bar for analyses that go on in the background."""

from __future__ import annotations

from typing import TextIO

from bl_steer.processing.requests import Request
from bl_steer.progress import Bar
from bl_steer.stages import stages_of

__all__ = ["AnalysisBar"]


class AnalysisBar:
    """A line on the terminal for each analysis under way, and its outcome.

    Parameters
    ----------
    file : where to draw; the terminal's error stream by default
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file
        self._bars: dict[str, Bar] = {}

    def progress(self, request: Request, done: int, total: int) -> None:
        """Draw the steps done."""
        self._bar(request).show(done, total)

    def finished(self, request: Request, uid: str, reason: str) -> None:
        """Say where the result is, or why there is none."""
        bar = self._bar(request)
        bar.note(f"failed: {reason}" if reason else f"bl-steer show {uid[:8]}")
        bar.close()
        del self._bars[request.key]

    def _bar(self, request: Request) -> Bar:
        if request.key not in self._bars:
            text = f"{request.name} of {request.raw_uid[:8]}"
            stages = stages_of(request.name)
            self._bars[request.key] = Bar(text, file=self._file, keep=True, stages=stages)
        return self._bars[request.key]
