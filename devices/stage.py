"""The sample stage that carries the film through the micro-beam.

The same class drives the motor records of the beamline and, with its signals replaced by
`ophyd.sim.make_fake_device`, the simulated stage of `simulators.film.beamline`.
"""

from __future__ import annotations

from typing import Any

from ophyd import Component, Device, Signal

from devices.motor import MotorAxis

__all__ = ["SampleStage", "StageAxis"]


class StageAxis(MotorAxis):
    """A translation of the sample stage, µm."""


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
