"""A detector whose images come over PV Access, as areaDetector's PVA plugin sends them.

Needs p4p (``pip install 'bl-steer[pva]'``). A detector that writes files of its own, as
areaDetector's HDF5 plugin does, is best read from these; take this class where there are none.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Kind, Signal
from ophyd.status import DeviceStatus
from p4p.client.thread import Context

from devices.connection import fail, finish
from devices.frames_file import DetectorError, FramesDevice

__all__ = ["PvaDetector"]


class PvaDetector(FramesDevice):
    """A detector that publishes each of its frames as an NTNDArray; `trigger` stores `n_frames`.

    Events carry ``{name}_total`` (counts) and the external ``{name}_image``, shape
    (n_frames, H, W).

    Parameters
    ----------
    prefix : the PV of the images, such as ``"13SIM1:Pva1:Image"``
    acquire : the PV, on PV Access, that starts a series when 1 is put there; empty for a detector
        that never stops. Of that one, the first frame after the trigger is let pass, for it began
        before.
    frames_dir : folder for the HDF5 files; may be set later, before `stage`
    timeout_s : for the series of a point to come, s
    """

    frames_dims = ("frame", "row", "column")
    frames_units = "counts"
    frames_remedy = "leave the detector's region as it is during a run"

    image = Component(Signal, value=np.zeros((1, 1)), kind=Kind.omitted)
    n_frames = Component(Signal, value=1, kind=Kind.config, doc="frames of a point")
    total = Component(Signal, value=0.0, kind=Kind.hinted, doc="counts of the point")

    def __init__(
        self,
        prefix: str,
        *,
        name: str,
        acquire: str = "",
        frames_dir: Path | str | None = None,
        timeout_s: float = 20.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(prefix, name=name, frames_dir=frames_dir, **kwargs)
        self._acquire, self._timeout_s = acquire, timeout_s
        self._context: Any = None
        self._subscription: Any = None  # held, or it would end
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._series: _Series | None = None

    @property
    def frames_shape(self) -> tuple[int, int, int]:
        """Shape of one point's frames, (n_frames, H, W), as the latest image has it."""
        height, width = np.shape(self.image.get())[-2:]
        return int(self.n_frames.get()), height, width

    def stage(self) -> list[object]:
        """Listen to the images, and open a new file for them once one has come."""
        self._arrived.clear()
        self._context = Context("pva")
        self._subscription = self._context.monitor(
            self.prefix, self._on_image, notify_disconnect=True
        )
        if not self._arrived.wait(self._timeout_s):
            self._close()
            raise DetectorError(
                f"{self.name} must send an image, got none from {self.prefix} within "
                f"{self._timeout_s:g} s; check its name and EPICS_PVA_ADDR_LIST, and that it sends "
                "uncompressed images"
            )
        return super().stage()

    def unstage(self) -> list[object]:
        """Close the file and listen no more."""
        self._close()
        return super().unstage()

    def trigger(self) -> DeviceStatus:
        """Take and store the frames of one point; the status fails if they do not come."""
        status = DeviceStatus(self)
        waited = DeviceStatus(self, timeout=self._timeout_s)
        series = _Series(waited, n_frames=int(self.n_frames.get()), n_before=not self._acquire)

        def on_finished(waited: DeviceStatus) -> None:
            try:
                if not series.is_complete and waited.exception() is not None:
                    raise series.problem or DetectorError(
                        f"{self.name} must send {series.n_frames} images within "
                        f"{self._timeout_s:g} s, got {len(series.frames)}; check that "
                        f"{self.prefix} acquires"
                    )
                if self._series is series:  # else repeated after a pause: the repetition stores
                    self._store(np.stack(series.frames))
            except Exception as error:
                fail(status, error)
            else:
                status.set_finished()

        waited.add_callback(on_finished)
        with self._lock:
            self._series = series
        if self._acquire:
            self._context.put(self._acquire, 1, wait=False)
        return status

    def describe(self) -> dict[str, Any]:
        """Describe the readings and the external frames."""
        described = super().describe()
        if f"{self.name}_image" in described:
            described[f"{self.name}_image"]["source"] = f"pva://{self.prefix}"
        return described

    def _on_image(self, image: Any) -> None:
        """Take an image, or the exception that tells of a lost connection, in p4p's thread."""
        with self._lock:
            series = self._series
        if isinstance(image, Exception):
            if series is not None:
                series.end(
                    DetectorError(
                        f"{self.name} must stay connected, got {image or type(image).__name__} "
                        f"from {self.prefix}; start its server and run again"
                    )
                )
            return
        if np.ndim(image) != 2:
            return  # an empty first image, or colours: what is missing is told by the time-out
        if not self._arrived.is_set():
            self.image.put(np.array(image)[None])
            self._arrived.set()
        if series is not None:
            series.take(np.array(image), int(image.raw.uniqueId))

    def _store(self, frames: NDArray[Any]) -> None:
        self.image.put(frames)
        if self._file is not None:
            self._file.write(frames)
        self.total.put(float(frames.sum(dtype=float)))

    def _close(self) -> None:
        with self._lock:
            self._series = None
        if self._context is not None:
            self._subscription.close()
            self._context.close()
            self._context = self._subscription = None


class _Series:
    """The frames of a point on their way."""

    def __init__(self, status: DeviceStatus, *, n_frames: int, n_before: int) -> None:
        self._status = status
        self._n_before = int(n_before)
        self._latest_id: int | None = None
        self.n_frames = n_frames
        self.frames: list[NDArray[Any]] = []
        self.problem: Exception | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all frames are there."""
        return len(self.frames) == self.n_frames

    def take(self, frame: NDArray[Any], number: int) -> None:
        """Take a frame; `number` counts those that the detector sent, 0 where it does not."""
        if self._status.done or self.problem is not None or len(self.frames) == self.n_frames:
            return  # the status is done a moment later than it is told so
        latest, self._latest_id = self._latest_id, number
        if self._n_before > 0:
            self._n_before -= 1
            return
        if self.frames and number and latest is not None and number != latest + 1:
            self.end(
                DetectorError(
                    f"the images of a point must follow each other, got number {number} after "
                    f"{latest}; expose longer, or send smaller images"
                )
            )
            return
        self.frames.append(frame)
        if self.is_complete:
            finish(self._status)

    def end(self, problem: Exception) -> None:
        """Give up."""
        if not self.is_complete:
            self.problem = problem
            fail(self._status, problem)
