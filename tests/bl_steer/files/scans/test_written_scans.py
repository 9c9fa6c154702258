"""SPEC, brml and NeXus as their documentation has them; no real file of these is at hand."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from bl_steer.files.scans import open_scan
from tests.bl_steer.files.scans.written import brml, spec


def nexus(path, *, n_frames=5, counts=None, units="deg", **more):
    """Write an entry with frames, a rocked mu and a detector's arm."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        frames = np.arange(n_frames * 12, dtype=np.uint32).reshape(n_frames, 3, 4)
        detector = entry.create_group("instrument/detector")
        detector["data"] = frames if counts is None else counts
        for name, value, unit in (
            ("x_pixel_size", 55e-6, "m"),
            ("y_pixel_size", 0.075, "mm"),
            ("distance", 0.6, ""),
            ("beam_center_x", 2.0, "pixel"),
            ("beam_center_y", 1.0, "pixel"),
            ("count_time", 0.1, "s"),
        ):
            detector[name] = value
            detector[name].attrs["units"] = unit
        entry["instrument/monochromator/energy"] = 11_000.0
        entry["instrument/monochromator/energy"].attrs["units"] = "eV"
        entry["instrument/monochromator/theta"] = 10.3
        motors = {"mu": np.linspace(1.8, 2.2, 5), "delta": 24.16, "nu": 24.88, **more}
        for name, angles in motors.items():
            entry[f"sample/positioners/{name}/value"] = angles
            entry[f"sample/positioners/{name}/value"].attrs["units"] = units
    return path


def test_a_nexus_file_tells_frames_angles_energy_and_detector(tmp_path):
    scan = open_scan(nexus(tmp_path / "a.nxs"))
    assert scan.counts.shape == (5, 3, 4)
    assert scan.counts.dtype == np.uint32
    assert set(scan.angles) == {"mu", "delta", "nu"}  # the monochromator's theta is none of them
    assert scan.angles["mu"][-1] == 2.2
    assert (scan.angles["nu"] == 24.88).all()
    assert scan.energy_kev == pytest.approx(11.0)
    assert scan.detector["pixel_size_mm"] == pytest.approx([0.075, 0.055])
    assert scan.detector["distance_mm"] == pytest.approx(600.0)
    assert scan.detector["beam_centre"] == [1.0, 2.0]
    assert (scan.count_time_s == 0.1).all()


