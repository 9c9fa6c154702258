"""The scanning electron microscope: takes one micrograph of the field under the beam.

Its frames are stored as those of `devices.detector.AreaDetector`, so that a run of micrographs is
read like any other run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, EpicsSignal, EpicsSignalRO, Kind, Signal
from ophyd.status import DeviceStatus

from devices.exposure import Exposures
from devices.frames_file import DetectorError, FramesFile, frames_of

__all__ = ["ScanningElectronMicroscope"]

READOUT_MARGIN_S = 20.0


class ScanningElectronMicroscope(Device):
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

    acquire = Component(EpicsSignal, "Acquire", kind=Kind.omitted)
    busy = Component(EpicsSignalRO, "AcquireBusy", kind=Kind.omitted, auto_monitor=True)
    image = Component(EpicsSignalRO, "ArrayData", kind=Kind.omitted)
    n_rows = Component(EpicsSignalRO, "ArraySize1_RBV", kind=Kind.config)
    n_columns = Component(EpicsSignalRO, "ArraySize0_RBV", kind=Kind.config)
    pixel_size = Component(EpicsSignal, "PixelSize", kind=Kind.config, doc="edge of a pixel, nm")
    accelerating_voltage = Component(
        EpicsSignal, "AcceleratingVoltage", kind=Kind.config, doc="of the beam, kV"
    )
    dwell_time = Component(EpicsSignal, "DwellTime", kind=Kind.config, doc="on a pixel, µs")
    working_distance = Component(
        EpicsSignal, "WorkingDistance", kind=Kind.config, doc="lens to sample, mm"
    )
    etching_time = Component(
        Signal, value=0.0, kind=Kind.config, doc="selective etching of the section, s"
    )
    staining = Component(Signal, value="none", kind=Kind.config, doc="none, osmium, …")
    mean = Component(Signal, value=0.0, kind=Kind.hinted, doc="mean grey level of the field")
    valid = Component(Signal, value=0, kind=Kind.normal, doc="0 marks a blank image")

    def __init__(
        self, prefix: str, *, name: str, frames_dir: Path | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(prefix, name=name, **kwargs)
        self.frames_dir = None if frames_dir is None else Path(frames_dir)
        self._file: FramesFile | None = None
        self._exposures = Exposures(self)

    @property
    def file_path(self) -> Path | None:
        """The file that is being written, None while the microscope is not staged."""
        return None if self._file is None else self._file.path

    @property
    def n_points(self) -> int:
        """Fields in the file that the documents know of; 0 while there is no file."""
        return 0 if self._file is None else self._file.n_documented

    @property
    def frame_time_s(self) -> float:
        """Time that one micrograph takes, s."""
        rows, columns = self._shape
        return 1e-6 * float(self.dwell_time.get()) * rows * columns

    @property
    def _shape(self) -> tuple[int, int]:
        return int(self.n_rows.get()), int(self.n_columns.get())

    def frames(self) -> NDArray[Any]:
        """Return the latest micrograph, shape (1, H, W)."""
        return frames_of(
            self.image,
            (1, *self._shape),
            remedy="check that the image is sent in full and not while its size changes",
        )

    def stage(self) -> list[object]:
        """Open a new file for the micrographs, before anything moves."""
        staged: list[object] = super().stage()
        try:
            self._file = FramesFile(
                self.name,
                self.frames_dir,
                shape=(1, *self._shape),
                dtype=np.asarray(self.image.get()).dtype,
            )
        except DetectorError:
            self.unstage()
            raise
        return staged

    def unstage(self) -> list[object]:
        """Close the file."""
        unstaged: list[object] = super().unstage()
        file, self._file = self._file, None
        if file is not None:
            file.close()
        return unstaged

    def trigger(self) -> DeviceStatus:
        """Take a micrograph and store it; the status fails if either fails."""
        duration_s = self.frame_time_s
        return self._exposures.start(
            duration_s=duration_s, timeout_s=duration_s + READOUT_MARGIN_S, store=self._store
        )

    def stop(self, *, success: bool = False) -> None:
        """End a scan that is under way."""
        self.acquire.put(0, wait=False)
        super().stop(success=success)

    def _store(self) -> None:
        frames = self.frames()
        if self._file is not None:
            self._file.write(frames)
        timestamp = self.image.timestamp
        self.mean.put(float(frames.mean()), timestamp=timestamp)
        self.valid.put(int(frames.min() < frames.max()), timestamp=timestamp)

    def describe(self) -> dict[str, Any]:
        """Describe the readings and the external micrographs."""
        described: dict[str, Any] = super().describe()
        if self._file is not None:
            described[f"{self.name}_image"] = self._file.describe(
                source=self.image.describe()[self.image.name]["source"],
                dims=["frame", "y", "x"],
                units="grey level",
            )
        return described

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents that tell where the micrograph just read is."""
        if self._file is not None:
            yield from self._file.documents()
