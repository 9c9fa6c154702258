"""The beam monitor in front of the sample: what the counts are normalised by."""

from __future__ import annotations

from ophyd import Component, Device, EpicsSignalRO, Signal

__all__ = ["BeamMonitor"]


class BeamMonitor(Device):
    """An ion chamber or diode, gated by the detector's exposure.

    Events carry ``{name}_counts``: counts during the latest exposure.
    """

    counts = Component(EpicsSignalRO, "COUNTS", kind="hinted", doc="counts in the latest exposure")
    nominal_rate = Component(
        Signal, value=1e6, kind="config", doc="counts per second that the nominal beam gives"
    )
