"""The instrument, as Ophyd devices: they know signals, not experiments."""

from devices.detector import AreaDetector, DetectorError
from devices.diffractometer import SurfaceDiffractometer
from devices.monitor import BeamMonitor
from devices.sem import ScanningElectronMicroscope
from devices.stage import SampleStage, StageAxis

__all__ = [
    "AreaDetector",
    "BeamMonitor",
    "DetectorError",
    "SampleStage",
    "ScanningElectronMicroscope",
    "StageAxis",
    "SurfaceDiffractometer",
]
