"""The analyses of a session: those that its runs ask for, and those that the user asks for."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from bl_steer import processing
from bl_steer.processing.callback import FollowRuns
from bl_steer.processing.claims import Claims
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.requests import Request, requests_of
from bl_steer.runs import open_run
from bl_steer.settings import Settings

if TYPE_CHECKING:
    from bl_steer.store import Store

__all__ = ["BackgroundAnalyses", "check_requests"]


def check_requests(md: Mapping[str, Any]) -> None:
    """Raise `ValueError` for metadata that ask for analyses or parameters that do not exist."""
    for request in requests_of(md) if md.get("analyses") else ():
        make_params(find_analysis(request.name), request.params)


class BackgroundAnalyses:
    """Analyses beside a measurement; nothing is started before the first is asked for.

    Parameters
    ----------
    store : of the runs
    show : draw a bar on the terminal for each analysis
    """

    def __init__(self, store: Store, *, show: bool = True) -> None:
        self.store = store
        self._claims = Claims(store.path)
        self.follow = FollowRuns(
            lambda request: self._running().submit(request), expect=self._claims.add
        )
        """Callback for a RunEngine, to be subscribed after the store."""
        self._show = show
        self._runner: processing.AnalysisRunner | None = None

    def analyse(self, uid: str | int, name: str, **params: Any) -> Future[str]:
        """Queue an analysis of a stored run; see `bl_steer.session.Session.analyse`."""
        make_params(find_analysis(name), params)
        request = Request(open_run(self.store, uid).uid, name, params)
        self._claims.add(request)
        return self._running().submit(request)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, `timeout` s at most, until all is done; return whether it is."""
        return self._runner is None or self._runner.wait(timeout)

    def close(self, wait_s: float) -> None:
        """Wait `wait_s` s at most, and leave the rest pending."""
        if self._runner is not None:
            self._runner.close(wait_s)
        self._claims.close()

    def _running(self) -> processing.AnalysisRunner:
        if self._runner is None:
            settings = Settings()
            self._runner = processing.AnalysisRunner(
                self.store,
                make=partial(processing.make_executor, settings.dask),
                time_limit_s=settings.analysis_time_limit_s,
                watch=processing.AnalysisBar() if self._show else None,
            )
        return self._runner
