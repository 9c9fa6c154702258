"""A motor record for the soft IOC of `simulators.epics.ioc`, and the channels that act on a put."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic, time
from typing import Any

from caproto import ChannelDouble, ChannelEnum, ChannelShort, ChannelString

from simulators.epics.fake_motor import DEADBAND
from simulators.film.beamline import SPEED
from simulators.film.faults import Faults

__all__ = ["ActingEnum", "ActingString", "HurriedTime", "MotorRecord"]

TICK_S = 0.02
"""A moving motor tells where it is fifty times a second."""

Act = Callable[[], Awaitable[None]]


class _Acting:
    """A channel that acts on a client's put; a put with completion waits for the act to end."""

    def __init__(self, act: Act, **options: Any) -> None:
        super().__init__(**options)
        self._act = act

    async def write_from_dbr(self, *arguments: Any, **options: Any) -> None:
        await super().write_from_dbr(*arguments, **options)  # type: ignore[misc]
        await self._act()


class _ActingDouble(_Acting, ChannelDouble):
    async def verify_value(self, data: Any) -> Any:
        """Let everything in: a refused put would leave its client waiting for a motion."""
        return data


class _ActingShort(_Acting, ChannelShort):
    pass


class ActingString(_Acting, ChannelString):
    """A text that acts on a client's put."""

    def __init__(self, act: Callable[[], None], **options: Any) -> None:
        async def acting() -> None:
            act()

        super().__init__(acting, **options)


class ActingEnum(_Acting, ChannelEnum):
    """An enumeration that acts on a client's put."""


class HurriedTime:
    """Real time, `speedup` times as fast."""

    def __init__(self, speedup: float) -> None:
        self.speedup = speedup
        self._start = monotonic()
        self._ahead_s = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (monotonic() - self._start) * self.speedup

    @property
    def stamp(self) -> float:
        """What the clock of the control system shows, s since 1970."""
        return time() + self._ahead_s

    def skip(self, seconds: float) -> None:
        """Set that clock forward, or back."""
        self._ahead_s += seconds

    async def sleep(self, duration_s: float) -> None:
        """Wait for `duration_s`."""
        await asyncio.sleep(duration_s / self.speedup)

    async def sleep_until(self, elapsed_s: float) -> None:
        """Wait until `elapsed_s` have passed since the start."""
        await self.sleep(max(elapsed_s - self.elapsed_s, 0.0))


