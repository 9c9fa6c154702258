"""One axis of the instrument: a motor record whose every wait ends, with a word on why.

`devices.stage` puts two of them under the sample, `devices.diffractometer` six around it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

from ophyd import Component, EpicsMotor, EpicsSignal, EpicsSignalRO
from ophyd.status import MoveStatus
from ophyd.utils.errors import DisconnectedError, StatusTimeoutError

from bl_steer.canonical import told_apart
from devices.connection import fail, fail_when_lost, finish, silent_records
from devices.setting import Setting

__all__ = ["MotorAxis", "MotorError"]

STOP_TIMEOUT_S = 10.0
"""For a stopped motor to come to rest."""
ARRIVAL_MARGIN_S = 10.0
"""Beyond the time that a move takes by the record's own speed and acceleration."""
SLOWER = 1.5
"""A move may take so many times as long: backlash, retries, a speed that is not reached."""
WITHIN = 2.0
"""So many retry deadbands off the target a motor has still arrived."""
SMALL = 1e-3
"""How near a motor without a deadband has arrived, in its unit, where its end was not told."""
POLL_S = 0.01

logger = logging.getLogger(__name__)


class MotorError(RuntimeError):
    """A motor did not arrive, did not stop or is not there."""


class MotorAxis(EpicsMotor):
    """A motor record that lets the RunEngine pause in the midst of a move.

    A move that does not end within the time that distance, speed and acceleration give it, whose
    record goes away, or that ends on a limit, in an alarm or somewhere else, fails with a
    `MotorError` that says so.
    """

    velocity = Setting(EpicsSignal, ".VELO", kind="config", auto_monitor=True)
    retry_deadband = Component(EpicsSignalRO, ".RDBD", kind="omitted", auto_monitor=True)

    _stopped: threading.Event
    """Set when the latest move is stopped on its way: each has its own, as a pause may be answered
    by the next move before the stopped one has told of its end."""
    _unstopped = False
    """Whether the motor did not come to rest when it was stopped."""

    def set(
        self,
        new_position: Any,
        *,
        timeout: float | None = None,
        moved_cb: Any = None,
        wait: bool = False,
    ) -> MoveStatus:
        """Start a move; return its status.

        Parameters
        ----------
        new_position : in the record's unit
        timeout : s; by default from distance, speed and acceleration
        moved_cb, wait : as for `ophyd.EpicsMotor`

        Raises
        ------
        MotorError
            When the record does not answer, or is still moving after a stop.
        """
        self._check_rest()
        stopped = self._stopped = threading.Event()
        try:
            arrival = MoveStatus(self, new_position)
            longest_s = self.longest_move_s(new_position) if timeout is None else timeout
            move = super().set(new_position, timeout=longest_s, moved_cb=moved_cb)
        except (DisconnectedError, TimeoutError) as error:
            raise self._lost(new_position) from error

        def end(move: MoveStatus) -> None:
            if arrival.done:
                return
            error = move.exception()
            failure: Exception | None = None
            try:
                if isinstance(error, StatusTimeoutError) and self._has_arrived(new_position):
                    # Ophyd may miss the end: it asks for a limit switch first, and a control system
                    # under load may answer too late, or tell of the end of the move alone.
                    logger.warning("%s is at %g, but its end was not told", self.name, new_position)
                elif error is not None:
                    failure = self._explain(error, new_position, longest_s)
                elif not stopped.is_set() and not self._is_at(new_position):
                    failure = self._missed(new_position)
            except (DisconnectedError, TimeoutError):  # raised here, nobody would end the move
                failure = self._lost(new_position)
            if failure is not None:
                fail(arrival, failure)
            else:
                finish(arrival)

        def lost() -> Exception:
            error = self._lost(new_position)
            fail(arrival, error)
            fail(move, error)  # left open, it would fail with the next move, and ophyd stop that
            return error

        fail_when_lost(arrival, self.motor_done_move, lost)
        move.add_callback(end)
        if wait:
            arrival.wait()
        return arrival

    def stop(self, *, success: bool = False) -> None:
        """Stop the motor where it is."""
        if hasattr(self, "_stopped"):
            self._stopped.set()
        # A control system that is gone stops nothing, and later it would stop another move.
        if self.motor_stop.connected and self.motor_done_move.connected:
            super().stop(success=success)

    def clear_sub(self, cb: Any, event_type: str | None = None) -> None:
        """End a subscription; see `ophyd.ophydobj.OphydObject.clear_sub`.

        Ophyd walks through the subscriptions while the thread that tells of the move's end removes
        some: the walk then fails, and the subscription stays.
        """
        for kind in self.event_types if event_type is None else [event_type]:
            for token, subscribed in list(self._unwrapped_callbacks[kind].items()):
                if subscribed == cb:
                    with suppress(KeyError):  # removed meanwhile
                        self.unsubscribe(token)

    def longest_move_s(self, position: float) -> float:
        """Return the time after which a move to `position` has failed, s."""
        speed = float(self.velocity.get() or 0.0)
        ramps_s = 2.0 * float(self.acceleration.get() or 0.0)
        travel_s = abs(position - float(self.position)) / speed if speed > 0.0 else 0.0
        return SLOWER * (travel_s + ramps_s) + float(self.settle_time or 0.0) + ARRIVAL_MARGIN_S

    async def pause(self) -> None:
        """Wait until the motor, which the RunEngine has just stopped, is at rest.

        Ophyd fails the status of a move that the next one overtakes: the resumed run would end.
        """
        deadline = monotonic() + STOP_TIMEOUT_S
        while self._callbacks[self._SUB_REQ_DONE] or (self._moving and self.connected):
            if monotonic() > deadline:
                # An error here would end the RunEngine's loop, and the plan would record no result.
                self._unstopped = True
                logger.error("%s; the next move of it is refused", self._still_moving())
                return
            await asyncio.sleep(POLL_S)

    def resume(self) -> None:
        """Do nothing: the plan repeats the move."""

    def _check_rest(self) -> None:
        """Refuse a move of a motor that did not obey its stop."""
        if self._unstopped and self._moving:
            raise MotorError(f"{self._still_moving()}; stop it by hand and find out why")
        self._unstopped = False

    def _is_at(self, target: float) -> bool:
        """Return whether the readback is at `target`, as near as the record asks for."""
        deadband = float(self.retry_deadband.get() or 0.0)
        return deadband <= 0.0 or self._is_near(target, WITHIN * deadband)

    def _is_near(self, target: float, reach: float) -> bool:
        """Return whether the readback is so near, also where what it told last is old by now."""
        if abs(float(self._position) - target) <= reach:
            return True
        with suppress(DisconnectedError, TimeoutError):
            here = float(self.user_readback.get(use_monitor=False))
            self._set_position(here)
            return abs(here - target) <= reach
        return False

    def _has_arrived(self, target: float) -> bool:
        """Return whether the motor is at rest at its target, though nobody told that."""
        reach = WITHIN * float(self.retry_deadband.get() or 0.0) or SMALL
        return bool(self.motor_done_move.get()) and self._is_near(target, reach)

    def _missed(self, target: float) -> MotorError:
        wanted, here = told_apart(target, float(self._position))
        return MotorError(
            f"{self.name} must be at {wanted} within {WITHIN:g} × its retry deadband "
            f"{float(self.retry_deadband.get()):g}, got {here}; check its encoder, or home it: it "
            "may have lost steps"
        )

    def _still_moving(self) -> str:
        return (
            f"{self.name} must come to rest within {STOP_TIMEOUT_S:g} s of a stop, got it still "
            f"moving at {self._position:g}"
        )

    def _lost(self, target: float) -> MotorError:
        return MotorError(
            f"{self.name} must answer while it moves to {target:g}, got no connection to "
            f"{silent_records(self) or self.prefix}; check that its IOC runs, then run again"
        )

    def _explain(self, error: Exception, target: float, longest_s: float) -> Exception:
        """Return what a failed move is told as."""
        wanted, here = told_apart(target, float(self._position))
        if isinstance(error, StatusTimeoutError):
            return MotorError(
                f"{self.name} must arrive at {wanted} within {longest_s:.3g} s, got {here}; check "
                "that it is free to move and its drive is on"
            )
        return MotorError(
            f"{self.name} must arrive at {wanted}, got {here}, stopped on the way, by a limit "
            f"switch or with an alarm ({self._alarms()}); check its limit switches and alarms"
        )

    def _alarms(self) -> str:
        """Return what a motor that was stopped says of it."""
        pressed = [
            end
            for end, switch in (("low", self.low_limit_switch), ("high", self.high_limit_switch))
            if switch.get()
        ]
        severity = int(self.user_readback.alarm_severity or 0)
        told = [f"{end} limit switch" for end in pressed]
        told += [f"alarm severity {severity}"] if severity else []
        return ", ".join(told) or "neither"
