"""Units of length as files write them."""

from __future__ import annotations

__all__ = ["per_micrometre"]

PER_UM = {
    1.0: ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"),
    1e-3: ("mm", "millimeter", "millimetre"),
    1e-4: ("cm", "centimeter", "centimetre"),
    1e-6: ("m", "meter", "metre"),
    1e3: ("nm", "nanometer", "nanometre"),
    1e4: ("å", "a", "angstrom", "angstroms"),
    1e6: ("pm", "picometer", "picometre"),
    1.0 / 25400.0: ("inch", "inches"),
}
FACTORS = {name: factor for factor, names in PER_UM.items() for name in names}


def per_micrometre(unit: str) -> float | None:
    """Return how many of a unit a µm is; None of what is no length, such as pixels.

    >>> per_micrometre("mm"), per_micrometre("µm"), per_micrometre("px")
    (0.001, 1.0, None)
    """
    lower = unit.strip().lower()
    return FACTORS.get(lower, FACTORS.get(lower.removesuffix("s")))