class MotorRecord:
    """A motor record, as far as `ophyd.EpicsMotor` knows one.

    ``DMOV`` is pulsed for every put to ``VAL``, also where nothing has to move; a put beyond the
    limits raises ``LVIO`` and is taken back; a new ``VAL`` turns a motion that is under way;
    ``STOP`` ends it and clears itself. ``SET``, ``OFF`` and the homing fields do nothing.
    """

    def __init__(
        self,
        time: HurriedTime,
        *,
        limits: tuple[float, float],
        start: float,
        unit: str,
        faults: Faults | None = None,
        name: str = "",
    ) -> None:
        self._time, self._name = time, name
        self._faults = Faults() if faults is None else faults
        self._at = start
        self._turn = 0
        self._path: tuple[float, float, float, float] | None = None
        low, high = limits
        position: dict[str, Any] = {"value": start, "precision": 4, "units": unit}
        self.setpoint = _ActingDouble(
            self._move, **position, lower_ctrl_limit=low, upper_ctrl_limit=high
        )
        self.readback = ChannelDouble(**position)
        self.low = _ActingDouble(self._set_limits, value=low, units=unit)
        self.high = _ActingDouble(self._set_limits, value=high, units=unit)
        self.velocity = ChannelDouble(value=SPEED, units=f"{unit}/s")
        self.done = ChannelShort(value=1)
        self.moving = ChannelShort(value=0)
        self.upwards = ChannelShort(value=0)
        self.violation = ChannelShort(value=0)
        self.at_low = ChannelShort(value=0)
        self.at_high = ChannelShort(value=0)
        self.stop = _ActingShort(self._stop, value=0)
        self._egu = ChannelString(value=unit)

    def fields(self) -> dict[str, Any]:
        """Return the record's channels by field."""
        return {
            "": self.setpoint,
            ".VAL": self.setpoint,
            ".RBV": self.readback,
            ".VELO": self.velocity,
            ".ACCL": ChannelDouble(value=0.0, units="s"),
            ".EGU": self._egu,
            ".OFF": ChannelDouble(value=0.0),
            ".DIR": ChannelEnum(value="Pos", enum_strings=("Pos", "Neg")),
            ".FOFF": ChannelEnum(value="Variable", enum_strings=("Variable", "Frozen")),
            ".SET": ChannelEnum(value="Use", enum_strings=("Use", "Set")),
            ".LLM": self.low,
            ".HLM": self.high,
            ".LLS": self.at_low,
            ".HLS": self.at_high,
            ".RDBD": ChannelDouble(value=DEADBAND),
            ".LVIO": self.violation,
            ".DMOV": self.done,
            ".MOVN": self.moving,
            ".TDIR": self.upwards,
            ".STOP": self.stop,
            ".HOMF": ChannelShort(value=0),
            ".HOMR": ChannelShort(value=0),
        }

    async def _set_limits(self) -> None:
        await self.setpoint.write_metadata(
            lower_ctrl_limit=self.low.value, upper_ctrl_limit=self.high.value
        )

    async def _move(self) -> None:
        target = float(self.setpoint.value)
        violated = not self.low.value <= target <= self.high.value
        await self.violation.write(int(violated))
        await self.done.write(0)
        if violated:
            await self._halt()
            return
        turn = self._next_turn()
        await self.moving.write(1)
        await self.upwards.write(int(target > self.readback.value))
        if await self._travel(target, turn):
            await self._rest()

    def position_at(self, elapsed_s: float) -> float:
        """Return where the motor is at a time of its present move, or rests."""
        if self._path is None:
            return self._at
        start, end, began_s, duration_s = self._path
        return start + (end - start) * min(max((elapsed_s - began_s) / duration_s, 0.0), 1.0)

    def _position(self) -> float:
        return self.position_at(self._time.elapsed_s)

    async def _travel(self, target: float, turn: int) -> bool:
        """Go to `target`; return whether nothing else was asked for on the way."""
        fault = self._faults.of_motor(self._name)
        kind = None if fault is None else fault.kind
        if fault is not None and kind == "disconnect":
            self._faults.unplug(fault.size)
        start = self._position()
        end = 0.5 * (start + target) if kind in ("stall", "limit") else target
        duration_s = abs(end - start) / max(float(self.velocity.value), 1e-6)
        for switch in (self.at_low, self.at_high):
            await switch.write(0)
        if duration_s > 0.0:
            self._path = start, end, self._time.elapsed_s, duration_s
            end_s = self._time.elapsed_s + duration_s
            tick_s = TICK_S * self._time.speedup
            while (left_s := end_s - self._time.elapsed_s) > 0.0:
                await self._time.sleep(min(left_s, tick_s))
                if turn != self._turn:
                    return False
                await self._show(self._position())
            self._path = None
        self._at = end
        await self._show(end + (fault.size if fault and kind == "lie" else 0.0))
        if kind == "limit":
            await (self.at_high if target > start else self.at_low).write(1)
        return turn == self._turn and kind != "stall"

    async def _stop(self) -> None:
        await self.stop.write(0)
        if self.moving.value:
            await self._halt()

    async def _halt(self) -> None:
        self._next_turn()
        self._at, self._path = self._position(), None
        await self._show(self._at)
        await self.setpoint.write(self._at)
        await self._rest()

    async def _show(self, position: float) -> None:
        await self.readback.write(position, timestamp=self._time.stamp)

    async def _rest(self) -> None:
        await self.moving.write(0)
        await self.done.write(1)

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn
