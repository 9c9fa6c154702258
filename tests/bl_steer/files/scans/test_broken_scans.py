"""Whatever is broken is told in one line of at most 300 characters, with value and remedy."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bl_steer.files.scans import open_scan
from tests.bl_steer.files.scans.written import ENDS, XRDML, rasx, xrdml

GOOD = {"counts": np.ones(5), "omega": np.arange(5.0), "tth": np.arange(5.0) + 60}
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>\n'


def written(content: bytes | str) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda path: path.write_bytes(data)


def npz(**arrays: object) -> Callable[[Path], object]:
    kept = {key: value for key, value in (GOOD | arrays).items() if value is not None}

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **kept)

    return write


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(401):
            archive.writestr(f"Data{number}/Notes{number}.txt", "1 2 1")


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Data0/Profile0.txt", b"0" * (64 << 20))
        archive.writestr("Data0/MesurementConditions0.xml", b" " * (64 << 20))


def images(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Data0/Image0.bin", b"\0" * 64)


def cut(path: Path) -> None:
    whole = rasx(path, {}, {}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def flipped(path: Path) -> None:
    raw = bytearray(rasx(path, {}).read_bytes())
    raw[raw.index(b"Profile0.txt") + 20] ^= 0xFF
    path.write_bytes(bytes(raw))


XY = {"counts": "<counts>1 2 9 2 1</counts><intensities>1 2 9 2 1</intensities>"}
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty file": (written(b""), "got an empty file"),
    "other text": (written("a diary\nwithout counts\n"), "got text"),
    "other binary data": (written(bytes(range(256))), "got binary data"),
    "a picture": (written(b"\x89PNG\r\n\x1a\n" + bytes(99)), "got a PNG"),
    "a pickle": (written(b"\x80\x04\x95" + bytes(20)), "got a pickle"),
    "other XML": (written("<html><body/></html>"), "got other XML, <html>"),
    "XML cut short": (written(XRDML[:200]), "must hold whole XML"),
    "XML with entities": (written(LAUGHS + XRDML), "document type"),
    "XML in an unknown encoding": (written('<?xml version="1.0" encoding="x"?><a/>'), "whole XML"),
    "a zip of other files": (other_zip, "got a zip of 401 other files"),
    "a zip bomb": (bomb, "at most 2 GiB"),
    "a zip cut short": (cut, "got a damaged one"),
    "a zip with a flipped byte": (flipped, "damaged"),
    "an xrdml without scans": (lambda p: xrdml(p), "without any"),
    "an xrdml without counts": (lambda p: xrdml(p, {"counts": ""}), "1 scans without"),
    "counts and intensities": (lambda p: xrdml(p, XY), "counts or intensities, got both"),
    "words for counts": (
        lambda p: xrdml(p, {"counts": "<counts>1 2 nine 2 1</counts>"}),
        "numbers as counts of scan 0, got '1 2 nine 2 1'",
    ),
    "fewer counts than positions": (
        lambda p: xrdml(p, {"two_theta": "<listPositions>87 88 89</listPositions>"}),
        "got 5 counts for 3 angles of two_theta",
    ),
    "a planned end where a scan was aborted": (
        lambda p: xrdml(p, {"status": "Aborted", "two_theta": ENDS}),
        "listed positions where a scan was broken off",
    ),
    "positions without an end": (
        lambda p: xrdml(p, {"two_theta": "<startPosition>87</startPosition>"}),
        "start and an end",
    ),
    "a rasx of images": (images, "got 1 images of an area detector"),
    "a rasx without conditions": (
        lambda p: rasx(p, {}, without="Conditions"),
        "Data0 without its conditions",
    ),
    "a rasx broken off": (lambda p: rasx(p, {"n": "4"}), "got 3 for 4 in Data0"),
    "a rasx of two wavelengths": (
        lambda p: rasx(p, {}, {"wavelength": "0.7093"}),
        "one wavelength, got 2",
    ),
    "a circle in mm": (lambda p: rasx(p, {"unit": "mm"}), "got the unit 'mm'"),
    "a scan along a table": (lambda p: rasx(p, {"axis": "Zs"}), "along a circle, got 'Zs'"),
    "profile rows of text": (lambda p: rasx(p, {"profile": "87 x 1\n"}), "angle, counts"),
    "an .npz without angles": (npz(omega=None, tth=None), "got 'counts'"),
    "an .npz of objects": (npz(counts=np.array([{}], dtype=object)), "pickled objects"),
    "fewer frames than points": (npz(omega=np.arange(41.0)), "got .* of it"),
    "an angle that is not a number": (npz(omega=[0, 1, np.nan, 3, 4]), "got nan"),
    "steps for degrees": (npz(omega=np.arange(5) * 12000), "got 48000"),
    "text for counts": (npz(counts=np.array(list("abcde"))), "got <U1"),
    "counts of four axes": (npz(counts=np.ones((5, 2, 2, 2))), "shape \\(5, 2, 2, 2\\)"),
    "an energy in eV": (npz(energy_kev=8047.8), "got 8047.8; 8.0478 keV may be meant"),
    "two energies": (npz(energy_kev=[8.0, 9.0, 8.0, 8.0, 8.0]), "got 2 from 8 to 9"),
    "an attenuation of zero": (npz(attenuation=np.zeros(5)), "positive attenuation"),
}


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="got none there"):
        open_scan(tmp_path / "scan.xrdml")
    with pytest.raises(FileNotFoundError, match="got a folder"):
        open_scan(tmp_path)
