"""Beam time without waiting: the clock that the simulated devices share."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import Protocol

__all__ = ["Motion", "VirtualClock"]

IDLE_TURNS = 50
"""Turns of an event loop in which nobody asked for anything: a RunEngine takes one or two from a
message to the next, so it is waiting. Turns are counted, not seconds: a loaded computer changes
nothing."""


class Motion(Protocol):
    """What is under way while others work."""

    done: float
    """Time at which it ends, s since 1970; infinite for what never ends by itself."""

    def show(self, now: float) -> None:
        """Show where it is; that it has ended, where `now` is not before `done`."""
        ...


class VirtualClock:
    """Simulated time that jumps ahead when a device is busy.

    Devices that move at the same time occupy the clock together; the first one that depends on
    them (the detector) waits for the last of them.

    A `Motion` that was begun goes on while a detector advances the clock. It ends where time passes
    its end, or where a RunEngine waits and nobody else makes time pass. Outside of a RunEngine
    nobody can be seen to wait: there it ends at once, and the clock is occupied.

    Parameters
    ----------
    start : seconds since 1970 at which simulated time begins; now by default

    Examples
    --------
    >>> clock = VirtualClock(start=0.0)
    >>> clock.occupy(2.0), clock.occupy(3.0), clock.now
    (2.0, 3.0, 0.0)
    >>> clock.join()
    3.0
    """

    def __init__(self, start: float | None = None) -> None:
        self.start = time.time() if start is None else start
        self.now = self.start
        self._free = self.start
        self._motions: list[Motion] = []
        self._turns = 0
        self._watching: asyncio.AbstractEventLoop | None = None

    @property
    def elapsed_s(self) -> float:
        """Simulated seconds since the start."""
        return self.now - self.start

    def occupy(self, duration_s: float) -> float:
        """Keep a device busy from now on; return the time at which it is done."""
        done = self.now + duration_s
        self._free = max(self._free, done)
        return done

    def join(self) -> float:
        """Jump to the moment at which every device is done; return it."""
        return self.advance(max([self._free, *self._ends()]))

    def free(self) -> float:
        """Jump to the moment at which no device is busy, motions apart; return it."""
        return self.advance(self._free)

    def advance(self, until: float) -> float:
        """Let time pass, and all motions with it; return the time."""
        self._turns = 0
        self.now = self._free = max(self.now, self._free, until)
        self._show(self.now)
        return self.now

    def skip(self, seconds: float) -> None:
        """Set the clock forward, or back, as a time server does: nothing moves meanwhile."""
        self.now += seconds
        self._free += seconds

    def begin(self, motion: Motion) -> None:
        """Let a device be under way from now on."""
        self._motions.append(motion)
        self._turns = 0
        loop = _loop_of_this_thread()
        if loop is not None:
            if self._watching is not loop:
                self._watching = loop
                loop.call_soon(self._watch, loop)
            return
        if math.isfinite(motion.done):
            self._free = max(self._free, motion.done)
            self._motions.remove(motion)
            motion.show(motion.done)

    def drop(self, motion: Motion) -> None:
        """Forget a motion that something else has ended."""
        if motion in self._motions:
            self._motions.remove(motion)

    def _ends(self) -> list[float]:
        return [motion.done for motion in self._motions if math.isfinite(motion.done)]

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make time pass where nobody else does, until no motion is left that ends."""
        self._turns += 1
        if self._ends() and self._turns < IDLE_TURNS:
            loop.call_soon(self._watch, loop)
            return
        self._watching = None
        if self._ends():
            self.join()

    def _show(self, now: float) -> None:
        for motion in sorted(self._motions, key=lambda motion: motion.done):
            if motion.done <= now:
                self._motions.remove(motion)
            motion.show(min(now, motion.done))


def _loop_of_this_thread() -> asyncio.AbstractEventLoop | None:
    """Return a RunEngine's loop, which runs in a thread of its own; a notebook's is no such one."""
    if threading.current_thread() is threading.main_thread():
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
