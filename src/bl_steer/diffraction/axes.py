"""The coordinates of a frame's pixels, in q for a reciprocal-space map, in channels for spectra."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from bl_steer.protocols import Array

__all__ = ["FrameAxes"]


@dataclass(frozen=True)
class FrameAxes:
    """Where the pixels of an H×W frame lie.

    Parameters
    ----------
    qx : shape (W,), in-plane momentum transfer of the columns, in `unit`
    qz : shape (H,), out-of-plane momentum transfer of the rows, in `unit`
    unit : unit of both axes; ``"1/Å"`` for a reciprocal-space map
    """

    qx: Array
    qz: Array
    unit: str = "1/Å"

    @classmethod
    def channels(cls, shape: tuple[int, int], unit: str = "channel") -> FrameAxes:
        """Return pixel indices as axes, for patterns that have no q.

        >>> FrameAxes.channels((1, 4)).qx
        array([0., 1., 2., 3.])
        """
        height, width = shape
        return cls(np.arange(width, dtype=float), np.arange(height, dtype=float), unit)

    @classmethod
    def load(cls, path: Path | str) -> FrameAxes:
        """Read ``qx`` and ``qz`` from an .npz file, in 1/Å.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no .npz without pickles, or holds no two lists of finite numbers.
        """
        try:
            # numpy leaves a file open that it cannot read, unless it is opened here.
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                qx, qz = (np.asarray(arrays[key], dtype=float) for key in ("qx", "qz"))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"the file of the axes must exist, got {str(path)!r}; check the path"
            ) from None
        except (OSError, EOFError, ValueError, LookupError, TypeError, BadZipFile) as error:
            raise ValueError(
                f"the axes must be the arrays qx and qz of an .npz file, got {str(path)!r} "
                f"({error}); save them with numpy.savez"
            ) from error
        for name, q in (("qx", qx), ("qz", qz)):
            if q.ndim != 1 or q.size == 0 or not np.isfinite(q).all():
                raise ValueError(
                    f"{name} must be a list of finite numbers in 1/Å, got shape {q.shape} in "
                    f"{str(path)!r}; give the coordinate of each column (qx) and row (qz)"
                )
        return cls(qx, qz)

    @property
    def shape(self) -> tuple[int, int]:
        """Frame shape (H, W)."""
        return len(self.qz), len(self.qx)

    def mesh(self) -> tuple[Array, Array]:
        """Return q_x and q_z of every pixel, each flattened row by row to (H·W,)."""
        qx, qz = np.meshgrid(self.qx, self.qz)
        return qx.ravel(), qz.ravel()
