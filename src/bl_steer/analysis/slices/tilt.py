"""Heights on a face that the electron beam saw aslant: what the files say, and what was told.

The beam meets the face at the angle between the columns, so that heights look as short as the sine
of it. An instrument that corrects them divides by the cosine of the angle that is set, which must
then be 90° less that of the columns; the tilt of the surface, which is the columns' angle itself,
is mistaken for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bl_steer.files.pixel_size import EQUAL
from bl_steer.protocols import Inputs

__all__ = ["TILT", "height_of_pixels"]

TILT = ("tilt_corrected", "tilt_correction_deg", "stated_tilt")
"""What files say of a tilt correction, which is settled with the height of a pixel."""
USUAL_DEG = 52.0
"""Between the columns of most instruments: 52 to 55."""
FITTING_DEG = (30.0, 42.0)
"""Of a correction that fits the columns of some instrument, 48° to 60° apart."""
LEAST_DEG = 1.0
"""Of a correction that changes anything."""


def height_of_pixels(
    inputs: Inputs, columns_deg: float | None, width: float
) -> tuple[float, list[str]]:
    """Return the height of a pixel on the face over its width, and what to say of it.

    Parameters
    ----------
    columns_deg : that was told; None where nothing was
    width : of a pixel, nm
    """
    known = inputs.metadata
    ratio, notes = 1.0, []
    stated = known.get("pixel_height_nm")
    if columns_deg is not None:
        ratio = 1.0 / math.sin(math.radians(columns_deg))
        height = width * ratio
        if stated is not None and not math.isclose(height, float(stated), rel_tol=EQUAL):
            notes.append(
                f"the files state pixels {stated:g} nm high; with columns_deg {columns_deg:g} they "
                f"are {height:.4g} nm, which is used: check which is right"
            )
    elif stated is not None:
        ratio = float(stated) / float(known["pixel_size_nm"])
        notes.append(
            f"pixels of {known['pixel_size_nm']:g} × {stated:g} nm (width, height) are "
            "resampled to squares of their width"
        )
    if parts := known.get("stated_tilt"):
        notes.append(
            f"the files state different things of the tilt correction ({parts}), and all slices "
            f"are taken alike: heights of the ones are wrong against the others, {_short()}; give "
            "those that are alike by themselves, or correct the others first"
        )
    elif columns_deg is not None:
        notes += _told_and_stated(known, columns_deg)
    elif "files" in inputs.source:
        notes += _stated(known, squares=stated is None)
    return ratio, notes


def _told_and_stated(known: Any, columns_deg: float) -> Iterator[str]:
    """Say that heights which are corrected already are stretched once more."""
    done = known.get("tilt_corrected") and known.get("tilt_correction_deg", 90.0) >= LEAST_DEG
    if done and columns_deg < 90.0:
        yield (
            f"the files say that heights are corrected for the tilt already{_at(known)}; "
            f"columns_deg {columns_deg:g} was given and they are stretched once more: check which "
            "is right"
        )


def _stated(known: Any, *, squares: bool) -> Iterator[str]:
    """Say where heights that are taken as they are may be wrong.

    Parameters
    ----------
    squares : whether no height of a pixel is stated, which would be that on the face
    """
    corrected, angle = known.get("tilt_corrected"), known.get("tilt_correction_deg")
    if corrected and angle is not None and not FITTING_DEG[0] <= angle <= FITTING_DEG[1]:
        seen = (
            f"the files say that the tilt correction is on and state an angle of {angle:.0f}° with "
            "it"
        )
        if angle < LEAST_DEG:
            yield (
                f"{seen}; by that angle nothing is corrected: {_short()}; give columns_deg, 90 if "
                "the heights are right"
            )
            return
        wanted = 90.0 - USUAL_DEG
        times = math.cos(math.radians(wanted)) / math.cos(math.radians(min(angle, 89.0)))
        yield (
            f"{seen}; a face wants 90° less the angle of the columns, {wanted:.0f}° where these "
            f"stand {USUAL_DEG:.0f}° apart: heights corrected by {angle:.0f}° are {times:.2f} "
            f"times the true ones there, {100 * (times - 1):+.0f} %; make the images as high as "
            "they should be, or give columns_deg 90 if the heights are right"
        )
    elif squares and not corrected:
        said = (
            "do not say whether heights in the images are corrected for the tilt"
            if corrected is None
            else "say that heights in the images are not corrected for the tilt"
        )
        yield (
            f"the files {said}, and they are taken as they are: where the columns stand "
            f"{USUAL_DEG:.0f}° apart, uncorrected heights are .79 of the true ones; give "
            "columns_deg, 90 if they are right"
        )


def _short() -> str:
    return (
        f"where the columns stand {USUAL_DEG:.0f}° apart, uncorrected heights are .79 of the true "
        "ones, -21 %"
    )


def _at(known: Any) -> str:
    angle = known.get("tilt_correction_deg")
    return "" if angle is None else f", at {angle:.0f}°"
