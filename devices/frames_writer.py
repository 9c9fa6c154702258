"""Stores the frames of a detector that stores none itself.

What a run was steered on must be in its record; a plan reads a `FramesWriter` beside such a
detector. Detectors of this package are `devices.frames_file.FramesDevice` and need none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bl_steer.settings import Settings
from devices.frames_file import DetectorError, FramesFile

__all__ = ["FramesWriter"]

logger = logging.getLogger(__name__)


class FramesWriter:
    """A readable that writes what ``detector.frames()`` returns to a file, a row for each event.

    Parameters
    ----------
    detector : has a method ``frames``: the latest frames, shape (n_frames, H, W) or (H, W)
    frames_dir : folder for the HDF5 files; a session sets that of its store. Without either it is
        ``frames`` in ``BL_STEER_DATA_DIR``, ``./bl_steer_data`` by default, and the log says so

    Notes
    -----
    Events refer to the frames under ``{detector}_image``.
    """

    parent: ClassVar[None] = None
    hints: ClassVar[dict[str, Any]] = {"fields": []}

    def __init__(self, detector: Any, frames_dir: Path | None = None) -> None:
        self.name = f"{detector.name}_image"
        self.frames_dir = frames_dir
        self._detector = detector
        self._file: FramesFile | None = None
        self._folder = frames_dir
        self._shape: tuple[int, ...] | None = None

    def stage(self) -> list[Any]:
        """Be ready; the file is opened by the first frame, which says its shape."""
        self._shape = None
        self._folder = self.frames_dir or Settings().data_dir / "frames"
        logger.log(
            logging.WARNING if self.frames_dir is None else logging.INFO,
            "%s keeps its frames in memory: they are written to %s",
            self._detector.name,
            Path(self._folder).absolute(),
        )
        return [self]

    def unstage(self) -> list[Any]:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        return [self]

    def read(self) -> dict[str, Any]:
        """Write the latest frames; the reading itself is in the file.

        Raises
        ------
        DetectorError
            When there are none, or they cannot be written.
        """
        frames = np.asarray(self._detector.frames())
        if frames.ndim not in (2, 3) or frames.dtype.kind not in "biuf":
            raise DetectorError(
                f"frames of {self._detector.name} must be numbers of shape (n_frames, H, W), got "
                f"{frames.dtype} of shape {frames.shape}; see that frames() returns them so"
            )
        frames = frames.reshape(-1, *frames.shape[-2:])
        if self._shape not in (None, frames.shape):
            raise DetectorError(
                f"frames of {self._detector.name} must keep their shape {self._shape} in a run, "
                f"got {frames.shape}; set the detector's region before the run"
            )
        self._shape = frames.shape
        self._open(frames).write(frames)
        return {}

    def describe(self) -> dict[str, Any]:
        """Describe the frames in the file."""
        if self._file is None:
            return {}
        description = self._file.describe(
            source=f"bl_steer:{self._detector.name}.frames",
            dims=["frame", "row", "column"],
            units="counts",
        )
        return {self.name: description}

    def read_configuration(self) -> dict[str, Any]:
        """Return no configuration."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Return no configuration."""
        return {}

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents that tell where the frames just read are."""
        if self._file is not None:
            yield from self._file.documents()

    def _open(self, frames: Any) -> FramesFile:
        if self._file is None:
            self._file = FramesFile(
                self._detector.name,
                self._folder,
                shape=frames.shape,
                dtype=frames.dtype,
            )
        return self._file
