"""A fake motor record that moves in simulated time, for the beamline and the microscope."""

from __future__ import annotations

from functools import partial
from typing import Any

from ophyd.utils.epics_pvs import AlarmSeverity

from simulators.clock import VirtualClock

__all__ = ["animate"]


def animate(
    motor: Any,
    clock: VirtualClock,
    *,
    limits: tuple[float, float],
    start: float,
    unit: str,
    speed: float,
    settle_s: float,
) -> None:
    """Let a fake motor record move.

    Parameters
    ----------
    motor : of a fake device
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
    motor.user_setpoint.sim_set_putter(partial(_move, motor, clock, settle_s))


def _move(motor: Any, clock: VirtualClock, settle_s: float, position: float, **_: object) -> None:
    motor.user_setpoint.sim_put(position, timestamp=clock.now)
    motor.direction_of_travel.sim_put(int(position > motor.user_readback.get()))
    motor.motor_done_move.sim_put(0)
    distance = abs(position - motor.user_readback.get())
    done = clock.occupy(distance / motor.velocity.get() + settle_s)
    motor.user_readback.sim_put(position, timestamp=done)
    motor.motor_done_move.sim_put(1)
