"""From the frames of a point to its pattern: a `Reduction` is a small protocol.

`SummedFrames` is the one for frames whose pixels lie on axes already. One with the geometry of a
diffractometer takes the angles as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from bl_steer.diffraction.axes import FrameAxes
from bl_steer.protocols import Array

__all__ = ["MeasuresNoise", "Pattern", "Reduction", "SummedFrames"]


@dataclass(frozen=True)
class Pattern:
    """The pattern of a point, and what the reduction knows of it.

    Parameters
    ----------
    values : shape (n_pixels,), in `unit`; NaN where nothing was measured
    variance : shape (n_pixels,), in `unit` squared; None where it is not known
    unit : ``"counts"`` at the nominal beam, ``"counts/s"``, or ``"arbitrary"``: then no root of a
        value is its noise
    """

    values: Array
    variance: Array | None = None
    unit: Literal["counts", "counts/s", "arbitrary"] = "arbitrary"


class Reduction(Protocol):
    """Turn the frames of a point, and the angles at which they were taken, into its pattern."""

    @property
    def axes(self) -> FrameAxes:
        """Coordinates of the pattern's pixels, which a target refers to."""
        ...

    def reduce(self, frames: Array, *, scales: Array, angles: Array | None = None) -> Array:
        """Return the pattern of a point, shape (n_pixels,), NaN in cells without a measurement.

        Parameters
        ----------
        frames : shape (n_frames, H, W), counts as the detector gave them; NaN where it gave none
        scales : shape (n_frames,), factor of each frame to the nominal beam
        angles : shape (n_frames,), angle of the circle that turned, degrees; None where none did

        Raises
        ------
        ValueError
            When the frames do not fit the reduction.
        """
        ...


@runtime_checkable
class MeasuresNoise(Protocol):
    """A reduction that knows the variance and the unit of its patterns."""

    def measure(self, frames: Array, *, scales: Array, angles: Array | None = None) -> Pattern:
        """Return what `Reduction.reduce` returns, with its variance and unit."""
        ...


class SummedFrames:
    """The reduction for frames whose pixels lie on axes already: the sum over the frames.

    Parameters
    ----------
    axes : coordinates of a frame's pixels

    Examples
    --------
    >>> summed = SummedFrames(FrameAxes.channels((1, 2)))
    >>> summed.reduce(np.array([[[1.0, 2.0]], [[3.0, 4.0]]]), scales=np.array([2.0, 2.0]))
    array([ 8., 12.])
    """

    def __init__(self, axes: FrameAxes) -> None:
        self._axes = axes

    @property
    def axes(self) -> FrameAxes:
        """Coordinates of the pattern's pixels."""
        return self._axes

    def reduce(self, frames: Array, *, scales: Array, angles: Array | None = None) -> Array:
        """Return Σ scale · frame, row by row, NaN where a frame lacks a pixel, at any angles."""
        if frames.shape[1:] != self.axes.shape:
            raise ValueError(
                f"frames must have the shape {self.axes.shape} of the axes of their pixels, got "
                f"{frames.shape[1:]}; set the detector's region to the frame that the axes describe"
            )
        if (scales == scales[0]).all():
            return np.asarray(frames.sum(axis=0).ravel() * scales[0])
        return np.asarray(np.tensordot(scales, frames, axes=1).ravel())

    def measure(self, frames: Array, *, scales: Array, angles: Array | None = None) -> Pattern:
        """Return the pattern with the variance of its counts, Σ scale² · frame."""
        return Pattern(
            self.reduce(frames, scales=scales, angles=angles),
            self.reduce(frames, scales=np.square(scales), angles=angles),
            "counts",
        )
