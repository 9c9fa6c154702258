"""What an image file says about how it was recorded: pixel size, voltage, working distance.

Every microscope writes it in a way of its own (`microscope_headers`). Values come back under the
names that catalogues use: ``pixel_size_nm``, ``accelerating_voltage_kV``, ``working_distance_mm``;
of pixels that are no squares also ``pixel_height_nm``, which `notes_of_pixels` turns into words,
and of the planes of a stack ``pitch_nm``. ``tilt_corrected`` is True where a header says that
heights are corrected, for the surface was seen aslant, and False where it says that they are not;
``tilt_correction_deg`` is the angle that it states with a correction.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bl_steer.files.images.header_values import NM, pixel, positive
from bl_steer.files.images.microscope_headers import Header, headers_beside, headers_of_tags

__all__ = [
    "NM",
    "Recorded",
    "doubtful_voxel",
    "notes_of_pixels",
    "of_picture",
    "of_tiff",
    "turned_notes",
]

LARGEST_VOXEL_NM = 1e6
"""What a volume can mean, those of X-rays with voxels of 0.1 mm among them."""
TURNED = "the file is to be shown turned or mirrored"

AGREED = 0.02
"""Two sources agree on a pixel to so much: scale bars are counted in whole pixels."""
_NUMBER = r"([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)"


@dataclass(frozen=True)
class Recorded:
    """What is known of an image from its file, and from what lies beside it.

    Parameters
    ----------
    known : values under the names of this module
    bar_rows : how many of the last rows are a data bar
    notes : what a user should know, one sentence each
    """

    known: dict[str, Any]
    bar_rows: int
    notes: list[str]


def of_tiff(tif: Any, image: NDArray[Any], path: Path | None = None) -> Recorded:
    """Return what a `tifffile.TiffFile` says, the microscope's own header before other tags.

    Parameters
    ----------
    image : the pixels of its first page (H, W), or with colours (H, W, C)
    path : as it was given: where it is a link, text files lie beside the link
    """
    page = tif.pages[0]
    headers = [
        *headers_of_tags(page.tags),
        *headers_beside(path or Path(tif.filehandle.path)),
        Header("the OME description", _ome(page.description)),
        Header("its tags of resolution", _resolution(page.tags, tif.imagej_metadata or {})),
    ]
    return _recorded(headers, image)


def of_picture(path: Path, info: Mapping[str, Any], image: NDArray[Any]) -> Recorded:
    """Return what a PNG, JPEG or BMP image says in the ``info`` of Pillow, and the file beside it.

    Parameters
    ----------
    image : its pixels (H, W), or with colours (H, W, C)
    """
    try:
        width, height = (2.54e7 / float(dots_per_inch) for dots_per_inch in info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        printed: dict[str, float] = {}
    else:
        printed = pixel(width, height)
    return _recorded([*headers_beside(path), Header("its dots per inch", printed)], image)


def notes_of_pixels(metadata: Mapping[str, Any]) -> list[str]:
    """Return what to say where pixels that are no squares are taken for such."""
    height = metadata.get("pixel_height_nm")
    if height is None:
        return []
    return [
        f"The pixels are {metadata['pixel_size_nm']:g} nm wide and {height:g} nm high, and are "
        "taken for squares of their width: lengths and areas are wrong until the image is "
        "resampled to squares."
    ]


def turned_notes(orientation: Any) -> list[str]:
    """Return a sentence where a file is to be shown turned or mirrored: its pixels are as stored.

    Parameters
    ----------
    orientation : of TIFF and EXIF, 1 for as stored, up to 8; None where the file says nothing
    """
    if orientation not in range(2, 9):
        return []
    return [
        f"{TURNED} (orientation {orientation}), and is taken as it is stored: masks and slices of "
        "programs that turn it do not fit; save it anew as it is to be shown"
    ]


def doubtful_voxel(edges_nm: Sequence[float], who: str) -> list[str]:
    """Return a sentence where the edges z, y, x of a voxel are larger than those of any volume.

    Parameters
    ----------
    who : begins the sentence, such as "the file states"
    """
    if not max(edges_nm) > LARGEST_VOXEL_NM:
        return []
    return [
        f"{who} a voxel of {' × '.join(f'{1e-6 * edge:g}' for edge in edges_nm)} mm, which is more "
        f"than the {1e-6 * LARGEST_VOXEL_NM:g} mm that are to be expected: is the unit right? Else "
        "give it in nm, a volume's labels with voxel_size_nm=100,10,10"
    ]


def _recorded(headers: Sequence[Header], image: NDArray[Any]) -> Recorded:
    """Return what headers say together: the first that knows a thing is believed."""
    shape = image.shape[0], image.shape[1]
    grey = image if image.ndim == 2 else image[..., 0]
    merged: dict[str, Any] = {}
    for header in reversed(headers):
        if "pixel_size_nm" in header.known:
            merged.pop("pixel_height_nm", None)
        merged |= header.known
    bar = next(filter(None, (header.bar_rows(grey, shape) for header in headers)), 0)
    notes = _contradictions(headers, shape)
    notes += [
        f"{header.who} states a data bar of {header.strip} rows, but these look like the image "
        "and are left in; give bar_px where a bar is among them"
        for header in headers
        if header.strip and not bar
    ]
    notes += [
        f"{header.who} speaks of an image of {header.size[0]} × {header.size[1]} pixels, and this "
        f"one has {shape[1]} × {shape[0]}: no rows are left out; give bar_px where a bar is below"
        for header in headers
        if not bar and header.size[0] == shape[1] and 0 < header.size[1] < shape[0]
    ]
    return Recorded(merged, bar, notes)


def _contradictions(headers: Sequence[Header], shape: tuple[int, int]) -> list[str]:
    """Say where two sources state different pixels, or one speaks of an image of another size."""
    sized = [header for header in headers if "pixel_size_nm" in header.known]
    if not sized:
        return []
    first, edge = sized[0], sized[0].known["pixel_size_nm"]
    notes = [
        f"{first.who} states a pixel of {edge:g} nm, {other.who} one of "
        f"{other.known['pixel_size_nm']:g} nm: the first is taken; give the pixel size where it is "
        "not that"
        for other in sized[1:]
        if abs(other.known["pixel_size_nm"] / edge - 1) > AGREED
    ]
    if first.is_scaled(shape):
        columns, rows = first.size
        notes.append(
            f"{first.who} speaks of an image of {columns} × {rows} pixels, and this one has "
            f"{shape[1]} × {shape[0]}: a pixel of {edge:g} nm is right where it was cropped; where "
            "it was resampled, give the pixel size"
        )
    return notes


def _ome(description: str) -> dict[str, float]:

    description = html.unescape(description)

    def edge(axis: str) -> float | None:
        size = re.search(rf'PhysicalSize{axis}="{_NUMBER}"', description)
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', description)
        factor = NM.get(unit.group(1).lower() if unit else "µm")  # OME's own default
        return None if size is None or factor is None else float(size.group(1)) * factor

    return pixel(edge("X"), edge("Y")) | positive("pitch_nm", edge("Z"), 1)


def _value(tags: Any, code: int) -> Any:
    tag = tags.get(code)
    return None if tag is None else tag.value


def _resolution(tags: Any, imagej: Mapping[str, Any]) -> dict[str, float]:
    """Read pixels per unit, and ImageJ's distance of planes; nothing if the unit is no length."""
    name = str(imagej.get("unit") or {2: "inch", 3: "cm"}.get(_value(tags, 296), ""))
    # ImageJ names the units of height and depth where these are others than that of the width.
    units = {282: name, 283: imagej.get("yunit", name), "z": imagej.get("zunit", name)}

    def factor_of(axis: int | str) -> float | None:
        unit = str(units[axis])
        return NM.get((unit.encode().decode("unicode_escape") if "\\u" in unit else unit).lower())

    def edge(code: int) -> float | None:
        ratio, factor = _value(tags, code), factor_of(code)
        if factor is None or not isinstance(ratio, tuple) or len(ratio) != 2 or 0 in ratio:
            return None
        return float(factor * ratio[1] / ratio[0])

    known, depth = pixel(edge(282), edge(283)), factor_of("z")
    if not known or depth is None:
        return known
    return known | positive("pitch_nm", imagej.get("spacing"), depth)
