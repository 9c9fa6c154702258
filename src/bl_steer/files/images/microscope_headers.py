"""What electron microscopes write into their images, and into a file beside them.

FEI and Thermo Fisher, Phenom, Zeiss, Atlas (Fibics) and Tescan write tags of their own into TIFF
files; JEOL, Hitachi and Tescan write a text file beside each image.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.images.header_values import (
    NM,
    SQUARE,
    corrected,
    length,
    number,
    pixel,
    positive,
    whole,
)

__all__ = [
    "Header",
    "headers_beside",
    "headers_of_tags",
    "sidecar_stems",
]

TALLEST_BAR = 0.25
"""Of the height of an image."""
LARGEST_SIDECAR = 1_000_000
PAPER_SHARE, PAPER_WIDTH = 0.5, 1 / 64
"""Least share of a strip below an image that lies so near to its commonest grey level."""

_NUMBER = r"([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)"
_VOLTS = {"v": 1e-3, "kv": 1.0}
_DEGREES = {"°": 1.0, "deg": 1.0, "degrees": 1.0, "rad": math.degrees(1.0)}


@dataclass(frozen=True)
class Header:
    """What one source says about an image.

    Parameters
    ----------
    who : names the source in a sentence
    known : ``pixel_size_nm``, of pixels that are no squares ``pixel_height_nm``, and what else it
        says of how the image was recorded
    size : columns and rows of the image without a data bar; 0 where it does not say
    strip : rows of a data bar below the image; 0 where there is none, or it does not say
    """

    who: str
    known: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)
    strip: int = 0

    def bar_rows(self, image: NDArray[Any] | None, shape: tuple[int, int]) -> int:
        """Return how many of the last rows of an image are its data bar.

        Programs that cut the bar off, or resample the image, keep the header: then it is none.

        Parameters
        ----------
        image : (H, W), to see whether a strip that the header states is there still
        shape : H, W
        """
        height, width = shape
        columns, rows = self.size
        below = height - rows
        if 0 < rows < height and below <= TALLEST_BAR * height and columns in (0, width):
            is_above = (
                image is not None
                and _is_paper(image[:below], image)
                and not _is_paper(image[rows:], image)
            )
            return 0 if is_above else below  # what is turned upside down has its bar above
        if image is None or image.ndim != 2 or not 0 < self.strip < height:
            return 0
        return self.strip if _is_paper(image[-self.strip :], image) else 0

    def is_scaled(self, shape: tuple[int, int]) -> bool:
        """Return whether the image may have been resampled since: it has other sides, alike."""
        columns, rows = self.size
        if 0 in self.size or columns == shape[1]:
            return False
        # A data bar may have been resampled with it.
        return 1 - SQUARE < shape[0] * columns / (shape[1] * rows) < 1 + TALLEST_BAR


def headers_of_tags(tags: Any) -> Iterator[Header]:
    """Return what the microscopes' own tags of a TIFF page of tifffile say."""
    readers = (
        (34682, _thermo_fisher),
        (34680, _thermo_fisher),
        (34683, _phenom),
        (34118, _zeiss),
        (51023, _atlas),
        (50431, _tescan_tag),
    )
    for code, read in readers:
        tag = tags.get(code)
        if tag is not None and (header := read(tag.value)) is not None:
            yield header


def sidecar_stems(path: Path) -> tuple[str, str]:
    """Return the names without ending that text files beside an image have."""
    return path.stem, f"{path.stem}-{path.suffix.lstrip('.')}"


def headers_beside(path: Path) -> Iterator[Header]:
    """Return what the text files beside an image say, as JEOL, Hitachi and Tescan write them."""
    kind = path.suffix.lstrip(".")
    beside = (
        *((path.with_suffix(end), (_jeol, _hitachi)) for end in (".txt", ".TXT")),
        (path.with_name(f"{path.stem}-{kind}.hdr"), (_tescan,)),
        *((path.with_suffix(end), (_tescan,)) for end in (".hdr", ".HDR")),
    )
    for sidecar, readers in beside:
        if sidecar.is_file() and sidecar.stat().st_size <= LARGEST_SIDECAR:
            # Without the image's own name, all images of a folder say the same.
            who = f"the file {sidecar.name.removeprefix(path.stem)} beside it"
            content = sidecar.read_bytes()
            wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
            text = content.decode("utf-16" if wide else "utf-8", errors="replace")
            yield from filter(None, (read(text, who) for read in readers))


