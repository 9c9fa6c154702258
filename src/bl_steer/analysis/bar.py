"""A progress bar for analyses that go on in the background."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from bl_steer.analysis.requests import Request

__all__ = ["AnalysisBar"]


class AnalysisBar:
    """A line on the terminal for each analysis under way, and its outcome.

    Parameters
    ----------
    file : where to draw; the terminal's error stream by default
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file
        self._bars: dict[str, Any] = {}

    def progress(self, request: Request, done: int, total: int) -> None:
        """Draw the steps done."""
        bar = self._bar(request)
        bar.total = total
        bar.update(done - bar.n)
        bar.refresh()

    def finished(self, request: Request, uid: str, reason: str) -> None:
        """Say where the result is, or why there is none."""
        bar = self._bar(request)
        bar.set_postfix_str(f"failed: {reason}" if reason else f"bl-steer show {uid[:8]}")
        bar.close()
        del self._bars[request.key]

    def _bar(self, request: Request) -> Any:
        from tqdm import tqdm

        if request.key not in self._bars:
            self._bars[request.key] = tqdm(
                total=0,
                desc=f"{request.name} of {request.raw_uid[:8]}",
                file=self._file or sys.stderr,
                bar_format="{desc} {n_fmt}/{total_fmt} {bar:16} {postfix}",
            )
        return self._bars[request.key]
