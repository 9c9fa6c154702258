"""Axes of the laboratory, as the field writes them: ``"y+"`` is along y, ``"x-"`` against x.

The laboratory frame is right-handed and stays with the beamline: in the presets y runs along the
primary beam, z up, x to the right of who looks along the beam. All circles at zero, the sample's
frame is the same; it turns with the sample. A circle turns right-handed about its axis, so ``"x+"``
lifts y towards z, and ``"x-"`` lowers it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bl_steer.protocols import Array

__all__ = ["Direction", "rotations", "unit_vector"]

Direction = str | Sequence[float]
"""An axis such as ``"y+"``, or three numbers along x, y and z."""
SIGNS = {"+": 1.0, "-": -1.0}


def unit_vector(direction: Direction, what: str = "a direction") -> Array:
    """Return a direction as a vector of length 1, shape (3,).

    Raises
    ------
    ValueError
        For anything but an axis or three numbers that are not all zero.

    Examples
    --------
    >>> unit_vector("y-")
    array([-0., -1., -0.])
    >>> unit_vector((0, 3, 4))
    array([0. , 0.6, 0.8])
    """
    if isinstance(direction, str):
        axis, sign = direction[:1], direction[1:]
        if axis and axis in "xyz" and sign in SIGNS:
            return np.asarray(SIGNS[sign] * np.eye(3)["xyz".index(axis)])
    else:
        vector = np.asarray(direction, dtype=float)
        if vector.shape == (3,) and np.isfinite(vector).all() and vector.any():
            return np.asarray(vector / np.linalg.norm(vector))
    raise ValueError(
        f"{what} must be an axis such as 'x+' or 'z-', or three numbers, got {direction!r}; a turn "
        "that lifts y towards z is 'x+'"
    )


def rotations(axis: Array, angles_deg: Array) -> Array:
    """Return the right-handed rotations about an axis.

    Parameters
    ----------
    axis : shape (3,), of length 1
    angles_deg : shape (n,), degrees

    Returns
    -------
    matrices : shape (n, 3, 3), to be multiplied from the left

    Notes
    -----
    Rodrigues' formula, ``R = I + sin a K + (1 - cos a) K²`` with ``K v = axis × v``.
    """
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angles = np.radians(angles_deg)[:, None, None]
    return np.asarray(np.eye(3) + np.sin(angles) * cross + (1.0 - np.cos(angles)) * (cross @ cross))
