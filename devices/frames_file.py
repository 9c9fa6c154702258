"""The file of a run's frames: one HDF5 dataset that grows by a point, beside the documents.

Every detector of frames is a `FramesDevice` and stores them so; `bl_steer.runs` reads them back.
The dataset has the shape (n_points, n_frames, H, W), is flushed after every point and can be read
while it grows (SWMR).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import h5py
import numpy as np
from event_model import StreamRange, compose_stream_resource
from numpy.typing import DTypeLike, NDArray
from ophyd import Device

__all__ = ["DetectorError", "FramesDevice", "FramesFile", "frames_of"]

DATASET = "/entry/data/data"
SPARE_BYTES = 65536
"""Room that is left on the disk, so that the file can always be closed."""


class DetectorError(RuntimeError):
    """The detector did not deliver a frame, or it could not be stored."""


def frames_of(image: Any, shape: tuple[int, int, int], *, remedy: str) -> NDArray[Any]:
    """Return the pixels of an image signal, which come in a row, as frames.

    Parameters
    ----------
    image : the signal
    shape : (n_frames, H, W)
    remedy : what to do where the signal holds another number of pixels

    Raises
    ------
    DetectorError
        When it does.
    """
    flat = np.asarray(image.get())
    if flat.size != np.prod(shape):
        raise DetectorError(f"{image.name} must hold {shape} pixels, got {flat.size}; {remedy}")
    return flat.reshape(shape)


class FramesFile:
    """A new file in `folder`, open until `close`.

    Parameters
    ----------
    detector : its name; the frames are ``{detector}_image`` in the events
    folder : the detector's ``frames_dir``, made where it does not exist
    shape : of one point's frames, (n_frames, H, W)
    dtype : of the pixels

    Raises
    ------
    DetectorError
        When the folder is None or cannot be written, or its disk is full.

    Attributes
    ----------
    n_documented : points that the documents know of
    """

    def __init__(
        self,
        detector: str,
        folder: Path | None,
        *,
        shape: tuple[int, int, int],
        dtype: DTypeLike,
    ) -> None:
        if folder is None:
            raise DetectorError(
                f"{detector}.frames_dir must be set, got None; "
                "give the folder of the store, for example store.frames_dir"
            )
        self._folder = folder
        self.path = folder.absolute() / f"{uuid4()}.h5"
        try:
            self._create(shape, dtype)
        except OSError as error:
            raise DetectorError(
                f"frames must go to a writable folder, got {folder} ({error}); "
                "free space there or choose another folder"
            ) from error
        self.n_documented = 0
        self._new = True
        self._resource = compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{self.path}",
            data_key=f"{detector}_image",
            parameters={"dataset": DATASET, "chunk_shape": (1, *shape), "swmr": True},
        )

    def _create(self, shape: tuple[int, int, int], dtype: DTypeLike) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._check_room(0)
        self._file = h5py.File(self.path, "w", libver="latest")
        self._dataset = self._file.create_dataset(
            DATASET,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(1, *shape),
            dtype=dtype,
        )
        self._file.swmr_mode = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def write(self, frames: NDArray[Any]) -> None:
        """Store the frames of the point at hand, shape (n_frames, H, W).

        Those of several points, taken in one series, may come together, shape (n·n_frames, H, W):
        the documents tell of one after the other. A point that the RunEngine repeats after a pause
        overwrites its own, undocumented, frames.

        Raises
        ------
        DetectorError
            When they cannot be written; the points before stay readable.
        """
        try:
            self._check_room(frames.nbytes)
            points = frames.reshape(-1, *self._dataset.shape[1:])
            self._dataset.resize(self.n_documented + len(points), axis=0)
            self._dataset[self.n_documented :] = points
            self._dataset.flush()
        except (OSError, RuntimeError) as error:
            # HDF5 2.0 crashes the process after a file that cannot be closed: drop what is unsaved.
            with suppress(OSError, RuntimeError):
                self._dataset.resize(self.n_documented, axis=0)
            raise DetectorError(
                f"the frames of point {self.n_documented} must be written to {self._folder}, "
                f"got: {error}; free space there and run again"
            ) from error

    def describe(self, *, source: str, dims: list[str], units: str) -> dict[str, Any]:
        """Return the data key of the frames."""
        return {
            "source": source,
            "dtype": "array",
            "dtype_numpy": np.dtype(self._dataset.dtype).str,
            "shape": list(self._dataset.shape[1:]),
            "dims": dims,
            "external": "STREAM:",
            "units": units,
        }

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents that tell where the frames of the point just read are."""
        if self._new:
            self._new = False
            yield "stream_resource", dict(self._resource.stream_resource_doc)
        start = self.n_documented
        self.n_documented += 1
        indices = StreamRange(start=start, stop=self.n_documented)
        yield "stream_datum", dict(self._resource.compose_stream_datum(indices))

    def _check_room(self, n_bytes: int) -> None:
        if shutil.disk_usage(self.path.parent).free < n_bytes + SPARE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path.parent))


class FramesDevice(Device):
    """A device whose ``image`` signal holds the frames of a point, and goes to a file when staged.

    A kind of detector says which shape its frames have (`frames_shape`), what their axes are
    (`frames_dims`) and what a pixel counts (`frames_units`), and writes to the open `_file`.

    Parameters
    ----------
    prefix : the part of the PV names that the signals share
    frames_dir : folder for the HDF5 files; may be set later, before `stage`
    """

    image: Any
    frames_dims: ClassVar[Sequence[str]]
    frames_units: ClassVar[str]
    frames_remedy: ClassVar[str]
    """What to do where the image holds another number of pixels."""

    def __init__(
        self, prefix: str, *, name: str, frames_dir: Path | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(prefix, name=name, **kwargs)
        self.frames_dir = None if frames_dir is None else Path(frames_dir)
        self._file: FramesFile | None = None
        self._n_documented = 0

    @property
    def frames_shape(self) -> tuple[int, int, int]:
        """Shape of one point's frames, (n_frames, H, W), as the signals have it."""
        raise NotImplementedError

    @property
    def file_path(self) -> Path | None:
        """The file that is being written, None while the device is not staged."""
        return None if self._file is None else self._file.path

    @property
    def n_points(self) -> int:
        """Points in the latest file that the documents know of."""
        return self._n_documented

    def frames(self) -> NDArray[Any]:
        """Return the latest point's frames, shape (n_frames, H, W)."""
        return frames_of(self.image, self.frames_shape, remedy=self.frames_remedy)

    def stage(self) -> list[object]:
        """Open a new file for the frames, before anything moves."""
        staged: list[object] = super().stage()
        try:
            self._file = FramesFile(
                self.name,
                self.frames_dir,
                shape=self.frames_shape,
                dtype=np.asarray(self.image.get()).dtype,
            )
        except DetectorError:
            self.unstage()
            raise
        self._n_documented = 0
        return staged

    def unstage(self) -> list[object]:
        """Close the file."""
        unstaged: list[object] = super().unstage()
        file, self._file = self._file, None
        if file is not None:
            file.close()
        return unstaged

    def describe(self) -> dict[str, Any]:
        """Describe the readings and the external frames."""
        described: dict[str, Any] = super().describe()
        if self._file is not None:
            described[f"{self.name}_image"] = self._file.describe(
                source=self.image.describe()[self.image.name]["source"],
                dims=list(self.frames_dims),
                units=self.frames_units,
            )
        return described

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents that tell where the frames of the point just read are."""
        if self._file is not None:
            yield from self._file.documents()
            self._n_documented = self._file.n_documented
