"""The surface diffractometer's circles, recorded with every run.

Steering moves the sample stage only; the circles stay where the user aligned the reflection.
"""

from __future__ import annotations

from ophyd import Component, Device, EpicsMotor

__all__ = ["SurfaceDiffractometer"]


class SurfaceDiffractometer(Device):
    """A 4S+2D six-circle diffractometer: four sample circles, two detector circles, in degrees.

    References
    ----------
    H. You, J. Appl. Cryst. 32 (1999) 614, doi:10.1107/S0021889899001223, figure 1: names of the
    circles.
    """

    mu = Component(EpicsMotor, "MU", doc="sample, vertical axis: the incidence angle")
    eta = Component(EpicsMotor, "ETA", doc="sample, rocked through the reflection")
    chi = Component(EpicsMotor, "CHI")
    phi = Component(EpicsMotor, "PHI", doc="sample, azimuth about the surface normal")
    nu = Component(EpicsMotor, "NU", doc="detector, out of the vertical plane")
    delta = Component(EpicsMotor, "DELTA", doc="detector, in the vertical plane")
