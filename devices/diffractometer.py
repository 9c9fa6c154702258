"""The surface diffractometer's circles, recorded with every run.

Steering moves the sample stage; the circles stay where the user aligned the reflection, but for
``eta``, which a rocking scan turns.
"""

from __future__ import annotations

from ophyd import Component, Device

from devices.motor import MotorAxis

__all__ = ["SurfaceDiffractometer"]


class SurfaceDiffractometer(Device):
    """A 4S+2D six-circle diffractometer: four sample circles, two detector circles, in degrees.

    References
    ----------
    H. You, J. Appl. Cryst. 32 (1999) 614, doi:10.1107/S0021889899001223, figure 1: names of the
    circles.
    """

    mu = Component(MotorAxis, "MU", doc="sample, vertical axis: the incidence angle")
    eta = Component(MotorAxis, "ETA", doc="sample, rocked through the reflection")
    chi = Component(MotorAxis, "CHI")
    phi = Component(MotorAxis, "PHI", doc="sample, azimuth about the surface normal")
    nu = Component(MotorAxis, "NU", doc="detector, out of the vertical plane")
    delta = Component(MotorAxis, "DELTA", doc="detector, in the vertical plane")
