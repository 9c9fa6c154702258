"""What an image file says about how it was recorded: pixel size, voltage, working distance.

Every microscope writes it in a way of its own. Values come back under the names that catalogues
use: ``pixel_size_nm``, ``accelerating_voltage_kV``, ``working_distance_mm``; of pixels that are no
squares also ``pixel_height_nm``, which `notes_of_pixels` turns into words, and of the planes of a
stack ``pitch_nm``. ``tilt_corrected`` is True where heights are right although the surface was seen
aslant.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "NM",
    "bar_rows",
    "doubtful_voxel",
    "notes_of_pixels",
    "of_picture",
    "of_sidecar",
    "of_tiff",
    "turned_notes",
]

SMALLEST_PIXEL_NM, LARGEST_PIXEL_NM = 1e-3, 5e3
"""What a microscope can mean: 300 dpi of a printer would be a pixel of 85 µm."""
LARGEST_VOXEL_NM = 1e6
"""What a volume can mean, those of X-rays with voxels of 0.1 mm among them."""
SQUARE = 0.01
"""Width and height of a pixel are equal to so much: a header rounds them."""

TURNED = "the file is to be shown turned or mirrored"

_SPELT = {
    1.0: "nm nanometer nanometers nanometre nanometres",
    1e3: "um µm μm µ μ micron microns micrometer micrometers micrometre micrometres",
    1e-3: "pm picometer picometers picometre picometres",
    1e6: "mm millimeter millimeters millimetre millimetres",
    1e7: "cm centimeter centimeters centimetre centimetres",
    1e9: "m meter meters metre metres",
    0.1: "å Å a angstrom angstroms ångström",
    2.54e7: "inch inches in",
}
NM = {name: factor for factor, names in _SPELT.items() for name in names.split()}
"""What a unit of length is in nm, by what programs call it, in small letters."""
_NUMBER = r"([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)"


def of_tiff(tif: Any) -> dict[str, float]:
    """Return the metadata in a `tifffile.TiffFile`, those in the microscope's own header first."""
    tags = tif.pages[0].tags
    readings = [
        _thermo_fisher(_value(tags, 34682) or _value(tags, 34680)),
        _zeiss(_value(tags, 34118)),
        _ome(tif.pages[0].description),
        _resolution(tags, tif.imagej_metadata or {}),
    ]
    return _first(readings)


def bar_rows(tif: Any) -> int:
    """Return how many rows below the image are a data bar, as FEI and Thermo Fisher's header says.

    Programs that cut the bar off keep the header: then it is none.
    """
    page = tif.pages[0]
    header = _value(page.tags, 34682) or _value(page.tags, 34680)
    image = header.get("Image", {}) if isinstance(header, dict) else {}
    rows = _number(image.get("ResolutionY"))
    if rows is None or not 0 < rows < page.imagelength:
        return 0
    return int(page.imagelength - rows)


