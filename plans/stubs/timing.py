"""When the readings of a point were taken, and whether they are those of its own exposure.

What is wrong with the counts themselves is told by `bl_steer.runs.points`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from bluesky.utils import Msg, MsgGenerator

from bl_steer.runs import LiveEvent
from bl_steer.runs.readout import as_number
from plans.stubs.messages import carried_out

__all__ = ["Timing"]

IN_A_ROW = 3
"""Events with readings from before their exposures that are no accident."""
CONSTANT = 8
"""Events with one number, to the bit, that are no accident."""
NUMBER = re.compile(r"((array|images?|frames?)_(counter|number|id)|unique_?id)$", re.IGNORECASE)
"""What the data keys of frame numbers end in."""


class Timing:
    """Take the times of a run's events, and notice readings that are not renewed.

    Attributes
    ----------
    move_s, expose_s : seconds that the latest point took, from its readings' time stamps

    Notes
    -----
    A reading is old where its time stamp lies between the begin of the exposure before and that of
    its own, by this computer's clock, or is that of the event before, and a frame's where its
    number is that of the frame before. A stamp that lies elsewhere says nothing: it is that of
    another clock.
    """

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self.move_s = self.expose_s = math.nan
        self._last_exposed = math.nan
        self._begun: list[float] = []
        self._triggered = self._arrived = self._before = math.nan
        self._last: dict[str, tuple[Any, float]] = {}
        self._n_old = self._n_same = 0

    def followed(self, stub: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """Note when the exposures of a point begin; of what is not triggered, when it is there."""

        def send(msg: Msg) -> MsgGenerator[Any]:
            if msg.command == "trigger" and msg.obj is self._detector:
                self._triggered = time.time()
            answer = yield msg
            if msg.command == "wait":
                self._arrived = time.time()
            elif msg.command == "save":
                triggered = math.isfinite(self._triggered)
                self._begun.append(self._triggered if triggered else self._arrived)
                self._triggered = math.nan
            return answer

        return (yield from carried_out(stub, send))

    def take(
        self,
        events: Sequence[LiveEvent],
        readbacks: Sequence[str],
        keys: Sequence[str],
        steered: str = "",
    ) -> list[str]:
        """Take a point's events; return what is to be told of their readings.

        Parameters
        ----------
        readbacks : data keys of the axes
        keys : of the detector
        steered : the key that is steered on; empty for frames in files
        """
        first, last = _stamps(events[0]), _stamps(events[-1])
        arrived = max((first[key] for key in readbacks if key in first), default=math.nan)
        exposed = max((last[key] for key in keys if key in last), default=math.nan)
        self.move_s = float(np.maximum(arrived - self._last_exposed, 0.0))
        self.expose_s = float(np.maximum(exposed - np.fmax(arrived, self._last_exposed), 0.0))
        self._last_exposed = exposed
        begun, self._begun = self._begun, []
        told = []
        if len(begun) == len(events):  # else a pause has repeated one
            for event, began in zip(events, begun, strict=True):
                stamped = [key for key in keys if key in event.timestamps]
                told += self._judge(event, stamped, steered, began)
        return told

    def _judge(
        self, event: LiveEvent, keys: Sequence[str], steered: str, began: float
    ) -> list[str]:
        data, stamps = event.data, _stamps(event)
        newest = steered if steered in stamps else max(keys, key=stamps.__getitem__, default="")
        before, self._before = self._before, began
        last, self._last = self._last, {key: (data[key], stamps[key]) for key in keys}
        told = [
            f"frame number {key} = {data[key]} is that of the frame before"
            for key in keys
            if NUMBER.search(key) and last.get(key, (None,))[0] == data[key]
        ]
        if not newest or newest not in last:
            return told
        same = np.array_equal(last[newest][0], data[newest]) and bool(np.any(data[newest]))
        is_old = before <= stamps[newest] < began or (same and last[newest][1] == stamps[newest])
        self._n_old = self._n_old + 1 if is_old else 0
        is_number = newest == steered and np.ndim(data[newest]) == 0
        self._n_same = self._n_same + 1 if same and is_number else 0
        if self._n_old == IN_A_ROW:
            told.append(f"{newest} was stamped before its exposure began {IN_A_ROW} times in a row")
        if self._n_same == CONSTANT:
            told.append(f"{newest} was {data[newest]!r} {CONSTANT + 1} times in a row")
        return told


def _stamps(event: LiveEvent) -> dict[str, float]:
    return {key: as_number(stamp) for key, stamp in event.timestamps.items()}
