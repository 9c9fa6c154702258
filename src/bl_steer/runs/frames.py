"""The frames of a run's points, read from disk or from Tiled when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from bl_steer.store import StoreError, path_of

__all__ = ["FrameSource", "Frames"]


@dataclass(frozen=True)
class FrameSource:
    """A dataset of frames, shape (n_points, n_frames, H, W): in an HDF5 file, or behind Tiled.

    Parameters
    ----------
    path : the HDF5 file; None where only Tiled can reach it
    dataset : its path within the file
    client : Tiled's client of the same array
    """

    path: Path | None
    dataset: str
    client: Any = None

    @classmethod
    def from_uri(cls, uri: str, parameters: Mapping[str, Any]) -> Self:
        """Take the URI and the parameters of a ``stream_resource`` document."""
        return cls(path_of(uri), str(parameters["dataset"]))

    @classmethod
    def from_tiled(cls, client: Any) -> Self:
        """Take a Tiled array; its file is read directly (40 times faster) where it is at hand."""
        source = client.include_data_sources().data_sources()[0]
        if len(source.assets) == 1 and "dataset" in source.parameters:
            here = cls.from_uri(source.assets[0].data_uri, source.parameters)
            if here.path is not None and os.access(here.path, os.R_OK):
                return here
        return cls(None, "", client)

    def read(self, rows: Sequence[int]) -> NDArray[Any]:
        """Return some rows, shape (len(rows), n_frames, H, W)."""
        if self.path is None:
            return np.stack([np.asarray(self.client[row]) for row in rows])
        with _open(self.path) as file:
            dataset = file[self.dataset]
            if len(dataset) <= max(rows):
                raise StoreError(
                    f"the frames file must hold row {max(rows)}, got {len(dataset)} rows in "
                    f"{self.path}; the points before it can be read"
                )
            # One read of the span that is needed: HDF5's own fancy indexing is far slower.
            first = min(rows)
            block = dataset[first : max(rows) + 1]
            return np.asarray(block[np.asarray(rows) - first])


class Frames:
    """The frames of a run as if they were an array (n_points, n_frames, H, W).

    Parameters
    ----------
    rows : for each point, its source and the row there
    shape : of one point, (n_frames, H, W)
    dtype : as stored
    problem : why they cannot be read; raised when somebody tries

    Notes
    -----
    ``frames[i]``, ``frames[2:5]``, ``frames[[0, 7]]`` and a mask read these points only;
    ``np.asarray(frames)`` reads all.
    """

    def __init__(
        self,
        rows: Sequence[tuple[FrameSource, int]],
        *,
        shape: Sequence[int],
        dtype: Any,
        problem: str = "",
    ) -> None:
        self._rows = list(rows)
        self.shape = (len(self._rows), *shape)
        self.dtype = np.dtype(dtype)
        self.problem = problem

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        chosen = np.arange(len(self))[index]
        frames = self._read(np.atleast_1d(chosen))
        return frames if np.ndim(chosen) else np.asarray(frames[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _read(self, points: NDArray[np.int_]) -> NDArray[Any]:
        if self.problem:
            raise StoreError(self.problem)
        frames = np.empty((len(points), *self.shape[1:]), self.dtype)
        indices_of: dict[FrameSource, list[int]] = {}
        for index, point in enumerate(points):
            indices_of.setdefault(self._rows[point][0], []).append(index)
        for source, indices in indices_of.items():
            rows = [self._rows[points[index]][1] for index in indices]
            frames[indices] = source.read(rows).reshape(len(rows), *self.shape[1:])
        return frames


def _open(path: Path) -> Any:
    """Open a frames file, be it closed, being written, or left behind by a crash."""
    try:
        return h5py.File(path, "r", libver="latest", swmr=True)
    except FileNotFoundError as error:
        raise StoreError(
            f"the frames of a run must be where its documents say, got no file {path}; bring it "
            "back there, or set up the folder under its old name"
        ) from error
    except OSError:
        return _open_without_lock(path)


def _open_without_lock(path: Path) -> Any:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"the frames of a run must be in a sound HDF5 file, got {reason!r} for {path}; "
            f"'h5clear -s {path}' clears the flags that a crash may leave"
        ) from error