def of_picture(info: Mapping[str, Any]) -> dict[str, float]:
    """Return the metadata in the ``info`` of a PNG, JPEG or BMP image of Pillow."""
    try:
        width, height = (2.54e7 / float(dots_per_inch) for dots_per_inch in info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return {}
    return _pixel(width, height)


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


def of_sidecar(path: Path) -> dict[str, float]:
    """Return the metadata in the text file that JEOL and Hitachi write beside an image."""
    sidecar = path.with_suffix(".txt")
    if not sidecar.is_file() or sidecar.stat().st_size > 1e6:
        return {}
    text = sidecar.read_bytes().decode("utf-8", errors="replace")
    return _first([_jeol(text), _hitachi(text)])


def _first(readings: list[dict[str, float]]) -> dict[str, float]:
    merged: dict[str, float] = {}
    for reading in reversed(readings):
        if "pixel_size_nm" in reading:
            merged.pop("pixel_height_nm", None)
        merged |= reading
    return merged


def _pixel(width_nm: float | None, height_nm: float | None = None) -> dict[str, float]:
    if width_nm is None or not SMALLEST_PIXEL_NM <= width_nm <= LARGEST_PIXEL_NM:
        return {}
    pixel = {"pixel_size_nm": float(f"{width_nm:.6g}")}
    if height_nm is not None and height_nm > 0 and abs(height_nm / width_nm - 1) > SQUARE:
        pixel["pixel_height_nm"] = float(f"{height_nm:.6g}")
    return pixel


def _positive(name: str, value: Any, factor: float) -> dict[str, float]:
    number = _number(value)
    return {name: float(f"{number * factor:.6g}")} if number is not None and number > 0 else {}


def _corrected(value: Any) -> dict[str, bool]:
    """Return that heights are corrected for the tilt, where a header says that this is on."""
    return {"tilt_corrected": True} if str(value).lower() in ("yes", "on", "true", "1") else {}


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _value(tags: Any, code: int) -> Any:
    tag = tags.get(code)
    return None if tag is None else tag.value


def _thermo_fisher(header: Any) -> dict[str, float]:
    """Read the header of FEI and Thermo Fisher: metres and volts."""
    if not isinstance(header, dict):
        return {}

    def entry(key: str, *sections: str) -> Any:
        values = (header.get(s, {}).get(key) for s in sections)
        return next((value for value in values if value not in (None, "")), None)

    edges = (_number(entry(key, "Scan", "EScan", "IScan")) for key in ("PixelWidth", "PixelHeight"))
    return (
        _pixel(*(None if edge is None else edge * 1e9 for edge in edges))
        | _positive("accelerating_voltage_kV", entry("HV", "EBeam", "Beam", "IBeam"), 1e-3)
        | _positive("working_distance_mm", entry("WD", "Stage", "EBeam", "Beam"), 1e3)
        | _corrected(entry("TiltCorrectionIsOn", "EBeam", "Beam", "Scan"))
    )


def _zeiss(header: Any) -> dict[str, float]:
    """Read the header of Zeiss: entries (name, value, unit)."""
    if not isinstance(header, dict):
        return {}

    def entry(key: str, units: Mapping[str, float]) -> float | None:
        try:
            _, value, unit = header[key]
            return float(value) * units[str(unit).lower()]
        except (KeyError, TypeError, ValueError):
            return None

    volts = {"v": 1e-3, "kv": 1.0}
    return (
        _pixel(entry("ap_image_pixel_size", NM) or entry("ap_pixel_size", NM))
        | _positive(
            "accelerating_voltage_kV", entry("ap_actualkv", volts) or entry("ap_manualkv", volts), 1
        )
        | _positive("working_distance_mm", entry("ap_wd", NM), 1e-6)
        | _corrected(next(iter(header.get("dp_tilt_correction", ())[1:2]), None))
    )


def _ome(description: str) -> dict[str, float]:

    description = html.unescape(description)

    def edge(axis: str) -> float | None:
        size = re.search(rf'PhysicalSize{axis}="{_NUMBER}"', description)
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', description)
        factor = NM.get(unit.group(1).lower() if unit else "µm")  # OME's own default
        return None if size is None or factor is None else float(size.group(1)) * factor

    return _pixel(edge("X"), edge("Y")) | _positive("pitch_nm", edge("Z"), 1)


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

    pixel, depth = _pixel(edge(282), edge(283)), factor_of("z")
    if not pixel or depth is None:
        return pixel
    return pixel | _positive("pitch_nm", imagej.get("spacing"), depth)


def _jeol(text: str) -> dict[str, float]:
    bar = re.search(rf"\$\$?SM_MICRON_BAR\s+{_NUMBER}", text)
    marker = re.search(rf"\$\$?SM_MICRON_MARKER\s+{_NUMBER}\s*([a-zµμ]+)", text)
    volts = re.search(rf"\$\$?CM_ACCEL_VOLT\s+{_NUMBER}", text)
    size = None
    if bar and marker and float(bar.group(1)) > 0 and marker.group(2) in NM:
        size = float(marker.group(1)) * NM[marker.group(2)] / float(bar.group(1))
    return _pixel(size) | _positive("accelerating_voltage_kV", volts and volts.group(1), 1)


def _hitachi(text: str) -> dict[str, float]:
    size = re.search(rf"^PixelSize={_NUMBER}", text, re.MULTILINE)
    volts = re.search(rf"^AcceleratingVoltage={_NUMBER}\s*Volt", text, re.MULTILINE)
    distance = re.search(rf"^WorkingDistance={_NUMBER}\s*um", text, re.MULTILINE)
    return (
        _pixel(float(size.group(1)) if size else None)
        | _positive("accelerating_voltage_kV", volts and volts.group(1), 1e-3)
        | _positive("working_distance_mm", distance and distance.group(1), 1e-3)
    )
