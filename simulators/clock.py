"""Beam time without waiting: the clock that the simulated devices share."""

from __future__ import annotations

import time

__all__ = ["VirtualClock"]


class VirtualClock:
    """Simulated time that jumps ahead when a device is busy.

    Devices that move at the same time occupy the clock together; the first one that depends on
    them (the detector) waits for the last of them.

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
        self.now = self._free = max(self.now, self._free)
        return self.now
