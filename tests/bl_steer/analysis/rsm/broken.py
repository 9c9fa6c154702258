"""Inputs of a reciprocal-space map that are broken by kinds, and what each is told.

Those of one format that stand beside the format's own tests are in
`tests.bl_steer.files.scans`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np

from tests.bl_steer.analysis.rsm.recorded import documents, lines, packed
from tests.bl_steer.files.scans.test_broken_scans import npz
from tests.bl_steer.files.scans.test_written_scans import nexus
from tests.bl_steer.files.scans.written import COLUMNS, brml, rasx, spec, xrdml

Kinds = dict[str, tuple[Callable[[Path], object], str]]

AGAIN = '<positions axis="Omega" unit="deg"><commonPosition>80</commonPosition></positions>'
ONES = "<counts>1 1 1 1 1</counts>"
NAMES = "Eta  Eta  K  L  Seconds  Monitor  Detector"


def huge_npz(path: Path) -> None:
    """Declare 8 TB of counts in a hundred bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 1000, 1000)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("counts.npy", header.getvalue())


def declared(shape: tuple[int, ...], written: int, **layout: Any) -> Callable[[Path], object]:
    """Declare frames in HDF5 of which the first few are written."""

    def write(path: Path) -> None:
        nexus(path)
        with h5py.File(path, "a") as file:
            del file["entry/instrument/detector/data"]
            data = file["entry/instrument/detector"].create_dataset("data", shape, "u4", **layout)
            for row in range(written):
                data[row] = row

    return write


def virtual(dataset: str | None) -> Callable[[Path], object]:
    """Refer to frames in a file that is not there, or holds them by another name."""

    def write(path: Path) -> None:
        nexus(path)
        if dataset is not None:
            with h5py.File(path.parent / "frames.h5", "w") as file:
                file[dataset] = np.ones((5, 3, 4), np.uint32)
        layout = h5py.VirtualLayout((5, 3, 4), np.uint32)
        layout[:] = h5py.VirtualSource("frames.h5", "data", (5, 3, 4))
        with h5py.File(path, "a") as file:
            del file["entry/instrument/detector/data"]
            file["entry/instrument/detector"].create_virtual_dataset("data", layout)

    return write


def energies(path: Path) -> None:
    nexus(path)
    with h5py.File(path, "a") as file:
        del file["entry/instrument/monochromator/energy"]
        file["entry/instrument/monochromator/energy"] = np.linspace(10.9, 11.1, 5)


def two_experiments(path: Path) -> None:
    brml(path, {})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Experiment1/RawData0.xml", archive.read("Experiment0/RawData0.xml"))


def run(change: Callable[[str, dict[str, Any]], object] | None = None, **settings: Any) -> Any:
    """Return what writes a run's documents, each changed before."""

    def write(path: Path) -> None:
        items = [(name, dict(doc)) for name, doc in documents(**settings)]
        for name, doc in items:
            if change is not None:
                change(name, doc)
        lines(path, items)

    return write


def in_mm(name: str, doc: dict[str, Any]) -> None:
    if name == "descriptor":
        key = doc["data_keys"]["diffr_omega"]
        doc["data_keys"] = doc["data_keys"] | {"diffr_omega": key | {"units": "mm"}}


def over_energies(name: str, doc: dict[str, Any]) -> None:
    doc.pop("energy_kev", None)
    if name == "descriptor":
        doc["data_keys"] = doc["data_keys"] | {"mono_energy": doc["data_keys"]["counter"]}
    if name == "event":
        doc["data"]["mono_energy"] = 8.0 + 0.1 * doc["seq_num"]
        doc["timestamps"] = doc["timestamps"] | {"mono_energy": 0.0}


def without_circles(name: str, doc: dict[str, Any]) -> None:
    for part in ("data", "timestamps", "data_keys"):
        if part in doc:
            doc[part] = {k: v for k, v in doc[part].items() if "omega" not in k and "tth" not in k}


def without_detectors(name: str, doc: dict[str, Any]) -> None:
    doc.pop("detectors", None)


def nan_angles(name: str, doc: dict[str, Any]) -> None:
    if name == "event":
        doc["data"]["diffr_omega"] = float("nan")


def cut(path: Path) -> None:
    whole = packed(path, documents()).read_bytes()
    path.write_bytes(whole[:-30])


def pickled(path: Path) -> None:
    array = {b"nd": True, b"type": "O", b"data": b"", b"shape": []}
    path.write_bytes(msgpack.packb(["start", {"uid": "a", "x": array}]))


