"""What a plan says, once, of a measurement that goes on though something is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from bl_steer.protocols import Array
from bl_steer.runs import PointResult
from bl_steer.steering import Mask, remark_on

__all__ = ["Misgivings"]

FEWEST = 3
"""Points in a row that are no accident."""
OFF = 0.1
"""Share of a grid's step by which a readback may be off."""
RISING = 8
"""Points in a row that rise: by chance once in 8! times."""
SHARE = 0.01
"""Share of all counts above which it is told that they are left out."""

logger = logging.getLogger(__name__)


class Misgivings:
    """Warn of what the results of points tell of detector and beam.

    Parameters
    ----------
    detector, monitor : named in the warnings
    """

    def __init__(self, detector: Any, monitor: Any) -> None:
        self._detector = detector
        self._monitor = monitor
        self._n_dead = 0
        self._is_blind = self._is_late = self._rises = False
        self._monitored: list[float] = []
        self._n_off: dict[str, int] = {}
        self._told_off: set[str] = set()
        self._masked_share = self._share_of_mask = SHARE
        self._n_overflowed = self._n_events = 0

    def tell(self, result: PointResult) -> None:
        """Warn where a result has more of it than those before."""
        if result.masked_share > self._share_of_mask:
            logger.warning(
                "%.1f %% of the counts of a point of %s lie in pixels of the mask, hot pixels and "
                "cosmic rays, and do not count; where there is a mask, look at its orientation",
                100.0 * result.masked_share,
                self._detector.name,
            )
            self._share_of_mask = max(2.0 * result.masked_share, SHARE)
        if result.n_dead_pixels > self._n_dead:
            logger.warning(
                "%s must count with all its pixels, got %d that counted before and do no more: "
                "patterns before and after are not alike; mask them, and measure again",
                self._detector.name,
                result.n_dead_pixels,
            )
        if result.unverified and not self._is_blind:
            logger.warning(
                "the beam is unverified: no number says what %s counts with beam, and the frames "
                "of %s differ no more than by chance; check beam and shutter, and give "
                "min_monitor, the least counts that you take for beam",
                self._monitor.name,
                self._detector.name,
            )
        if result.n_overflowed > self._n_overflowed:
            logger.warning(
                "%s must count without overflow, got %d pixels with a full counter: what they "
                "counted is set to the most that a pixel has shown, and is more; expose for a "
                "shorter time, or attenuate the beam",
                self._detector.name,
                result.n_overflowed,
            )
        self._n_overflowed = max(self._n_overflowed, 2 * result.n_overflowed)
        self._n_dead = max(self._n_dead, result.n_dead_pixels)
        self._is_blind = result.unverified

    def tell_outcomes(self, outcomes: Array) -> str:
        """Warn where the outcomes of a search are odd, or each is more than the one before.

        Returns `bl_steer.steering.remark_on` them.
        """
        measured = outcomes[np.isfinite(outcomes)]
        remark = remark_on(outcomes)
        if remark:
            logger.warning("%s: %s", self._detector.name, remark)
        elif len(measured) >= RISING and (np.diff(measured) > 0).all():
            logger.warning(
                "%s must count anew at each point, got more at each of %d points than at the one "
                "before; reset its counter before each exposure",
                self._detector.name,
                len(measured),
            )
        return remark

    def tell_monitor(self, counts: float) -> None:
        """Warn, once, where the monitor seems to count on from point to point."""
        self._monitored = [*self._monitored, counts][-RISING:]
        first, last = self._monitored[0], self._monitored[-1]
        is_rising = bool((np.diff(self._monitored) > 0).all())
        if len(self._monitored) == RISING and is_rising and last > 2 * first and not self._rises:
            logger.warning(
                "%s must count anew at each point, got %g to %g, more at each of %d points than at "
                "the one before; reset its counter before each exposure",
                self._monitor.name,
                first,
                last,
                RISING,
            )
            self._rises = True

    def tell_events(self, n: int) -> None:
        """Warn, once, where points have unlike numbers of events."""
        if n != self._n_events > 0:
            logger.warning(
                "per_point must record as many events at each point, got %d after %d: the sum of "
                "what %s counts is brought to as many as at the first point; record as many, or "
                "one with what you average",
                n,
                self._n_events,
                self._detector.name,
            )
        self._n_events = n if self._n_events in (0, n) else -1

    def tell_times(self, findings: Sequence[str]) -> None:
        """Warn, once, of readings that are those of the exposure before."""
        if findings and not self._is_late:
            logger.warning(
                "%s must show what it has just measured, got what may be of the exposure before: "
                "%s; let its trigger end when the frame is there (blocking callbacks), and compare "
                "the clocks",
                self._detector.name,
                findings[0],
            )
            self._is_late = True

    def tell_place(self, axis: str, off: float, step: float) -> None:
        """Warn, once, of an axis that is off its places by more than a part of the grid's step."""
        n = self._n_off[axis] = self._n_off.get(axis, 0) + 1 if abs(off) > OFF * step else 0
        if n == FEWEST and axis not in self._told_off:
            logger.warning(
                "%s must stand where it is sent, got a readback off by %g at the last of %d points "
                "in a row, of a step of %g: the run tells of places as they were asked for; check "
                "offset and resolution of the readback",
                axis,
                off,
                n,
                step,
            )
            self._told_off.add(axis)

    def tell_monitor_key(self, key: str, hinted: Sequence[str]) -> None:
        """Warn where a number is taken for the beam though the monitor hints at others too."""
        others = [other for other in hinted if other != key]
        if key in hinted and others:
            logger.warning(
                "%s hints at several numbers, and the first is taken for the counts of the beam, "
                "%s; where it is another, give its signal as the monitor: %s",
                self._monitor.name,
                key,
                ", ".join(others),
            )

    def tell_default(self, target: str, hinted: Sequence[str]) -> None:
        """Warn where a number is steered on though the detector hints at others too."""
        others = [key for key in hinted if target != f"field:{key}"]
        if target.startswith("field:") and others:
            logger.warning(
                "%s hints at several numbers, and the first is steered on, %s; name another with "
                "target='field:KEY': %s",
                self._detector.name,
                target,
                ", ".join(others),
            )

    def tell_mask(self, mask: Mask) -> None:
        """Warn where more counts are left out than was told before, twice as many at least."""
        if mask.masked_share > self._masked_share:
            parts = {"pixels that do not count": mask.n_left_out, "spikes": mask.n_spikes}
            logger.warning(
                "%.1f %% of the counts of %s are left out, as those of %s; where a peak one pixel "
                "wide may be among them, look at the stream masks",
                100.0 * mask.masked_share,
                self._detector.name,
                " and ".join(f"{n} {what}" for what, n in parts.items() if n),
            )
            self._masked_share = 2.0 * mask.masked_share
