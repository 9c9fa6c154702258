"""The callback that notes what a finished run asks for, and does nothing else.

`bl_steer.processing.runner.AnalysisRunner` takes its notes and has them carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from bl_steer.processing.requests import Request, requests_of

__all__ = ["FollowRuns"]

logger = logging.getLogger(__name__)


class FollowRuns:
    """Hand over the requests of each run that ends; subscribe it to a RunEngine after the store.

    It never raises and never waits: what it calls must do no more than put on a queue.

    Parameters
    ----------
    submit : called with each request when the run's stop document comes
    expect : called with each request when the run's start document comes
    """

    def __init__(
        self,
        submit: Callable[[Request], object],
        *,
        expect: Callable[[Request], object] = lambda request: None,
    ) -> None:
        self._submit, self._expect = submit, expect
        self._asked: dict[str, list[Request]] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document; only start and stop matter."""
        try:
            if name == "start" and doc.get("analyses"):
                self._asked[str(doc["uid"])] = requests_of(doc)
                for request in self._asked[str(doc["uid"])]:
                    self._expect(request)
            elif name == "stop":
                for request in self._asked.pop(str(doc["run_start"]), ()):
                    if request.fits(doc):
                        self._submit(request)
        except Exception:  # Bluesky aborts the run of a callback that raises
            logger.exception("the analyses of a run could not be requested; the run is unharmed")
