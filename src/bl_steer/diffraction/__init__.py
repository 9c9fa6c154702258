"""From angles and frames to reciprocal space, and from composition and strain to peaks."""

from bl_steer.diffraction.axes import FrameAxes

__all__ = ["FrameAxes"]
