"""A fake motor record that moves in simulated time, for the beamline and the microscope."""

from __future__ import annotations

from typing import Any

from ophyd.utils.epics_pvs import AlarmSeverity

from simulators.clock import VirtualClock

__all__ = ["FakeMotor", "animate"]


def animate(
    motor: Any,
    clock: VirtualClock,
    *,
    limits: tuple[float, float],
    start: float,
    unit: str,
    speed: float,
    settle_s: float,
) -> FakeMotor:
    """Let a fake motor record move.

    Parameters
    ----------
    motor : of a fake device
    clock : simulated time
    limits, start : in `unit`
    speed : unit/s
    settle_s : time at rest before a move counts as done, s
    """
    motor.velocity.sim_put(speed)
    motor.motor_egu.sim_put(unit)
    motor.user_setpoint.sim_set_limits(limits)
    motor.user_readback.alarm_severity = AlarmSeverity.NO_ALARM
    motor.user_setpoint.sim_put(start, timestamp=clock.now)
    motor.user_readback.sim_put(start, timestamp=clock.now)
    motor.motor_done_move.sim_put(1)
    motor.direction_of_travel.sim_put(0)
    return FakeMotor(motor, clock, settle_s=settle_s)


class FakeMotor:
    """What a motor record does in simulated time.

    While it moves the readback follows, at each moment at which somebody looks, as a detector does
    in the middle of each frame: these are the encoder's values with the encoder's time stamps.
    """

    def __init__(self, motor: Any, clock: VirtualClock, *, settle_s: float) -> None:
        self.motor, self.clock, self.settle_s = motor, clock, settle_s
        self._journey: _Journey | None = None
        motor.user_setpoint.sim_set_putter(self._move)
        motor.motor_stop.sim_set_putter(self._stop)

    def position_at(self, time_s: float) -> float:
        """Return where the motor is at a time of the move under way, s since 1970, or rests."""
        if self._journey is None:
            return float(self.motor.user_readback.get())
        return self._journey.position_at(time_s)

    def _move(self, position: float, **_: object) -> None:
        self._end()
        motor, clock = self.motor, self.clock
        motor.user_setpoint.sim_put(position, timestamp=clock.now)
        start = float(motor.user_readback.get())
        motor.direction_of_travel.sim_put(int(position > start))
        motor.motor_done_move.sim_put(0)
        duration_s = abs(position - start) / motor.velocity.get()
        self._journey = _Journey(self, start, position, duration_s)
        clock.begin(self._journey)

    def _stop(self, value: int, **_: object) -> None:
        if value and self._journey is not None:
            self._end()
            self.motor.user_setpoint.sim_put(
                self.motor.user_readback.get(), timestamp=self.clock.now
            )
            self.motor.motor_done_move.sim_put(1)

    def _end(self) -> None:
        """Halt the motion that is under way, where it is."""
        if self._journey is not None:
            self.clock.drop(self._journey)
            self._put(self._journey.position_at(self.clock.now), self.clock.now)
            self._journey = None

    def _put(self, position: float, time_s: float) -> None:
        self.motor.user_readback.sim_put(position, timestamp=time_s)

    def show(self, journey: _Journey, now: float) -> None:
        """Let the readback follow; end the move where it is done."""
        self._put(journey.position_at(now), now)
        if now >= journey.done:
            self._journey = None
            self.motor.motor_done_move.sim_put(1)


class _Journey:
    """A move of a motor at constant speed, a `simulators.clock.Motion`."""

    def __init__(self, owner: FakeMotor, start: float, end: float, duration_s: float) -> None:
        self._owner, self._start, self._end = owner, start, end
        self._began, self._duration_s = owner.clock.now, duration_s
        self.done = owner.clock.now + (duration_s + owner.settle_s)

    def position_at(self, time_s: float) -> float:
        elapsed_s = time_s - self._began
        if elapsed_s >= self._duration_s:
            return self._end
        return self._start + (self._end - self._start) * max(elapsed_s / self._duration_s, 0.0)

    def show(self, now: float) -> None:
        self._owner.show(self, now)
