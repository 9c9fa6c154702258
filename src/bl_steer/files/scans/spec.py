"""Scans of SPEC: columns of a text file, and the motors that stood still.

``#S`` begins a scan, ``#O`` and ``#P`` name motors and say where they stood, ``#L`` names columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.files.errors import FileFormatError, listed
from bl_steer.files.scans.circles import circle_of, in_degrees, put_circle
from bl_steer.files.scans.scan import Scan
from bl_steer.protocols import Array

__all__ = ["read_spec"]

COUNTERS = ("det", "detector", "counts", "roi1", "roi", "apd", "pilatus", "scint")
"""What the column of counts is called, the most certain first; else it is the last column."""
MONITORS = ("monitor", "mon", "i0", "ic0", "ion")
TIMES = ("seconds", "sec", "time_s", "exptime")
SAME_WAVELENGTH = 1e-4
ATTENUATORS = re.compile(r"atten|transm|absorb|filter", re.I)
SEPARATED = re.compile(r"\s{2,}|\t")


def read_spec(path: Path) -> Scan:
    """Read all scans of a file, which must be of one series: the same columns, circles turned.

    Raises
    ------
    FileFormatError
        When there is no scan with points, or the scans differ.
    """
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    if "\n#S " not in f"\n{text}":
        raise FileFormatError("must hold scans (#S), got a header alone; give the whole file")
    header, *scans = re.split(r"(?m)^#S ", text)
    names = _motor_names(header)
    tables, empty, aborted = [], 0, 0
    for body in scans:
        # A new header may stand within a scan, or, where a session began anew, behind its points.
        table, was_aborted = _table(body, _motor_names(body.partition("\n#L ")[0]) or names)
        names = _motor_names(body) or names
        aborted += was_aborted
        if table is None:
            empty += 1
        else:
            tables.append(table)
    if not tables:
        raise FileFormatError(
            f"must hold points, got {len(scans)} scans without any; they were broken off"
        )
    columns = _joined(tables)
    angles: dict[str, Array] = {}
    for name, values in columns.items():
        if circle := circle_of(name):
            put_circle(angles, circle, values, name)
    counts = _counts(columns)
    hkl = _hkl(columns)
    notes = []
    if empty or aborted:
        notes.append(f"{empty} of {len(scans)} scans hold no points, {aborted} were aborted")
    if any(re.search(r"(?m)^@A", body) for body in scans):
        notes.append("spectra (@A) are left out; the map is of the counter's column")
    if weakened := [name for name in columns if ATTENUATORS.search(name)]:
        notes.append(f"counts are not corrected for {listed(weakened)}; check what they mean")
    return Scan(
        columns[counts],
        angles,
        energy_kev=_energy(text),
        hkl=hkl,
        q_hkl=_length(text, hkl),
        count_time_s=_first(columns, TIMES),
        monitor=_first(columns, MONITORS),
        notes=[*notes, f"counts are of the column {counts!r}"],
    )


def _motor_names(text: str) -> list[str]:
    """Return the names of all motors in the order of their positions."""
    lines = re.findall(r"(?m)^#O\d+ (.*)$", text)
    return [name.strip() for line in lines for name in SEPARATED.split(line.strip()) if name]


def _table(body: str, names: Sequence[str]) -> tuple[dict[str, Array] | None, bool]:
    """Return the columns of a scan, with the circles that stood still; None without points."""
    number = body.split(maxsplit=1)[0] if body.split() else "?"
    label = re.search(r"(?m)^#L (.*)$", body)
    rows = [line.split() for line in body.splitlines()[1:] if line and line[0] in "-+.0123456789"]
    aborted = bool(re.search(r"(?mi)^#C .*abort", body))
    if not rows:
        return None, aborted
    if label is None:
        raise FileFormatError(f"must name its columns (#L), got none in scan {number}; add them")
    columns = SEPARATED.split(label[1].strip())
    if twice := {name for name in columns if columns.count(name) > 1}:
        raise FileFormatError(
            f"must name each column once, got {listed(sorted(twice))} again in scan {number}; "
            "rename one of them"
        )
    short = [row for row in rows if len(row) != len(columns)]
    # A writer that died leaves half a line at the end.
    rows = rows[:-1] if short == rows[-1:] and len(rows) > 1 else rows
    try:
        values = np.array(rows, dtype=float)
    except ValueError:
        values = np.empty((0, 0))
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise FileFormatError(
            f"must have a number for each of {len(columns)} columns, got "
            f"{' '.join((short or rows)[0])[:40]!r} in scan {number}; take this scan out"
        )
    table: dict[str, Array] = dict(zip(columns, values.T, strict=True))
    positions = " ".join(re.findall(r"(?m)^#P\d+ (.*)$", body)).split()
    if positions and len(positions) != len(names):
        raise FileFormatError(
            f"must have a position (#P) for each motor (#O), got {len(positions)} for "
            f"{len(names)} in scan {number}; part the motors' names by two blanks"
        )
    scanned = {circle_of(column) for column in columns}
    for name, position in zip(names if positions else (), positions, strict=True):
        circle = circle_of(name)
        if circle is not None and circle not in scanned:
            table[circle] = np.full(len(values), float(in_degrees(circle, position)[0]))
            scanned.add(circle)
    return table, aborted


def _joined(tables: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    first = set(tables[0])
    for table in tables:
        if set(table) != first:
            raise FileFormatError(
                "must hold scans of one series, with the same columns, got "
                f"{listed(sorted(set(table) ^ first))} in some alone; save the series by itself"
            )
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _counts(columns: Mapping[str, Array]) -> str:
    """Return the name of the column of counts."""
    lower = {name.lower(): name for name in columns if not circle_of(name)}
    for counter in COUNTERS:
        if counter in lower:
            return lower[counter]
    others = [n for key, n in lower.items() if key not in (*TIMES, *MONITORS, "epoch", *"hkl")]
    if not others:
        raise FileFormatError(f"must hold a counter, got {listed(columns)}; record one")
    return others[-1]


def _first(columns: Mapping[str, Array], names: Sequence[str]) -> Array | None:
    column = next((columns[name] for name in columns if name.lower() in names), None)
    return column if column is not None and (column > 0).any() else None


def _energy(text: str) -> float | None:
    """Return the energy by the wavelength, the last number of #G4 in SPEC's geometries."""
    for pattern in (r"(?m)^#UXRD wavelength\s+(\S+)", r"(?m)^#G4 (?:\S+ ){3}(\S+)"):
        stated = [_number(match) for match in re.findall(pattern, text)]
        wavelengths = [value for value in stated if 0.02 < value < 100]
        if wavelengths and max(wavelengths) > (1.0 + SAME_WAVELENGTH) * min(wavelengths):
            raise FileFormatError(
                f"must hold scans of one wavelength, got {min(wavelengths):g} to "
                f"{max(wavelengths):g} Å; save those of one as a file of their own"
            )
        if wavelengths:
            return HC_KEV_ANGSTROM / wavelengths[0]
    return None


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _hkl(columns: Mapping[str, Array]) -> tuple[float, float, float] | None:
    if not {"H", "K", "L"} <= set(columns):
        return None
    first, second, third = (float(np.mean(columns[name])) for name in "HKL")
    return first, second, third


def _length(text: str, hkl: tuple[float, float, float] | None) -> float | None:
    """Return |UB·hkl|, 1/Å, by the UB matrix of #G3, which has 2π in it."""
    match = re.search(r"(?m)^#G3 (.*)$", text)
    if match is None or hkl is None or not any(hkl):
        return None
    try:
        matrix = np.array(match[1].split(), dtype=float).reshape(3, 3)
    except ValueError:
        return None
    return float(np.linalg.norm(matrix @ hkl)) or None