ANGLES: dict[str, Any] = {"omega": np.linspace(34, 35, 5), "tth": np.linspace(69, 70, 5)}
MORE: Kinds = {
    "a decimal comma": (lambda p: xrdml(p, {"omega": "79,5"}), "numbers as Omega, got '79,5'"),
    "two places for one": (lambda p: xrdml(p, {"omega": "79 80"}), "Omega once or for each of 5"),
    "a circle twice": (lambda p: xrdml(p, {"counts": AGAIN + ONES}), "each circle once, got omega"),
    "commas in a profile": (lambda p: rasx(p, {"profile": "87,5\t1\t1\r\n"}), "angle, counts and"),
    "transmission for attenuation": (npz(attenuation=np.full(5, 0.01)), "at least 1, got 0.01"),
    "a circle by two names": (npz(theta=np.arange(5.0) + 1), "omega again as 'theta'"),
    "a monitor without beam": (npz(monitor=np.zeros(5)), "positive monitor, got"),
    "an energy below zero": (npz(energy_kev=-8.0), "one positive --energy-kev, got 1 from -8"),
    "hkl of two": (npz(hkl=[0, 2]), "three numbers as hkl, got 2"),
    "an .npz that declares too much": (huge_npz, "got 128 bytes for the 8000000000000"),
    "HDF5 that declares too much": (
        declared((10**6, 4096, 4096), 1, chunks=(1, 4096, 4096)),
        "written, got 1 of 1000000 chunks",
    ),
    "frames that were never written": (
        declared((5, 3, 4), 3, chunks=(1, 3, 4)),
        "written, got 3 of 5 chunks",
    ),
    "an array that was never written": (declared((5, 3, 4), 0), "written, got none of it"),
    "virtual data without sources": (virtual(None), "got 1 of 1 missing"),
    "virtual data of another name": (virtual("images"), r"such as 'frames\.h5:data'"),
    "energies in one entry": (energies, "must have one incident_energy, got 10.9 to 11.1"),
    "text for frames": (lambda p: nexus(p, counts=np.full(5, b"a")), "must hold counts, got"),
    "frames on their side": (
        lambda p: nexus(p, counts=np.ones((3, 4, 5), np.uint32)),
        "got 3 for 5 angles of mu",
    ),
    "frames over many axes": (
        lambda p: nexus(p, counts=np.ones((5, 2, 3, 4), np.uint32)),
        r"counts of shape \(5, 2, 3, 4\)",
    ),
    "SPEC columns of one name": (lambda p: spec(p, {"columns": NAMES}), "got 'Eta' again"),
    "SPEC of two wavelengths": (lambda p: spec(p, {}, {"wavelength": "1.5"}), "1.3 to 1.5 Å"),
    "a SPEC motor that nobody names": (lambda p: spec(p, {"mu": "0 7"}), "got 8 for 7 in scan 1"),
    "a SPEC motor without a number": (
        lambda p: spec(p, {"mu": "off"}),
        "numbers for mu, got 'off'",
    ),
    "SPEC with commas": (lambda p: spec(p, {"rows": "20,5 2 2 0 1 1 5"}), "got '20,5 2 2 0 1 1 5'"),
    "SPEC of two names": (
        lambda p: spec(p, {"columns": "th  Theta  K  L  Seconds  Monitor  Detector"}),
        "omega again as 'Theta'",
    ),
    "SPEC without a counter": (
        lambda p: spec(p, {"columns": COLUMNS.replace("Detector", "Epoch")}),
        "must hold a counter, got",
    ),
    "a brml of two experiments": (two_experiments, "got 2 scans with 1 numbers"),
    "a run without points": (run(n=0, status="abort"), r"got none \(abort: Ctrl-C\)"),
    "a run in mm": (run(in_mm), "omega in degrees or radians, got the unit 'mm'"),
    "a run over energies": (run(over_energies), "mono_energy from 8.1 to 8.5"),
    "a run without circles": (run(without_circles), "angles of circles, got none"),
    "a run without detectors": (run(without_detectors), "must hold counts of a detector"),
    "a run at no angle": (run(nan_angles), "omega within ±720 degrees, got nan"),
    "a run whose energy contradicts": (run(energy=11.283), "got 11.28 keV where hkl and two-"),
    "two runs": (lambda p: lines(p, [*documents(), *documents()]), "got 2 start documents"),
    "other JSON": (lambda p: p.write_text('{"a": 1}\n'), "must hold documents"),
    "JSON cut short": (lambda p: p.write_text('["start", {"uid": '), "a fault in line 1"),
    "msgpack cut short": (cut, "whole msgpack, got a fault .half a document behind"),
    "pickles in msgpack": (pickled, "got pickled objects"),
    "no energy": (npz(**ANGLES), "energy of the photons must be known"),
    "angles that do not change": (
        npz(omega=np.full(5, 34.5), tth=np.full(5, 69.0), energy_kev=8.0),
        "must span q_par and q_perp",
    ),
    "nothing but gaps": (
        npz(counts=np.full(5, np.nan), energy_kev=8.0, **ANGLES),
        "must span q_par and q_perp",
    ),
    "frames without a geometry": (
        npz(counts=np.ones((5, 3, 4)), energy_kev=8.0, **ANGLES),
        "frames of an area detector must come with its geometry",
    ),
    "chi alone": (npz(omega=None, tth=None, chi=np.arange(5.0), energy_kev=8.0), "--goniometer"),
}
