"""Bruker's .brml: a zip with an XML of rows for each scan, whose columns <DataViews> names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.files.errors import FileFormatError
from bl_steer.files.scans.circles import circle_of
from bl_steer.files.scans.joining import joined
from bl_steer.files.scans.scan import Scan
from bl_steer.files.scans.xml_text import numbers, parse_xml
from bl_steer.files.scans.zips import MemberReader

__all__ = ["is_brml", "read_brml"]

MEMBER = re.compile(r"(?:.*/)?RawData(\d+)\.xml")
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
COUNTERS = ("ScanCounter", "Counter0D", "")


def is_brml(names: Sequence[str]) -> bool:
    """Return whether the members of a zip are those of a .brml."""
    return any(MEMBER.fullmatch(name) for name in names)


def read_brml(path: Path) -> Scan:
    """Read the measured routes of all scans, which are one mesh.

    Raises
    ------
    FileFormatError
        When there are no rows, no angles, or a detector's channels without their angles.
    """
    with MemberReader(path) as members:
        matches = [m for name in members.names if (m := MEMBER.fullmatch(name))]
        numbered = {int(m[1]): m[0] for m in matches}
        if len(numbered) < len(matches):
            raise FileFormatError(
                f"must hold one experiment, got {len(matches)} scans with {len(numbered)} numbers; "
                "save each as a file of its own"
            )
        parts, energies = [], []
        for number, name in sorted(numbered.items()):
            root = parse_xml(members.read(name), name)
            routes = list(root.iterfind("DataRoutes/DataRoute"))
            measured = [r for r in routes if r.get("RouteFlag", "Measured") == "Measured"]
            parts += [p for r in measured if (p := _rows(r, root, number)) is not None]
            energies.append(_energy(root))
    if not parts:
        raise FileFormatError(
            f"must hold measured rows, got {len(numbered)} scans without; it may have been broken "
            "off"
        )
    return joined(parts, energy_kev=next((e for e in energies if e is not None), None))


def _rows(route: Element, root: Element, number: int) -> dict[str, Any] | None:
    rows = [
        numbers(datum.text, f"a row of scan {number}", commas=True)
        for datum in route.iterfind("Datum")
    ]
    if not rows:
        return None
    if len({len(row) for row in rows}) > 1:
        raise FileFormatError(
            f"must have rows of one length, got {min(map(len, rows))} to {max(map(len, rows))} "
            f"numbers in scan {number}; copy it anew"
        )
    table = np.array(rows)
    columns = _columns(route, number)
    if "counts" not in columns or max(columns.values()) >= table.shape[1]:
        raise FileFormatError(
            f"must say which column holds counts, got {', '.join(columns) or 'none'} for "
            f"{table.shape[1]} columns in scan {number}; export it anew"
        )
    values = {name: table[:, column] for name, column in columns.items()}
    fixed = _fixed(root)
    angles = {c: np.full(len(table), angle) for c, angle in fixed.items()}
    angles |= {name: v for name, v in values.items() if circle_of(name)}
    return {
        "counts": values["counts"],
        "unit": "counts",
        "angles": angles,
        "count_time_s": values.get("time"),
        "attenuation": values.get("attenuation"),
    }


def _columns(route: Element, number: int) -> dict[str, int]:
    """Return the columns by what they hold: each view says where it starts."""
    columns: dict[str, int] = {}
    for view in route.iterfind("DataViews/RawDataView"):
        start, kind = int(view.get("Start", "0")), view.get(TYPE, "")
        name = view.get("LogicName", "")
        if name == "MeasuredTime":
            columns["time"] = start
        elif name == "AbsorptionFactor":
            columns["attenuation"] = start
        elif kind.endswith("VaryingRawDataView"):
            for offset, field in enumerate(view.iterfind("Varying/FieldDefinitions")):
                circle = circle_of(field.get("AxisId") or field.get("FieldName") or "")
                if circle is not None:
                    columns[circle] = start + offset
        elif kind.endswith("RecordedRawDataView"):
            _check_one_channel(view, number)
            recording = view.find("Recording")
            counter = "" if recording is None else recording.get("LogicName", "")
            if counter in COUNTERS:
                columns.setdefault("counts", start)
    return columns


def _check_one_channel(view: Element, number: int) -> None:
    length = int(view.get("Length", "1"))
    if length > 1:
        raise FileFormatError(
            f"must hold one count a row, got {length} channels of a detector in scan {number}, "
            "whose angles it does not tell; export the map as counts over 2θ and ω"
        )


def _fixed(root: Element) -> dict[str, float]:
    """Return where the drives that stood still were."""
    angles: dict[str, float] = {}
    for drive in root.iterfind("FixedInformation/Drives/InfoData"):
        circle, position = circle_of(drive.get("LogicName", "")), drive.find("Position")
        if circle is not None and position is not None and position.get("Value"):
            angles[circle] = float(numbers(position.get("Value"), circle)[0])
    return angles


def _energy(root: Element) -> float | None:
    for name in ("WaveLengthAlpha1", "WaveLength", "WaveLengthAverage"):
        element = next(root.iter(name), None)
        if element is not None and element.get("Value"):
            wavelength = float(numbers(element.get("Value"), "the wavelength")[0])
            return HC_KEV_ANGSTROM / wavelength if wavelength > 0 else None
    return None
