"""Where Si-Ge peaks lie: lattice, elasticity and strain of SiGe on Si(001).

The simulated film draws its peaks with these functions, and a user's computed reference
(``x=0.45,R=0.9,tilt=0``) is placed with the same ones. `bl_steer.diffraction.axes` says where the
pixels lie.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bl_steer.protocols import Array

__all__ = [
    "A_SILICON",
    "RELAXATION_RANGE",
    "elastic_constants",
    "lattice_parameter",
    "peak_position",
    "strained_lattice",
    "tetragonal_lattice",
]

A_SILICON = 5.43104
"""Lattice parameter of Si at 25 °C, Å (the value that xrayutilities uses)."""
LINEAR_TERM = 0.2
"""Å per unit of Ge fraction (Dismukes, Ekstrom, Paff 1964)."""
BOWING_TERM = 0.027
"""Å: departure from Vegard's line, downwards between the end members (same source)."""
STIFFNESS_SI = (165.77, 63.93)
"""C11 and C12 of Si at 25 °C, GPa (McSkimin, Andreatch 1964)."""
STIFFNESS_GE = (128.5, 48.3)
"""C11 and C12 of Ge at 25 °C, GPa (McSkimin, Andreatch 1963)."""
GE_RANGE = (0.0, 1.0)
RELAXATION_RANGE = (-0.1, 1.2)
"""Above 1 by thermal strain (1.04 to 1.08 after full relaxation at 500 to 900 °C), below 0 where
the substrate is strained itself."""


def lattice_parameter(x_ge: ArrayLike) -> Array:
    """Return the lattice parameter of relaxed Si(1-x)Ge(x).

    Parameters
    ----------
    x_ge : any shape, Ge fraction, 0 … 1

    Returns
    -------
    a : same shape, Å

    Notes
    -----
    ``a(x) = a_Si + .2 x + .027 x²``. At x = 1 it gives 5.65804 Å, .0002 Å above a_Ge = 5.65785 Å.

    References
    ----------
    Dismukes, Ekstrom, Paff, J. Phys. Chem. 68 (1964) 3021, doi 10.1021/j100792a049.

    Examples
    --------
    >>> float(lattice_parameter(0.0))
    5.43104
    >>> lattice_parameter([0.45, 1.0]).round(5)
    array([5.52651, 5.65804])
    """
    x = _within(x_ge, "Ge fraction x", GE_RANGE)
    return np.asarray(A_SILICON + LINEAR_TERM * x + BOWING_TERM * x**2)


def elastic_constants(x_ge: ArrayLike) -> tuple[Array, Array]:
    """Return C11 and C12 of Si(1-x)Ge(x), interpolated linearly between Si and Ge.

    Parameters
    ----------
    x_ge : any shape, Ge fraction, 0 … 1

    Returns
    -------
    c11, c12 : same shape, GPa

    References
    ----------
    Si: McSkimin, Andreatch, J. Appl. Phys. 35 (1964) 2161, doi 10.1063/1.1702809.
    Ge: McSkimin, Andreatch, J. Appl. Phys. 34 (1963) 651, doi 10.1063/1.1729323.

    Examples
    --------
    >>> [float(c) for c in elastic_constants(0.0)]
    [165.77, 63.93]
    """
    x = _within(x_ge, "Ge fraction x", GE_RANGE)
    c11, c12 = (
        np.asarray(si + (ge - si) * x) for si, ge in zip(STIFFNESS_SI, STIFFNESS_GE, strict=True)
    )
    return c11, c12


def strained_lattice(x_ge: ArrayLike, relaxation: ArrayLike) -> tuple[Array, Array]:
    """Return the tetragonal lattice of SiGe on Si(001) under biaxial strain.

    Parameters
    ----------
    x_ge : Ge fraction, 0 … 1
    relaxation : degree of relaxation R, 0 (in-plane lattice of the substrate) … 1 (cubic), and a
        little beyond (`RELAXATION_RANGE`); broadcasts with `x_ge`

    Returns
    -------
    a_par, a_perp : broadcast shape, Å; along and normal to the surface

    Notes
    -----
    ``a_par = a_Si + R (a - a_Si)``, ``e_par = a_par / a - 1`` and, as no stress acts across the
    surface, ``e_perp = -2 C12/C11 e_par``. Linear elasticity; the thermal strain of a film that was
    grown hot is a part of R.

    References
    ----------
    Hornstra, Bartels, J. Cryst. Growth 44 (1978) 513, doi 10.1016/0022-0248(78)90292-0.

    Examples
    --------
    >>> [round(float(a), 5) for a in strained_lattice(0.45, 1.0)]
    [5.52651, 5.52651]
    >>> [round(float(a), 5) for a in strained_lattice(0.45, 0.0)]
    [5.43104, 5.59942]
    """
    x, r = np.broadcast_arrays(
        _within(x_ge, "Ge fraction x", GE_RANGE),
        _within(relaxation, "relaxation R", RELAXATION_RANGE),
    )
    return tetragonal_lattice(x, r)


def tetragonal_lattice(x: Array, r: Array) -> tuple[Array, Array]:
    """Return what `strained_lattice` does, continued beyond all limits: for fits."""
    a = A_SILICON + LINEAR_TERM * x + BOWING_TERM * x**2
    c11, c12 = (si + (ge - si) * x for si, ge in zip(STIFFNESS_SI, STIFFNESS_GE, strict=True))
    a_par = A_SILICON + r * (a - A_SILICON)
    a_perp = a * (1.0 - 2.0 * c12 / c11 * (a_par / a - 1.0))
    return np.asarray(a_par), np.asarray(a_perp)


def peak_position(
    x_ge: ArrayLike,
    relaxation: ArrayLike,
    tilt_deg: ArrayLike = 0.0,
    hkl: tuple[int, int, int] = (0, 2, 2),
) -> tuple[Array, Array]:
    """Return where a reflection of SiGe on Si(001) lies in the map.

    Parameters
    ----------
    x_ge : Ge fraction, 0 … 1
    relaxation : degree of relaxation R, -.1 … 1.2; broadcasts with `x_ge`
    tilt_deg : rigid rotation of the lattice in the map's plane, degrees; positive leans the
        surface normal towards +q_par
    hkl : Miller indices; the map's plane holds [001] and the in-plane direction [h k 0]

    Returns
    -------
    q_par, q_perp : broadcast shape, 1/Å

    Examples
    --------
    The substrate's (022), and a tilt that keeps the length of q:

    >>> [round(float(q), 5) for q in peak_position(0.0, 1.0)]
    [2.31381, 2.31381]
    >>> [round(float(q), 5) for q in peak_position(0.45, 0.9, tilt_deg=0.3)]
    [2.28963, 2.25888]
    """
    a_par, a_perp = strained_lattice(x_ge, relaxation)
    along = 2.0 * np.pi * np.hypot(hkl[0], hkl[1]) / a_par
    normal = 2.0 * np.pi * hkl[2] / a_perp
    tilt = np.radians(np.asarray(tilt_deg, dtype=float))
    cosine, sine = np.cos(tilt), np.sin(tilt)
    return np.asarray(along * cosine + normal * sine), np.asarray(normal * cosine - along * sine)


def _within(value: ArrayLike, name: str, limits: tuple[float, float]) -> Array:
    values = np.asarray(value, dtype=float)
    low, high = limits
    outside = values[~((values >= low) & (values <= high))]
    if outside.size:
        raise ValueError(
            f"{name} must lie in {low:g} … {high:g}, got {outside.flat[0]:g}; write it as a "
            "fraction, e.g. 0.45"
        )
    return values
