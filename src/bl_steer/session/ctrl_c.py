"""Ctrl-C during a run: taken at once, and not forgotten when the run ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Any

from bluesky import RunEngine
from bluesky.utils import DefaultDuringTask, DuringTask

__all__ = ["CtrlC"]

TAKEN_WITHIN_S = 0.1


class CtrlC(DuringTask):
    """How a RunEngine waits for its plan, and whether Ctrl-C was pressed meanwhile.

    Notes
    -----
    Python handles signals in the main thread alone. The system may hand one to any thread, and a
    main thread that waits without end then handles it when the plan is over: so it wakes here.
    Bluesky asks for a pause from a thread of its own, which forgets the request when the plan
    ends before it comes to it.
    """

    def __init__(self) -> None:
        self.pressed = False
        """Whether it was, during the last call of the RunEngine."""
        self._bluesky = DefaultDuringTask()

    def block(self, blocking_event: Event) -> None:
        """Wait for the end of the plan as Bluesky does, and wake for signals."""
        self._bluesky.block(_Waking(blocking_event))

    @contextmanager
    def noted(self, _: RunEngine) -> Iterator[None]:
        """Note each Ctrl-C, and pass it on; to be entered after Bluesky's `SigintHandler`."""
        self.pressed = False
        pause: Any = signal.getsignal(signal.SIGINT)

        def note(number: int, frame: FrameType | None) -> None:
            self.pressed = True
            pause(number, frame)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, pause)


class _Waking:
    """An event that is waited for in short steps."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return self._event.wait(timeout)
        while not self._event.wait(TAKEN_WITHIN_S):
            pass
        return True
