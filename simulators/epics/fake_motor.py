"""A fake motor record that moves in simulated time, for the beamline and the microscope."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ophyd.utils.epics_pvs import AlarmSeverity

from simulators.clock import VirtualClock
from simulators.film.faults import Fault

__all__ = ["FakeMotor", "animate", "disconnect"]

DEADBAND = 0.01
"""Within it, in the motor's unit, a readback is at its setpoint."""

FaultOf = Callable[[], Fault | None]


def no_fault() -> Fault | None:
    """Let every move be carried out."""
    return None


def animate(
    motor: Any,
    clock: VirtualClock,
    *,
    limits: tuple[float, float],
    start: float,
    unit: str,
    speed: float,
    settle_s: float,
    fault: FaultOf = no_fault,
) -> FakeMotor:
    """Let a fake motor record move.

    Parameters
    ----------
    motor : of a fake device
    clock : simulated time
    limits, start : in `unit`
    speed : unit/s
    settle_s : time at rest before a move counts as done, s
    fault : asked at each move for what goes wrong with it
    """
    motor.velocity.sim_put(speed)
    motor.motor_egu.sim_put(unit)
    motor.user_setpoint.sim_set_limits(limits)
    motor.user_readback.alarm_severity = AlarmSeverity.NO_ALARM
    motor.user_setpoint.sim_put(start, timestamp=clock.now)
    motor.user_readback.sim_put(start, timestamp=clock.now)
    motor.motor_done_move.sim_put(1)
    motor.direction_of_travel.sim_put(0)
    motor.retry_deadband.sim_put(DEADBAND)
    return FakeMotor(motor, clock, settle_s=settle_s, fault=fault)


class FakeMotor:
    """What a motor record does in simulated time.

    While it moves the readback follows, at each moment at which somebody looks, as a detector does
    in the middle of each frame: these are the encoder's values with the encoder's time stamps.
    """

    def __init__(
        self, motor: Any, clock: VirtualClock, *, settle_s: float, fault: FaultOf = no_fault
    ) -> None:
        self.motor, self.clock, self.settle_s = motor, clock, settle_s
        self._fault = fault
        self._journey: _Journey | None = None
        self._pressed: Any = None  # limit switch
        self._rest = float(motor.user_readback.get())
        motor.user_setpoint.sim_set_putter(self._move)
        motor.motor_stop.sim_set_putter(self._stop)

    def position_at(self, time_s: float) -> float:
        """Return where the motor is at a time of the move under way, s since 1970, or rests."""
        return self._rest if self._journey is None else self._journey.position_at(time_s)

    def _move(self, position: float, **_: object) -> None:
        self._end()
        motor, clock = self.motor, self.clock
        motor.user_setpoint.sim_put(position, timestamp=clock.now)
        motor.direction_of_travel.sim_put(int(position > self._rest))
        if self._pressed is not None:
            self._pressed.sim_put(0)
            self._pressed = None
        motor.motor_done_move.sim_put(0)
        fault = self._fault()
        self._journey = _Journey(self, self._rest, position, motor.velocity.get(), fault)
        if fault is not None and fault.kind == "disconnect":
            disconnect(motor, fault.size)
        clock.begin(self._journey)

    def _stop(self, value: int, **_: object) -> None:
        if value and self._journey is not None:
            self._end()
            self.motor.user_setpoint.sim_put(self._rest, timestamp=self.clock.now)
            self.motor.motor_done_move.sim_put(1)

    def _end(self) -> None:
        """Halt the motion that is under way, where it is."""
        if self._journey is not None:
            self.clock.drop(self._journey)
            self._put(self._journey, self.clock.now)
            self._journey = None

    def _put(self, journey: _Journey, now: float) -> None:
        self._rest = journey.position_at(now)
        self.motor.user_readback.sim_put(self._rest + journey.lie, timestamp=now)

    def show(self, journey: _Journey, now: float) -> None:
        """Let the readback follow; end the move where it is done."""
        self._put(journey, now)
        if now >= journey.done:
            self._journey = None
            if journey.limited:
                motor = self.motor
                upwards = motor.direction_of_travel.get()
                self._pressed = motor.high_limit_switch if upwards else motor.low_limit_switch
                self._pressed.sim_put(1)
            self.motor.motor_done_move.sim_put(1)


def disconnect(device: Any, seconds: float) -> None:
    """Let the signals of a fake device lose their connection, and have it again later."""
    signals = [walk.item for walk in device.walk_signals()]
    _connect(signals, False)
    timer = threading.Timer(seconds, _connect, (signals, True))
    timer.daemon = True
    timer.start()


def _connect(signals: Sequence[Any], connected: bool) -> None:
    for signal in signals:
        signal._metadata["connected"] = connected
    for signal in signals:
        signal._run_subs(sub_type=signal.SUB_META, **signal._metadata)


class _Journey:
    """A move of a motor at constant speed, a `simulators.clock.Motion`."""

    def __init__(
        self, owner: FakeMotor, start: float, end: float, speed: float, fault: Fault | None
    ) -> None:
        kind = None if fault is None else fault.kind
        self.limited = kind == "limit"
        self.lie = fault.size if fault is not None and kind == "lie" else 0.0
        if kind in ("stall", "limit"):
            end = 0.5 * (start + end)
        self._owner, self._start, self._end = owner, start, end
        self._began, self._duration_s = owner.clock.now, abs(end - start) / speed
        settled_s = math.inf if kind == "stall" else self._duration_s + owner.settle_s
        self.done = owner.clock.now + settled_s

    def position_at(self, time_s: float) -> float:
        """Return where the motor is at a time."""
        elapsed_s = time_s - self._began
        if elapsed_s >= self._duration_s:
            return self._end
        return self._start + (self._end - self._start) * max(elapsed_s / self._duration_s, 0.0)

    def show(self, now: float) -> None:
        """Show where the motor is."""
        self._owner.show(self, now)
