"""Goniometers of the field by their name.

Each is data: any other is built with `bl_steer.diffraction.Goniometer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bl_steer.diffraction.detector import Detector
from bl_steer.diffraction.geometry import Circle, Goniometer

__all__ = ["PRESETS", "goniometer"]


def _circles(**axes: str) -> tuple[Circle, ...]:
    return tuple(Circle(name, axis) for name, axis in axes.items())


def _area(directions: tuple[str, str]) -> Detector:
    return Detector((512, 512), directions, (0.055, 0.055), 600.0, (255.5, 255.5))


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "4S+2D": {
        "sample": _circles(mu="x+", eta="z+", chi="y+", phi="z+"),
        "arm": _circles(nu="z+", delta="x+"),
        "energy_kev": 11.0,
        "detector": _area(("z-", "x+")),
        "in_plane": "x-",
        "rocked": "mu",
    },
    "psic": {
        "sample": _circles(mu="z+", eta="x+", chi="y+", phi="x+"),
        "arm": _circles(nu="z+", delta="x+"),
        "energy_kev": 11.0,
        "detector": _area(("z-", "x+")),
        "normal": "x-",
        "in_plane": "z-",
        "rocked": "eta",
    },
    "four-circle": {
        "sample": _circles(omega="x+", chi="y+", phi="z-"),
        "arm": _circles(two_theta="x+"),
        "energy_kev": 8.0478,
        "detector": _area(("z-", "x+")),
        "rocked": "omega",
    },
    "omega-2theta": {
        "sample": _circles(omega="x+"),
        "arm": _circles(two_theta="x+"),
        "energy_kev": 8.0478,
        "rocked": "omega",
    },
}
"""Settings of `goniometer`, by name."""


def goniometer(preset: str, **settings: Any) -> Goniometer:
    """Return a goniometer of the presets, with settings of `Goniometer` in place of the preset's.

    Parameters
    ----------
    preset : ``"4S+2D"``: surface diffractometer with the sample lying, mu the incidence angle and
        phi the azimuth about the normal, nu about the vertical under delta; ``"psic"``: the six
        circles of You, where the sample lies at chi = 90° and eta is the incidence angle;
        ``"four-circle"``: omega, chi and phi with a vertical two_theta; ``"omega-2theta"``: the
        coplanar laboratory diffractometer, with a point detector
    settings : fields of `Goniometer`

    Raises
    ------
    ValueError
        When there is no such preset.

    References
    ----------
    H. You, J. Appl. Cryst. 32 (1999) 614, doi:10.1107/S0021889899001223, figure 1. Its x, y, z are
    our z, y and -x, so that its signs (+, -, +, - and +, -) are right-handed turns about z, x, y, x
    and z, x.

    Examples
    --------
    >>> goniometer("4S+2D", energy_kev=12.0).circles
    ('mu', 'eta', 'chi', 'phi', 'nu', 'delta')
    """
    if preset not in PRESETS:
        raise ValueError(
            f"preset must be one of {', '.join(PRESETS)}, got {preset!r}; build any other with "
            "Goniometer"
        )
    return Goniometer(**{**PRESETS[preset], **settings})
