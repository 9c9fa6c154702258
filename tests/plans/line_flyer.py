"""A flyer over a line, as a beamline's own: its frames come at constant speed, without waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from ophyd import Device
from ophyd.status import DeviceStatus

from plans.stubs.flights.by_flyer import FlightRow

__all__ = ["LineFlyer"]

FRAME_S = 0.1


class LineFlyer(Device):  # type: ignore[misc]
    """Fly over the row that it is prepared with, and collect a number at each frame.

    Parameters
    ----------
    axes : the axis to fly along, and the others, whose places it asks
    value : of a place (x, y, …)
    lose, extra : numbers of frames of the whole map that do not come, and after which one more does
    late : frames by which the detector's stamps, and what it sees, are late
    ahead : steps by which places are ahead of the middles of the cells
    apart : whether places come in events of their own, at times of their own
    """

    def __init__(
        self,
        axes: Sequence[Any],
        detector: Any,
        value: Callable[..., float],
        *,
        lose: Sequence[int] = (),
        extra: Sequence[int] = (),
        late: float = 0.0,
        ahead: float = 0.0,
        apart: bool = False,
    ) -> None:
        super().__init__(name="line_flyer")
        self.axes, self.detector, self.value = list(axes), detector, value
        self.lose, self.extra, self.late, self.apart = set(lose), set(extra), late, apart
        self.stamps_are_late, self.ahead = True, ahead
        self.rows: list[FlightRow] = []
        self._now = 1e9
        self._n = 0

    def prepare(self, row: FlightRow) -> DeviceStatus:
        self.rows.append(row)
        return self._done()

    def kickoff(self) -> DeviceStatus:
        return self._done()

    def complete(self) -> DeviceStatus:
        self.axes[0].set(self.rows[-1].stop)
        return self._done()

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        number = {"source": "line", "dtype": "number", "shape": []}
        x, det = self.axes[0].name, self.detector.name
        if self.apart:
            return {"places": {x: number}, "frames": {det: number}}
        return {"line": {x: number, det: number}}

    def collect(self) -> Iterator[dict[str, Any]]:
        row = self.rows[-1]
        x, det = self.axes[0].name, self.detector.name
        others = [axis.position for axis in self.axes[1:]]
        places = np.linspace(row.start, row.stop, row.num)
        step = places[1] - places[0]
        begun, self._now = self._now, self._now + 2.0 * row.num * FRAME_S
        if self.apart:
            for t in np.linspace(-1.0, row.num, 3 * row.num):
                yield self._event(begun + t * FRAME_S, {x: row.start + t * step}, 0.0)
        for i, place in enumerate(places):
            n, self._n = self._n, self._n + 1
            seen = self.value(place + step * self.late, *others)
            for shift in [0.0] * (n not in self.lose) + [0.3] * (n in self.extra):
                stamp = begun + (i + shift) * FRAME_S
                where = {} if self.apart else {x: place + (shift + self.ahead) * step}
                yield self._event(
                    stamp, {**where, det: seen}, self.late * FRAME_S * self.stamps_are_late
                )

    def _event(self, stamp: float, data: dict[str, float], late_s: float) -> dict[str, Any]:
        det = self.detector.name
        stamps = {key: stamp + (late_s if key == det else 0.0) for key in data}
        return {"time": stamp, "data": data, "timestamps": stamps}

    def _done(self) -> DeviceStatus:
        status = DeviceStatus(self)
        status.set_finished()
        return status
