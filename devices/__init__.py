"""The instrument, as Ophyd devices: they know signals, not experiments."""

from devices.detector import AreaDetector, DetectorError
from devices.diffractometer import SurfaceDiffractometer
from devices.fibsem import FibSemColumn, IonMill, MillError
from devices.monitor import BeamMonitor
from devices.motor import MotorAxis, MotorError
from devices.sem import ScanningElectronMicroscope
from devices.stage import SampleStage, StageAxis

__all__ = [
    "AreaDetector",
    "BeamMonitor",
    "DetectorError",
    "FibSemColumn",
    "IonMill",
    "MillError",
    "MotorAxis",
    "MotorError",
    "SampleStage",
    "ScanningElectronMicroscope",
    "StageAxis",
    "SurfaceDiffractometer",
]
