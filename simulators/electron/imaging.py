"""The conditions under which a scanning electron microscope takes a micrograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from simulators.electron.limits import STRENGTH, Limits, beyond

__all__ = ["STAININGS", "ImagingConditions", "Staining"]

Staining = Literal["none", "osmium"]
HALF_ANGLE: Final = 0.005
"""Of the beam's convergence, rad: usual for a small aperture at a short working distance."""
STAININGS: Final[tuple[str, ...]] = get_args(Staining)
FAULTS = ("noise", "curtaining", "charging", "shading", "drift", "gain_spread")
LIMITS: Final[dict[str, Limits]] = {
    "pixel_size_nm": (1.0, 1000.0, "nm"),
    "accelerating_voltage_kV": (0.3, 30.0, "kV"),
    "etching_s": (0.0, 600.0, "s"),
    "dwell_us": (0.05, 1000.0, "µs"),
    "defocus_um": (-500.0, 500.0, "µm"),
    **dict.fromkeys(FAULTS, STRENGTH),
}


@dataclass(frozen=True)
class ImagingConditions:
    """How the section was prepared and imaged, and how strong the instrument's faults are.

    The defaults are a good cross-section at a low voltage, on a microscope with the usual faults;
    a strength of 0 leaves a fault out, 1 is usual.

    Parameters
    ----------
    pixel_size_nm : edge of a pixel, nm
    accelerating_voltage_kV : energy of the beam: sets the probe's size, the depth that the
        electrons come from, and the charging
    etching_s : selective etching: digs out pores and binder, so that edges of the oxide stand out
    staining : "osmium" (OsO₄ binds to the binder) makes carbon brighter
    dwell_us : time on a pixel, µs; noise falls with its root
    noise, curtaining, charging, shading, drift : strengths of the faults
    gain_spread : by how much contrast and brightness differ from micrograph to micrograph
    defocus_um : distance of the section from the focus, µm

    Raises
    ------
    ValueError
        For conditions that no microscope has.
    """

    pixel_size_nm: float = 10.0
    accelerating_voltage_kV: float = 2.0
    etching_s: float = 0.0
    staining: Staining = "none"
    dwell_us: float = 10.0
    noise: float = 1.0
    curtaining: float = 1.0
    charging: float = 1.0
    shading: float = 1.0
    drift: float = 1.0
    gain_spread: float = 1.0
    defocus_um: float = 0.0

    def __post_init__(self) -> None:
        problems = beyond(self, LIMITS)
        if self.staining not in STAININGS:
            problems.append(
                f"staining must be one of {', '.join(STAININGS)}, got {self.staining!r}"
            )
        if problems:
            raise ValueError("; ".join(problems) + "; the defaults are ImagingConditions()")

    @property
    def probe_nm(self) -> float:
        """Standard deviation of the blur, nm.

        Probe and source of the signal add in quadrature. Chromatic aberration makes the probe grow
        as 1/V at low voltages. At high ones the signal comes from a wider volume: the range goes as
        V^1.67 (Kanaya and Okayama, 1972, DOI 10.1088/0022-3727/5/1/308), but a part of the signal
        always comes from the probe itself, so a power of 1.2 is assumed. Out of focus the probe is
        a disc, whose radius is the defocus times the beam's half angle; its deviation along an
        axis is half of that.
        """
        probe = 1.0 + 5.0 / self.accelerating_voltage_kV
        signal = 3.82 * (self.accelerating_voltage_kV / 2.0) ** 1.2
        disc = 0.5 * HALF_ANGLE * 1e3 * self.defocus_um
        return float(np.hypot(np.hypot(probe, signal), disc))

    @property
    def grey(self) -> tuple[float, float, float]:
        """Mean grey of oxide, carbon and void, 0 … 1, before the faults.

        The contrast between materials falls at high voltages; pores let more of the material
        behind them shine through.
        """
        over = np.log2(self.accelerating_voltage_kV / 2.0)
        contrast = float(np.clip(1.0 - 0.07 * over, 0.6, 1.1))
        etched = 1.0 - float(np.exp(-self.etching_s / 60.0))
        carbon = 0.40 + (0.14 if self.staining == "osmium" else 0.0) - 0.05 * etched
        void = 0.12 + 0.05 * float(np.clip(over, 0.0, None)) - 0.05 * etched
        return 0.40 + 0.35 * contrast, 0.40 + (carbon - 0.40) * contrast, void
