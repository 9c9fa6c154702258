"""Why a run ended, in its stop document: Bluesky keeps the reason of an abort to itself."""

from __future__ import annotations

from bluesky import RunEngine
from bluesky.utils import Msg, MsgGenerator

from plans.stubs.messages import carried_out

__all__ = ["StopReasons"]


class StopReasons:
    """A preprocessor that writes why a run ends into its stop document, where nothing says it.

    ``RE.abort(reason)`` gives the reason to the RunEngine, but the plan, which closes the run, is
    told of an abort alone; an exception may have no text. Add it to `RE.preprocessors` after those
    that close runs. A reason of the plan's own stays as it is, and ``RE.halt()`` leaves none: there
    the plan is asked nothing.

    Parameters
    ----------
    run_engine : whose plans it is for
    """

    def __init__(self, run_engine: RunEngine) -> None:
        self._run_engine = run_engine

    def __call__(self, plan: MsgGenerator[object]) -> MsgGenerator[object]:
        """Return the plan with its reasons told."""
        failure = ""

        def send(msg: Msg) -> MsgGenerator[object]:
            nonlocal failure
            if msg.command == "close_run" and not msg.kwargs.get("reason"):
                msg = msg._replace(kwargs={**msg.kwargs, "reason": self._reason(msg, failure)})
            try:
                return (yield msg)
            except Exception as error:
                failure = str(error) or type(error).__name__
                raise

        return (yield from carried_out(plan, send))

    def _reason(self, close: Msg, failure: str) -> str:
        state = str(self._run_engine.state)
        if state == "aborting":
            return str(self._run_engine._reason or "")  # as the RunEngine closes a run by itself
        if state == "stopping":
            return "stopped by RE.stop()"
        return failure if close.kwargs.get("exit_status") == "fail" else ""