def _is_paper(strip: NDArray[Any], image: NDArray[Any]) -> bool:
    """Return whether most of a strip has one grey level, as a data bar has and specimens do not."""
    low, high = float(np.min(image)), float(np.max(image))
    width = max(1.0, PAPER_WIDTH * (high - low))
    counts = np.unique((np.asarray(strip, dtype=np.float64) - low) // width, return_counts=True)[1]
    return bool(counts.max() >= PAPER_SHARE * strip.size)


def _thermo_fisher(header: Any) -> Header | None:
    """Read the header of FEI and Thermo Fisher: metres and volts."""
    if not isinstance(header, dict):
        return None

    def entry(key: str, *sections: str) -> Any:
        values = (header.get(s, {}).get(key) for s in sections)
        return next((value for value in values if value not in (None, "")), None)

    radians = number(entry("TiltCorrectionAngle", "EBeam", "Beam", "Scan"))
    edges = (number(entry(key, "Scan", "EScan", "IScan")) for key in ("PixelWidth", "PixelHeight"))
    known = (
        pixel(*(None if edge is None else edge * 1e9 for edge in edges))
        | positive("accelerating_voltage_kV", entry("HV", "EBeam", "Beam", "IBeam"), 1e-3)
        | positive("working_distance_mm", entry("WD", "Stage", "EBeam", "Beam"), 1e3)
        | corrected(
            entry("TiltCorrectionIsOn", "EBeam", "Beam", "Scan"),
            None if radians is None else math.degrees(radians),
        )
    )
    size = whole(entry("ResolutionX", "Image")), whole(entry("ResolutionY", "Image"))
    return Header("the header of FEI or Thermo Fisher", known, size)


def _phenom(text: Any) -> Header | None:
    """Read the XML of Phenom: units at each length."""
    if not (isinstance(text, str) and "<FeiImage" in text):
        return None
    unit_of = {
        edge: re.search(rf'<pixel{edge} unit="([^"]+)">\s*{_NUMBER}', text)
        for edge in ("Width", "Height")
    }
    width, height = (
        None if found is None else length(float(found[2]), found[1]) for found in unit_of.values()
    )
    strip = re.search(r"<databarHeight>\s*(\d+)", text)
    volts = re.search(rf"<acceleratingVoltage[^>]*>\s*{_NUMBER}", text)
    known = pixel(width, height)
    if volts is not None:  # negative, in volts
        known |= positive("accelerating_voltage_kV", abs(float(volts[1])), 1e-3)
    return Header("the header of Phenom", known, strip=whole(strip and strip[1]))


def _zeiss(header: Any) -> Header | None:
    """Read the header of Zeiss: entries (name, value, unit)."""
    if not isinstance(header, dict):
        return None

    def entry(key: str, units: Mapping[str, float]) -> float | None:
        try:
            _, value, unit = header[key]
            return float(value) * units[str(unit).lower()]
        except (KeyError, TypeError, ValueError):
            return None

    known = (
        pixel(entry("ap_image_pixel_size", NM) or entry("ap_pixel_size", NM))
        | positive(
            "accelerating_voltage_kV",
            entry("ap_actualkv", _VOLTS) or entry("ap_manualkv", _VOLTS),
            1,
        )
        | positive("working_distance_mm", entry("ap_wd", NM), 1e-6)
        | corrected(
            next(iter(header.get("dp_tilt_correction", ())[1:2]), None),
            entry("ap_tilt_angle", _DEGREES),
        )
    )
    stored = re.search(r"(\d+)\s*\*\s*(\d+)", " ".join(map(str, header.get("dp_image_store", ()))))
    # The bar of Zeiss is drawn into the image: its rows are those of the whole.
    size = (whole(stored[1]), whole(stored[2])) if stored else (0, 0)
    return Header("the header of Zeiss", known, size)


def _atlas(text: Any) -> Header | None:
    """Read the XML of Fibics, which Atlas of Zeiss writes: steps of the scan as vectors, in µm."""
    if not isinstance(text, str) or "<!DOCTYPE" in text:  # whose entities could grow without end
        return None
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return None
    if root.tag != "Fibics":
        return None

    def step(vector: str) -> float | None:
        x, y = (number(root.findtext(f"Scan/{vector}{axis}")) for axis in "xy")
        return None if x is None or y is None else 1e3 * math.hypot(x, y)

    size = whole(root.findtext("Image/Width")), whole(root.findtext("Image/Height"))
    return Header("the header of Atlas", pixel(step("U"), step("V")), size)


def _tescan_tag(value: Any) -> Header | None:
    """Read the tag of Tescan: blocks of text, and a thumbnail, behind one another."""
    text = bytes(value).decode("latin-1") if isinstance(value, bytes | tuple) else str(value)
    return _tescan(text, "the header of Tescan")


def _tescan(text: str, who: str) -> Header | None:
    """Read keys and values of Tescan: metres and volts."""

    def entry(key: str) -> float | None:
        found = re.search(rf"(?<![A-Za-z0-9]){key}={_NUMBER}", text)
        return None if found is None else float(found[1])

    edges = [entry(f"PixelSize{axis}") for axis in "XY"]
    if None in edges:
        return None
    angle = entry("TiltCorrection")
    known = (
        pixel(*(abs(edge) * 1e9 for edge in edges if edge is not None))
        | positive("accelerating_voltage_kV", entry("HV"), 1e-3)
        | positive("working_distance_mm", entry("WD"), 1e3)
        | ({} if angle is None else corrected(bool(angle), None if angle == 1 else angle))
    )
    return Header(who, known, strip=whole(entry("ImageStripSize")))


def _jeol(text: str, who: str) -> Header | None:
    bar = re.search(rf"\$\$?SM_MICRON_BAR\s+{_NUMBER}", text)
    marker = re.search(rf"\$\$?SM_MICRON_MARKER\s+{_NUMBER}\s*([a-zµμ]+)", text)
    volts = re.search(rf"\$\$?CM_ACCEL_VOLT\s+{_NUMBER}", text)
    shown = re.search(r"\$\$?CM_FULL_SIZE\s+(\d+)\s+(\d+)", text)
    distance = re.search(rf"\$\$?SM_WD\s+{_NUMBER}", text)
    if not (bar or volts or shown):
        return None
    size = None
    if bar and marker and float(bar[1]) > 0:
        full = length(float(marker[1]), marker[2])
        size = None if full is None else full / float(bar[1])
    known = (
        pixel(size)
        | positive("accelerating_voltage_kV", volts and volts[1], 1)
        | positive("working_distance_mm", distance and distance[1], 1)
    )
    return Header(who, known, (whole(shown[1]), whole(shown[2])) if shown else (0, 0))


def _hitachi(text: str, who: str) -> Header | None:
    if "[SemImageFile]" not in text:
        return None
    size = re.search(rf"^PixelSize={_NUMBER}", text, re.MULTILINE)
    volts = re.search(rf"^AcceleratingVoltage={_NUMBER}\s*Volt", text, re.MULTILINE)
    distance = re.search(rf"^WorkingDistance={_NUMBER}\s*um", text, re.MULTILINE)
    shown = re.search(r"^DataSize=(\d+)x(\d+)", text, re.MULTILINE)
    known = (
        pixel(float(size[1]) if size else None)
        | positive("accelerating_voltage_kV", volts and volts[1], 1e-3)
        | positive("working_distance_mm", distance and distance[1], 1e-3)
    )
    return Header(who, known, (whole(shown[1]), whole(shown[2])) if shown else (0, 0))
