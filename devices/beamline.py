"""The beamline, as typed factories with the PV names: the place to edit for another beamline."""

from __future__ import annotations

from pathlib import Path

from bl_steer.diffraction import FrameAxes
from devices.detector import AreaDetector
from devices.diffractometer import SurfaceDiffractometer
from devices.monitor import BeamMonitor
from devices.stage import SampleStage

__all__ = ["area_detector", "beam_monitor", "diffractometer", "sample_stage"]

PREFIX = "BL11XU:"


def sample_stage(prefix: str = PREFIX) -> SampleStage:
    """Return the x–y stage under the micro-beam: motor records ``{prefix}STG:X`` and ``…:Y``."""
    return SampleStage(f"{prefix}STG:", name="stage")


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
