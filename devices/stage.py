"""The sample stage that carries the film through the micro-beam.

The same class drives the motor records of the beamline and, with its signals replaced by
`ophyd.sim.make_fake_device`, the simulated stage of `simulators.film.beamline`.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from ophyd import Component, Device, EpicsMotor, Signal

__all__ = ["SampleStage", "StageAxis"]

STOP_TIMEOUT_S = 10.0
"""For a stopped motor to come to rest."""
POLL_S = 0.01


class StageAxis(EpicsMotor):
    """A motor record that lets the RunEngine pause in the midst of a move."""

    async def pause(self) -> None:
        """Wait until the motor, which the RunEngine has just stopped, is at rest.

        Ophyd fails the status of a move that the next one overtakes: the resumed run would end.
        """
        deadline = monotonic() + STOP_TIMEOUT_S
        while self._callbacks[self._SUB_REQ_DONE] and monotonic() < deadline:
            await asyncio.sleep(POLL_S)

    def resume(self) -> None:
        """Do nothing: the plan repeats the move."""


class SampleStage(Device):
    """Two translations across the sample surface, positions in µm.

    Events carry ``{name}_x``, ``{name}_x_user_setpoint`` and the same for y; velocities, units and
    the settle time are recorded as configuration. Soft limits and speeds live in the motor records.

    Parameters
    ----------
    prefix : the part of the PV names that the two motors share
    settle_s : time that a motor waits after it has arrived, in seconds
    """

    x = Component(StageAxis, "X")
    y = Component(StageAxis, "Y")
    settle_time = Component(Signal, value=0.0, kind="config", doc="wait after each move, s")

    def __init__(self, prefix: str, *, name: str, settle_s: float = 0.5, **kwargs: Any) -> None:
        super().__init__(prefix, name=name, **kwargs)
        self.settle_time.put(settle_s)
        for axis in (self.x, self.y):
            axis.settle_time = settle_s
