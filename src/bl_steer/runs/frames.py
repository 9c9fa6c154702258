"""The frames of a run's points, read from disk or from Tiled when they are asked for.

Those that the events themselves hold are had in the same way.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from httpx import HTTPError
from numpy.typing import NDArray

from bl_steer.store import StoreError, path_of

__all__ = ["FrameSource", "Frames", "as_frames", "frames_shape"]


COLOURS = (3, 4)
"""Length of the last axis of a colour image; its colours are added up."""


@dataclass(frozen=True)
class FrameSource:
    """A dataset of frames: in an HDF5 file, in files of numpy, or behind Tiled.

    Parameters
    ----------
    path : the HDF5 file, or what the names of the numpy files begin with; None where only Tiled
        can reach it, and where the events hold them
    dataset : its path within the file; empty for numpy files; a name for those of the events
    client : Tiled's client of the same array
    shape : of the data of an event, as its data key has it; empty where it is not known
    rows_per_event : rows of the dataset that belong to an event; None to tell it by `shape`
    problem : why it cannot be read; raised when somebody tries
    array : of the events' own arrays, shape (n_events, …)
    """

    path: Path | None
    dataset: str
    client: Any = None
    shape: tuple[int, ...] = ()
    rows_per_event: int | None = None
    problem: str = ""
    array: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def from_uri(cls, uri: str, parameters: Mapping[str, Any], shape: Sequence[Any] = ()) -> Self:
        """Take the URI and the parameters of a ``stream_resource`` document."""
        return cls(path_of(uri), str(parameters["dataset"]), shape=_sizes(shape))

    @classmethod
    def from_tiled(cls, client: Any) -> Self:
        """Take a Tiled array; its file is read directly (40 times faster) where it is at hand."""
        shape = client.shape[1:]
        source = client.include_data_sources().data_sources()[0]
        if len(source.assets) == 1 and "dataset" in source.parameters:
            here = cls.from_uri(source.assets[0].data_uri, source.parameters, shape)
            if here.path is not None and os.access(here.path, os.R_OK):
                return here
        return cls(None, "", client, _sizes(shape))

    @property
    def frames_shape(self) -> tuple[int, int, int]:
        """Shape of the frames of an event as the documents have it, (n_frames, H, W)."""
        n_frames, height, width = frames_shape(self.shape)
        return self.rows_per_event or n_frames, height, width

    def dtype_of(self, dtype: Any) -> Any:
        """Return the type of the frames whose pixels are stored as `dtype`."""
        return np.zeros(1, dtype).sum().dtype if _is_colour(self.shape) else np.dtype(dtype)

    def read(self, rows: Sequence[int], *, patience_s: float = 0.0) -> NDArray[Any]:
        """Return the frames of some events, shape (len(rows), n_frames, H, W).

        Parameters
        ----------
        rows : the events' places in the dataset, counted in events
        patience_s : how long to wait for what a writer has not flushed yet

        Raises
        ------
        StoreError
            When they are not there, or not in the time given.
        """
        if self.problem:
            raise StoreError(self.problem)
        deadline = time.monotonic() + patience_s
        pause_s = 0.002
        while True:
            try:
                return self._read(rows, complete=patience_s > 0)
            except StoreError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.05)

    def _read(self, rows: Sequence[int], *, complete: bool) -> NDArray[Any]:
        if self.array is not None:
            return np.stack([as_frames(self.array[row]) for row in rows])
        if self.path is None:
            return np.stack([self._as_frames(self._from_tiled(row)[None]) for row in rows])
        if not self.dataset:
            return np.stack([self._as_frames(_load(self.path, row)[None]) for row in rows])
        with _open(self.path) as file:
            if self.dataset not in file:
                raise StoreError(
                    f"the frames must be in the dataset {self.dataset}, got {sorted(file)} in "
                    f"{self.path}; set the writer to the dataset that it tells of"
                )
            dataset = file[self.dataset]
            n = self._rows_per_event(dataset.shape[1:])
            last = (max(rows) + 1) * n - 1
            if len(dataset) <= last:
                raise StoreError(
                    f"the frames file must hold row {last}, got {len(dataset)} rows in "
                    f"{self.path}; the points before it can be read"
                )
            if complete:
                _check_written(dataset, last)
            # One read of the span that is needed: HDF5's own fancy indexing is far slower.
            first = min(rows)
            _check_within_file(dataset, range(first * n, last + 1), self.path)
            try:
                block = dataset[first * n : last + 1].reshape(-1, n, *dataset.shape[1:])
            except OSError as error:
                raise _unsound(error, self.path) from error
            return np.stack([self._as_frames(event) for event in block[np.asarray(rows) - first]])

    def _from_tiled(self, row: int) -> NDArray[Any]:
        try:
            return np.asarray(self.client[row])
        except (OSError, HTTPError, RuntimeError) as error:  # the last of a server in this process
            raise StoreError(
                f"the frames of a run must be where its documents say, got {error} from "
                f"{self.client.uri}; bring the files back there, or let Tiled's server read them"
            ) from error

    def _as_frames(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return an event's rows of the dataset, shape (n_rows, …), as (n_frames, H, W).

        The data key says which axes are those of a frame. Where it is wrong, as that of a camera
        whose region was changed, the file knows better.
        """
        if _is_colour(rows.shape[1:]):
            rows = rows.sum(axis=-1)
        shape = self.frames_shape
        if math.prod(shape) != rows.size:
            shape = -1, *frames_shape(rows.shape[1:])[1:]
        return rows.reshape(shape)

    def _rows_per_event(self, row_shape: Sequence[int]) -> int:
        """Return how many rows of the dataset belong to an event.

        Our own files have a row for each event, those of other writers a row for each frame.
        """
        if self.rows_per_event is not None or not self.shape:
            return self.rows_per_event or 1
        n_rows, rest = divmod(math.prod(self.shape), max(1, math.prod(row_shape)))
        if rest or not n_rows:
            raise StoreError(
                f"an event must be a number of rows of {self.dataset}, got rows of shape "
                f"{tuple(row_shape)} for a data key of shape {self.shape} in {self.path}; read "
                "the file by itself"
            )
        return n_rows