def test_the_default_signal_of_nexus_is_what_is_read(tmp_path):
    path = nexus(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        data = file["entry"].create_group("plot")
        data.attrs.update(NX_class="NXdata", signal="roi")
        data["roi"] = np.arange(5.0)
    assert open_scan(path).counts.tolist() == [0, 1, 2, 3, 4]


def test_radians_in_a_nexus_file_are_taken_in_degrees_and_said(tmp_path):
    scan = open_scan(
        nexus(tmp_path / "a.nxs", units="rad", mu=np.linspace(0.03, 0.04, 5), nu=0.43, delta=0.42)
    )
    assert scan.angles["mu"][0] == pytest.approx(np.degrees(0.03))
    assert "mu was stored in rad, and is taken in degrees" in scan.notes


def test_a_virtual_dataset_is_read_where_its_sources_are_and_refused_where_not(tmp_path):
    frames = np.arange(60, dtype=np.uint32).reshape(5, 3, 4)
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["data"] = frames
    layout = h5py.VirtualLayout(shape=frames.shape, dtype=frames.dtype)
    layout[:] = h5py.VirtualSource("frames.h5", "data", shape=frames.shape)
    path = nexus(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        del file["entry/instrument/detector/data"]
        file["entry/instrument/detector"].create_virtual_dataset("data", layout)
    np.testing.assert_array_equal(open_scan(path).counts, frames)
    (tmp_path / "frames.h5").rename(tmp_path / "moved.h5")
    with pytest.raises(ValueError, match=r"got 1 of 1 missing, such as 'frames\.h5'") as refusal:
        open_scan(path)
    assert len(str(refusal.value)) <= 300


def test_a_spec_file_tells_counts_angles_energy_and_hkl(tmp_path):
    scan = open_scan(spec(tmp_path / "a.spec", {}, {"mu": "0.5"}))
    assert scan.counts.tolist() == [5, 50, 5, 5, 50, 5]
    assert scan.angles["eta"].tolist() == [20, 21, 22] * 2
    assert scan.angles["mu"].tolist() == [0] * 3 + [0.5] * 3
    assert (scan.angles["delta"] == 40).all()
    assert scan.hkl == (2, 2, 0)
    assert scan.energy_kev == pytest.approx(12.398419843 / 1.3)
    assert scan.q_hkl == pytest.approx(1.15691 * np.sqrt(8))
    assert (scan.monitor > 990).all()
    assert (scan.count_time_s == 1).all()


def test_the_last_half_line_of_a_spec_file_is_left_out_and_aborts_are_said(tmp_path):
    rows = "20 2 2 0 1 1000 5\n#C Mon Nov 20.  Scan aborted after 2 points.\n21 2 2"
    scan = open_scan(spec(tmp_path / "a.spec", {}, {"rows": rows}, {"rows": ""}))
    assert scan.n_points == 4
    assert "1 of 3 scans hold no points, 1 were aborted" in scan.notes


def test_a_brml_is_a_mesh_whose_columns_are_those_that_it_names(tmp_path):
    scan = open_scan(brml(tmp_path / "a.brml", {}, {}))
    assert scan.counts.tolist() == [[3, 30, 3]] * 2
    assert scan.angles["two_theta"][0].tolist() == [60, 61, 62]
    assert scan.angles["omega"].tolist() == [30, 31]
    assert scan.angles["chi"].tolist() == [0.5, 0.5]
    assert (scan.count_time_s == 0.5).all()
    assert scan.energy_kev == pytest.approx(12.398419843 / 1.5406)


def two_entries(path):
    with h5py.File(path, "w") as file:
        for name in ("1.1", "2.1"):
            file.create_group(name).attrs["NX_class"] = "NXentry"


def dangling(path):
    nexus(path)
    with h5py.File(path, "a") as file:
        file["entry/instrument/detector/more"] = h5py.ExternalLink("frames_1.h5", "/data")


def without(name):
    def write(path):
        nexus(path)
        with h5py.File(path, "a") as file:
            del file[name]

    return write


def cut(path):
    whole = nexus(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 3])


DATUM = "<Datum>0.5,1,60,30,25,3</Datum>"
BROKEN = {
    "HDF5 cut short": (cut, "must be whole HDF5"),
    "two entries": (two_entries, "one entry, or name its default, got '1.1', '2.1'"),
    "a link that leads nowhere": (dangling, "linked to frames_1.h5, which is not there"),
    "no frames": (without("entry/instrument/detector/data"), "must hold counts, got"),
    "no angles": (without("entry/sample"), "must hold the angles of circles, got none"),
    "fewer frames than NeXus points": (lambda p: nexus(p, n_frames=3), "got 3 for 5 angles of mu"),
    "positions in mm": (lambda p: nexus(p, units="mm"), "got the unit 'mm'"),
    "NaN for an angle": (
        lambda p: nexus(p, mu=np.array([1, 2, np.nan, 3, 4])),
        "mu within ±720 degrees, got nan",
    ),
    "a SPEC header": (lambda p: spec(p), "got a header alone"),
    "SPEC without points": (lambda p: spec(p, {"rows": ""}), "got 1 scans without any"),
    "SPEC of two kinds": (
        lambda p: spec(p, {}, {"columns": "Chi  H  K  L  Seconds  Monitor  Detector"}),
        "scans of one series",
    ),
    "SPEC rows that are short": (
        lambda p: spec(p, {"rows": "20 2 2\n21 2 2 0 1 1 9"}),
        "a number for each of 7 columns, got '20 2 2' in scan 1",
    ),
    "a brml without rows": (lambda p: brml(p, {"rows": ""}), "got 1 scans without"),
    "a brml of a simulation": (lambda p: brml(p, {"flag": "Final"}), "got 1 scans without"),
    "a brml of frames": (lambda p: brml(p, {"length": "1280"}), "got 1280 channels"),
    "a brml with uneven rows": (
        lambda p: brml(p, {"rows": DATUM + "<Datum>1,1</Datum>"}),
        "rows of one length, got 2 to 6",
    ),
    "a brml with words": (
        lambda p: brml(p, {"rows": "<Datum>a,b</Datum>"}),
        "numbers as a row of scan 0",
    ),
    "a brml with too few columns": (
        lambda p: brml(p, {"rows": "<Datum>1,1,60,30</Datum>"}),
        "which column holds counts",
    ),
}
