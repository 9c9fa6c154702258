"""The area detector: takes the frames of a point and stores them beside the documents.

A trigger takes ``n_frames`` frames, for instance while a circle sweeps; the fast mode takes one.
They are stored in a `devices.frames_file.FramesFile`; events refer to it by ``stream_datum``
documents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, EpicsSignal, EpicsSignalRO, Kind, Signal
from ophyd.status import DeviceStatus

from bl_steer.diffraction import FrameAxes
from devices.connection import stop_if_connected
from devices.exposure import Exposures
from devices.frames_file import DetectorError, FramesDevice
from devices.setting import Setting

__all__ = ["AreaDetector", "DetectorError"]

ERROR_STATE = 6
"""``DetectorState_RBV`` of EPICS areaDetector: 0 idle, 1 acquire, 6 error."""
READOUT_MARGIN_S = 20.0
NEIGHBOUR_COUNTS = 25.0
"""Of the frames beside a lost one."""


class AreaDetector(FramesDevice):
    """A pixel detector whose image PV holds the frames of one point, shape (n_frames, H, W).

    Events carry ``{name}_total`` (counts), ``{name}_valid`` (1, or 0 where a frame was lost among
    others that counted, or is not finite) and the external ``{name}_image``.

    Parameters
    ----------
    prefix : the part of the PV names that the signals share
    axes : coordinates of the pixels, after the reciprocal-space conversion
    frames_dir : folder for the HDF5 files; may be set later, before `stage`
    """

    frames_dims = ("rocking", "qz", "qx")
    frames_units = "counts"
    frames_remedy = "set the detector's region and NumImages to the frame that the axes describe"

    acquire = Component(EpicsSignal, "Acquire", kind=Kind.omitted)
    busy = Component(EpicsSignalRO, "AcquireBusy", kind=Kind.omitted, auto_monitor=True)
    state = Component(EpicsSignalRO, "DetectorState_RBV", kind=Kind.omitted)
    exposure_time = Setting(EpicsSignal, "AcquireTime", kind=Kind.config, doc="of a frame, s")
    n_frames = Setting(EpicsSignal, "NumImages", kind=Kind.config, doc="frames of a trigger")
    image = Component(EpicsSignalRO, "ArrayData", kind=Kind.omitted)
    qx = Component(Signal, value=[], kind=Kind.config, doc="q in the plane of each column")
    qz = Component(Signal, value=[], kind=Kind.config, doc="q out of the plane of each row")
    q_unit = Component(Signal, value="1/Å", kind=Kind.config)
    total = Component(Signal, value=0.0, kind=Kind.hinted, doc="counts of the point")
    valid = Component(Signal, value=0, kind=Kind.normal, doc="0 marks a lost or torn frame")

    def __init__(
        self,
        prefix: str,
        *,
        name: str,
        axes: FrameAxes,
        frames_dir: Path | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(prefix, name=name, frames_dir=frames_dir, **kwargs)
        self._axes = axes
        self.qx.put(axes.qx.tolist())
        self.qz.put(axes.qz.tolist())
        self.q_unit.put(axes.unit)
        self._exposures = Exposures(self)

    @property
    def axes(self) -> FrameAxes:
        """Coordinates of the frame's pixels."""
        return self._axes

    @property
    def frames_shape(self) -> tuple[int, int, int]:
        """Shape of one point's frames, (n_frames, H, W)."""
        n_rows, n_columns = self._axes.shape
        return int(self.n_frames.get()), n_rows, n_columns

    def trigger(self) -> DeviceStatus:
        """Take the frames of one point and store them; the status fails if either fails."""
        self._exposures.check_connected()
        duration_s = int(self.n_frames.get()) * float(self.exposure_time.get())
        return self._exposures.start(
            duration_s=duration_s, timeout_s=duration_s + READOUT_MARGIN_S, store=self._store
        )

    def stop(self, *, success: bool = False) -> None:
        """End an exposure that is under way."""
        stop_if_connected(self.acquire)
        super().stop(success=success)

    def _store(self) -> None:
        if self.state.get() == ERROR_STATE:
            raise DetectorError(
                f"{self.name} must end an exposure in the idle state, got the error state "
                f"{ERROR_STATE}; reset the detector and run again"
            )
        frames = self.frames()
        if self._file is not None:
            self._file.write(frames)
        timestamp = self.image.timestamp
        total = float(frames.sum())
        self.total.put(total, timestamp=timestamp)
        self.valid.put(int(_all_counted(frames)), timestamp=timestamp)


def _all_counted(frames: NDArray[Any]) -> bool:
    """Return whether every frame of a series is there.

    A frame without counts is lost where both its neighbours, or the only one, have
    `NEIGHBOUR_COUNTS`: by chance it would be empty with a probability below e⁻²⁵. Between frames
    that are near empty too, as far off a peak, and alone, it may be what was there: the plan says
    what a point without counts means.
    """
    if not np.isfinite(frames).all():
        return False
    counts = np.concatenate([[np.inf], frames.sum(axis=(1, 2)), [np.inf]])
    neighbours = np.minimum(counts[:-2], counts[2:])
    empty = ~frames.any(axis=(1, 2))
    return not (empty & np.isfinite(neighbours) & (neighbours >= NEIGHBOUR_COUNTS)).any()
