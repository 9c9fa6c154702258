"""The area detector: takes the frames of a point and stores them beside the documents.

A point is a rocking scan of ``n_frames`` frames; the fast mode takes one. The stored form is one
HDF5 file for each run with a dataset (n_points, n_frames, H, W), flushed after every point and
readable while it grows (SWMR). Events refer to it by ``stream_datum`` documents.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
from event_model import StreamRange, compose_stream_resource
from numpy.typing import NDArray
from ophyd import Component, Device, EpicsSignal, EpicsSignalRO, Kind, Signal
from ophyd.status import DeviceStatus, SubscriptionStatus

from bl_steer.diffraction import FrameAxes

__all__ = ["AreaDetector", "DetectorError"]

DATASET = "/entry/data/data"
ERROR_STATE = 6
"""``DetectorState_RBV`` of EPICS areaDetector: 0 idle, 1 acquire, 6 error."""
READOUT_MARGIN_S = 20.0
SPARE_BYTES = 65536
"""Room that is left on the disk, so that the file can always be closed."""


class DetectorError(RuntimeError):
    """The detector did not deliver a frame."""


class AreaDetector(Device):
    """A pixel detector whose image PV holds the frames of one point, shape (n_frames, H, W).

    Events carry ``{name}_total`` (counts), ``{name}_valid`` (1, or 0 where no pixel of a frame
    counted: a dead frame) and the external ``{name}_image``.

    Parameters
    ----------
    prefix : the part of the PV names that the signals share
    axes : coordinates of the pixels, after the reciprocal-space conversion
    frames_dir : folder for the HDF5 files; may be set later, before `stage`
    """

    acquire = Component(EpicsSignal, "Acquire", kind=Kind.omitted)
    busy = Component(EpicsSignalRO, "AcquireBusy", kind=Kind.omitted, auto_monitor=True)
    state = Component(EpicsSignalRO, "DetectorState_RBV", kind=Kind.omitted)
    exposure_time = Component(EpicsSignal, "AcquireTime", kind=Kind.config, doc="of a frame, s")
    n_frames = Component(EpicsSignal, "NumImages", kind=Kind.config, doc="frames of a point")
    rocking_range = Component(
        Signal, value=0.0, kind=Kind.config, doc="full range of the rocking scan of a point, deg"
    )
    image = Component(EpicsSignalRO, "ArrayData", kind=Kind.omitted)
    qx = Component(Signal, value=[], kind=Kind.config, doc="q in the plane of each column")
    qz = Component(Signal, value=[], kind=Kind.config, doc="q out of the plane of each row")
    q_unit = Component(Signal, value="1/Å", kind=Kind.config)
    total = Component(Signal, value=0.0, kind=Kind.hinted, doc="counts of the point")
    valid = Component(Signal, value=0, kind=Kind.normal, doc="0 marks a point with a dead frame")

    def __init__(
        self,
        prefix: str,
        *,
        name: str,
        axes: FrameAxes,
        frames_dir: Path | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(prefix, name=name, **kwargs)
        self.frames_dir = None if frames_dir is None else Path(frames_dir)
        self._axes = axes
        self.qx.put(axes.qx.tolist())
        self.qz.put(axes.qz.tolist())
        self.q_unit.put(axes.unit)
        self._file: h5py.File | None = None
        self._exposure: Any = None
        self._n_documented = 0
        self._new_resource = False

    @property
    def axes(self) -> FrameAxes:
        """Coordinates of the frame's pixels."""
        return self._axes

    @property
    def file_path(self) -> Path | None:
        """The file that is being written, None while the detector is not staged."""
        return None if self._file is None else Path(self._file.filename)

    @property
    def n_points(self) -> int:
        """Points in the file that the documents know of."""
        return self._n_documented

    def frames(self) -> NDArray[Any]:
        """Return the latest point's frames, shape (n_frames, H, W)."""
        flat = np.asarray(self.image.get())
        shape = (int(self.n_frames.get()), *self._axes.shape)
        if flat.size != np.prod(shape):
            raise DetectorError(
                f"{self.image.name} must hold {shape} pixels, got {flat.size}; "
                "set the detector's region and NumImages to the frame that the axes describe"
            )
        return flat.reshape(shape)

    def stage(self) -> list[object]:
        """Open a new file for the frames, before anything moves."""
        if self.frames_dir is None:
            raise DetectorError(
                f"{self.name}.frames_dir must be set, got None; "
                "give the folder of the store, for example store.frames_dir"
            )
        staged: list[object] = super().stage()
        try:
            self._open(self.frames_dir)
        except OSError as error:
            self.unstage()
            raise DetectorError(
                f"frames must go to a writable folder, got {self.frames_dir} ({error}); "
                "free space there or choose another folder"
            ) from error
        return staged

    def _open(self, folder: Path) -> None:
        frames = (int(self.n_frames.get()), *self._axes.shape)
        path = folder.absolute() / f"{uuid4()}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_room(path.parent, 0)
        self._file = h5py.File(path, "w", libver="latest")
        self._dataset = self._file.create_dataset(
            DATASET,
            shape=(0, *frames),
            maxshape=(None, *frames),
            chunks=(1, *frames),
            dtype=np.asarray(self.image.get()).dtype,
        )
        self._file.swmr_mode = True
        self._n_documented = 0
        self._new_resource = True
        self._resource = compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{path}",
            data_key=f"{self.name}_image",
            parameters={"dataset": DATASET, "chunk_shape": (1, *frames), "swmr": True},
        )

    def unstage(self) -> list[object]:
        """Close the file."""
        unstaged: list[object] = super().unstage()
        file, self._file = self._file, None
        if file is not None:
            file.close()
        return unstaged

    def trigger(self) -> DeviceStatus:
        """Take the frames of one point and store them; the status fails if either fails."""
        exposures_s = int(self.n_frames.get()) * float(self.exposure_time.get())
        timeout_s = exposures_s + READOUT_MARGIN_S
        status = DeviceStatus(self)
        self._exposure = status
        finished = SubscriptionStatus(self.busy, _falling_edge, run=False, timeout=timeout_s)

        def on_finished(finished: SubscriptionStatus) -> None:
            if self._exposure is not status:  # repeated after a pause: the repetition stores
                status.set_finished()
                return
            try:
                if not finished.success:
                    raise DetectorError(
                        f"{self.name} must end {exposures_s:g} s of exposure within "
                        f"{timeout_s:g} s, got none ended; check that it is armed and connected"
                    )
                self._store()
            except Exception as error:
                status.set_exception(error)
            else:
                status.set_finished()

        finished.add_callback(on_finished)
        self.acquire.put(1, wait=False)
        return status

    def stop(self, *, success: bool = False) -> None:
        """End an exposure that is under way."""
        self.acquire.put(0, wait=False)
        super().stop(success=success)

    def _store(self) -> None:
        if self.state.get() == ERROR_STATE:
            raise DetectorError(
                f"{self.name} must end an exposure in the idle state, got the error state "
                f"{ERROR_STATE}; reset the detector and run again"
            )
        frames = self.frames()
        if self._file is not None:
            self._write(self._file, frames)
        timestamp = self.image.timestamp
        total = float(frames.sum())
        self.total.put(total, timestamp=timestamp)
        self.valid.put(int(np.isfinite(total) and not _any_dead(frames)), timestamp=timestamp)

    def _write(self, file: h5py.File, frames: NDArray[Any]) -> None:
        # A point that the RunEngine repeats after a pause overwrites its own, undocumented, frames.
        try:
            _check_room(Path(file.filename).parent, frames.nbytes)
            self._dataset.resize(self._n_documented + 1, axis=0)
            self._dataset[self._n_documented] = frames
            self._dataset.flush()
        except (OSError, RuntimeError) as error:
            # HDF5 2.0 crashes the process after a file that cannot be closed: drop what is unsaved.
            with suppress(OSError, RuntimeError):
                self._dataset.resize(self._n_documented, axis=0)
            raise DetectorError(
                f"the frames of point {self._n_documented} must be written to {self.frames_dir}, "
                f"got: {error}; free space there and run again"
            ) from error

    def describe(self) -> dict[str, Any]:
        """Describe the readings and the external frames."""
        described: dict[str, Any] = super().describe()
        if self._file is not None:
            described[f"{self.name}_image"] = {
                "source": self.image.describe()[self.image.name]["source"],
                "dtype": "array",
                "dtype_numpy": self._dataset.dtype.str,
                "shape": list(self._dataset.shape[1:]),
                "dims": ["rocking", "qz", "qx"],
                "external": "STREAM:",
                "units": "counts",
            }
        return described

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents that tell where the frames of the point just read are."""
        if self._file is None:
            return
        if self._new_resource:
            self._new_resource = False
            yield "stream_resource", dict(self._resource.stream_resource_doc)
        start = self._n_documented
        self._n_documented += 1
        indices = StreamRange(start=start, stop=self._n_documented)
        yield "stream_datum", dict(self._resource.compose_stream_datum(indices))


def _falling_edge(*, value: int, old_value: int, **_: object) -> bool:
    return old_value == 1 and value == 0


def _check_room(folder: Path, n_bytes: int) -> None:
    if shutil.disk_usage(folder).free < n_bytes + SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _any_dead(frames: NDArray[Any]) -> bool:
    """Return whether a frame has no counts at all; one number (a point detector) may be zero."""
    return frames[0].size > 1 and not frames.any(axis=(1, 2)).all()
