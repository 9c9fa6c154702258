"""The scanning electron microscope: takes one micrograph of the field under the beam.

Its frames are stored as those of `devices.detector.AreaDetector`, so that a run of micrographs is
read like any other run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ophyd import Component, EpicsSignal, EpicsSignalRO, Kind, Signal
from ophyd.status import DeviceStatus

from devices.connection import stop_if_connected
from devices.exposure import Exposures
from devices.frames_file import FramesDevice
from devices.setting import Setting

__all__ = ["ScanningElectronMicroscope"]

READOUT_MARGIN_S = 20.0


class ScanningElectronMicroscope(FramesDevice):
    """An electron microscope whose image PV holds one micrograph, shape (H, W), grey levels.

    Events carry ``{name}_mean`` (mean grey), ``{name}_valid`` (1, or 0 where the image is blank:
    all pixels alike) and the external ``{name}_image``, shape (1, H, W). The conditions of imaging
    are configuration. Etching and staining are done in the preparation, away from the instrument:
    their signals only carry what was done into the record.

    Parameters
    ----------
    prefix : the part of the PV names that the signals share
    frames_dir : folder for the HDF5 files; may be set later, before `stage`
    """

    frames_dims = ("frame", "y", "x")
    frames_units = "grey level"
    frames_remedy = "check that the image is sent in full and not while its size changes"

    acquire = Component(EpicsSignal, "Acquire", kind=Kind.omitted)
    busy = Component(EpicsSignalRO, "AcquireBusy", kind=Kind.omitted, auto_monitor=True)
    image = Component(EpicsSignalRO, "ArrayData", kind=Kind.omitted)
    n_rows = Component(EpicsSignalRO, "ArraySize1_RBV", kind=Kind.config)
    n_columns = Component(EpicsSignalRO, "ArraySize0_RBV", kind=Kind.config)
    pixel_size = Setting(EpicsSignal, "PixelSize", kind=Kind.config, doc="edge of a pixel, nm")
    accelerating_voltage = Setting(
        EpicsSignal, "AcceleratingVoltage", kind=Kind.config, doc="of the beam, kV"
    )
    dwell_time = Setting(EpicsSignal, "DwellTime", kind=Kind.config, doc="on a pixel, µs")
    working_distance = Setting(
        EpicsSignal, "WorkingDistance", kind=Kind.config, doc="lens to sample, mm"
    )
    etching_time = Setting(
        Signal, value=0.0, kind=Kind.config, doc="selective etching of the section, s"
    )
    staining = Setting(Signal, value="none", kind=Kind.config, doc="none, osmium, …")
    mean = Component(Signal, value=0.0, kind=Kind.hinted, doc="mean grey level of the field")
    valid = Component(Signal, value=0, kind=Kind.normal, doc="0 marks a blank image")

    def __init__(
        self, prefix: str, *, name: str, frames_dir: Path | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(prefix, name=name, frames_dir=frames_dir, **kwargs)
        self._exposures = Exposures(self)

    @property
    def frame_time_s(self) -> float:
        """Time that one micrograph takes, s."""
        _, rows, columns = self.frames_shape
        return 1e-6 * float(self.dwell_time.get()) * rows * columns

    @property
    def frames_shape(self) -> tuple[int, int, int]:
        """Shape of a micrograph, (1, H, W)."""
        return 1, int(self.n_rows.get()), int(self.n_columns.get())

    def trigger(self) -> DeviceStatus:
        """Take a micrograph and store it; the status fails if either fails."""
        self._exposures.check_connected()
        duration_s = self.frame_time_s
        return self._exposures.start(
            duration_s=duration_s, timeout_s=duration_s + READOUT_MARGIN_S, store=self._store
        )

    def stop(self, *, success: bool = False) -> None:
        """End a scan that is under way."""
        stop_if_connected(self.acquire)
        super().stop(success=success)

    def _store(self) -> None:
        frames = self.frames()
        if self._file is not None:
            self._file.write(frames)
        timestamp = self.image.timestamp
        self.mean.put(float(frames.mean()), timestamp=timestamp)
        self.valid.put(int(frames.min() < frames.max()), timestamp=timestamp)
