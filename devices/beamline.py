"""The beamline, as typed factories with the PV names: the place to edit for another beamline."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ophyd import Device

from bl_steer.diffraction import FrameAxes
from devices.detector import AreaDetector
from devices.diffractometer import SurfaceDiffractometer
from devices.monitor import BeamMonitor
from devices.stage import SampleStage

__all__ = ["area_detector", "beam_monitor", "connect", "diffractometer", "sample_stage"]

PREFIX = "BL11XU:"


def sample_stage(prefix: str = PREFIX, *, settle_s: float = 0.5) -> SampleStage:
    """Return the x–y stage under the micro-beam: motor records ``{prefix}STG:X`` and ``…:Y``."""
    return SampleStage(f"{prefix}STG:", name="stage", settle_s=settle_s)


def area_detector(
    axes: FrameAxes, *, frames_dir: Path | str | None = None, prefix: str = PREFIX
) -> AreaDetector:
    """Return the pixel detector, ``{prefix}DET:``; `axes` come from the calibrated geometry."""
    return AreaDetector(f"{prefix}DET:", name="det", axes=axes, frames_dir=frames_dir)


def beam_monitor(prefix: str = PREFIX) -> BeamMonitor:
    """Return the ion chamber in front of the sample, ``{prefix}MON:``."""
    return BeamMonitor(f"{prefix}MON:", name="monitor")


def diffractometer(prefix: str = PREFIX) -> SurfaceDiffractometer:
    """Return the six circles, ``{prefix}DIF:``."""
    return SurfaceDiffractometer(f"{prefix}DIF:", name="diffractometer")


def connect(devices: Iterable[Device], *, timeout_s: float = 10.0) -> None:
    """Wait until every process variable of `devices` answers.

    Parameters
    ----------
    timeout_s : for all to answer, and for each that is read later, s; a read of ophyd's fails
        after 2 s, which a busy IOC may take

    Raises
    ------
    ConnectionError
        Naming all the records that did not answer in time.
    """
    devices = list(devices)
    deadline = time.monotonic() + timeout_s
    for device in devices:
        with suppress(TimeoutError):
            device.wait_for_connection(timeout=max(deadline - time.monotonic(), 0.01))
    signals = [walk.item for device in devices for walk in device.walk_signals()]
    for signal in signals:
        signal._timeout = timeout_s  # ophyd takes it as the signal is made alone
    silent = [signal.pvname for signal in signals if not signal.connected]
    if silent:
        records = ", ".join(dict.fromkeys(name.split(".")[0] for name in silent))
        raise ConnectionError(
            f"every process variable must answer within {timeout_s:g} s, got no answer from "
            f"{records}; check the prefix, EPICS_CA_ADDR_LIST and that their IOC runs"
        )