def as_frames(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array of an event as frames, shape (n_frames, H, W), as `frames_shape` has it."""
    shape = frames_shape(array.shape)
    return (array.sum(axis=-1) if _is_colour(array.shape) else array).reshape(shape)


def frames_shape(shape: Sequence[Any]) -> tuple[int, int, int]:
    """Return (n_frames, H, W) for data of a shape; a number is a frame of one pixel.

    The last two axes are those of a frame, those before count the frames. Of a colour image, whose
    last axis is 3 or 4 long and the one before longer, the colours are added up.

    >>> frames_shape([41, 200, 100]), frames_shape([8]), frames_shape([])
    ((41, 200, 100), (1, 1, 8), (1, 1, 1))
    >>> frames_shape([480, 640, 3])
    (1, 480, 640)
    """
    sizes = _sizes(shape)
    if _is_colour(sizes):
        sizes = sizes[:-1]
    height, width = (1, 1, *sizes)[-2:]
    return math.prod(sizes[:-2]), height, width


def _is_colour(sizes: Sequence[int]) -> bool:
    return len(sizes) > 2 and sizes[-1] in COLOURS and sizes[-2] > max(COLOURS)


def _sizes(shape: Sequence[Any]) -> tuple[int, ...]:
    return tuple(1 if size is None else int(size) for size in shape)


def _check_written(dataset: Any, row: int) -> None:
    """Raise where a row has its place already but no data: a writer makes room first."""
    if dataset.chunks is None:
        return
    corner = (row // dataset.chunks[0] * dataset.chunks[0], *[0] * (dataset.ndim - 1))
    if dataset.id.get_chunk_info_by_coord(corner).byte_offset is None:
        raise StoreError(
            f"row {row} must be written, got an empty place in {dataset.name} of "
            f"{dataset.file.filename}; see that the detector dropped no frame"
        )


def _check_within_file(dataset: Any, rows: range, path: Path) -> None:
    """Raise where rows lie beyond the end of a file that was cut: HDF5 may read zeros there."""
    if dataset.chunks is None:
        return
    size, step = path.stat().st_size, dataset.chunks[0]
    for row in range(rows.start // step * step, rows.stop, step):
        chunk = dataset.id.get_chunk_info_by_coord((row, *[0] * (dataset.ndim - 1)))
        if chunk.byte_offset is not None and chunk.byte_offset + chunk.size > size:
            raise _unsound(OSError(f"its end at {size} bytes, before row {row}"), path)


def _load(stem: Path, number: int) -> NDArray[Any]:
    path = stem.with_name(f"{stem.name}_{number}.npy")
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the frames of a run must be where its documents say, got {error} for {path}; bring "
            "the file back there"
        ) from error


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

    def joined(self, points: NDArray[np.int_], later: Frames | None) -> Frames:
        """Return the frames of some points, followed by those of a later run."""
        rows = [self._rows[point] for point in points]
        problem = self.problem
        if later is not None:
            rows, problem = [*rows, *later._rows], problem or later.problem
        return Frames(rows, shape=self.shape[1:], dtype=self.dtype, problem=problem)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def behind_tiled(self) -> bool:
        """Whether Tiled alone can read some of them."""
        return any(source.client is not None for source, _ in self._rows)

    @property
    def rows(self) -> list[tuple[FrameSource, int]]:
        """Where the frames of each point lie: their source, and the row there."""
        return list(self._rows)

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
            block = source.read(rows)
            if block[0].size != frames[0].size:
                raise StoreError(
                    f"the frames of all points must have the shape {self.shape[1:]}, got "
                    f"{block.shape[1:]} in {source.path}; read the file by itself"
                )
            frames[indices] = block.reshape(len(rows), *self.shape[1:])
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
        raise _unsound(error, path) from error


def _unsound(error: OSError, path: Path) -> StoreError:
    reason = str(error).splitlines()[0]
    return StoreError(
        f"the frames of a run must be in a sound HDF5 file, got {reason!r} for {path}; "
        f"'h5clear -s {path}' clears the flags that a crash may leave"
    )
