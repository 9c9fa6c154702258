"""Scans that read well and mean something else: what is not sure is refused, told, or mended."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from bl_steer.files.scans import open_scan
from tests.bl_steer.files.scans.written import COLUMNS, spec, xrdml

LATER = "20 2 2 0 1 1000 5\n\n#F again\n#O0 Delta  Eta  Phi  Chi\n#O1 Nu  Mu  Sample X"


def test_a_spec_session_that_began_anew_names_its_motors_anew(tmp_path):
    scan = open_scan(spec(tmp_path / "a.spec", {"rows": LATER}, {}))
    assert scan.angles["chi"].tolist() == [90.0, 0.0, 0.0, 0.0]
    assert scan.angles["phi"].tolist() == [0.0, 90.0, 90.0, 90.0]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_marks_of_windows_change_nothing(tmp_path, start):
    sound = spec(tmp_path / "a.spec", {})
    (tmp_path / "b.spec").write_bytes(start + sound.read_bytes().replace(b"\n", b"\r\n"))
    ours, theirs = open_scan(sound), open_scan(tmp_path / "b.spec")
    np.testing.assert_array_equal(theirs.counts, ours.counts)
    for circle, angles in ours.angles.items():
        np.testing.assert_array_equal(theirs.angles[circle], angles)
    assert theirs.energy_kev == ours.energy_kev


def test_a_column_that_may_be_an_attenuator_is_said_to_be_left_out(tmp_path):
    columns = COLUMNS.replace("Monitor", "atten")
    scan = open_scan(spec(tmp_path / "a.spec", {"columns": columns}))
    assert scan.attenuation is None
    assert "counts are not corrected for 'atten'; check what they mean" in scan.notes


def test_an_xrdml_of_counts_a_second_is_not_divided_by_time_again(tmp_path):
    rates = {"counts": '<intensities unit="cps">1 2 9 2 1</intensities>'}
    scan = open_scan(xrdml(tmp_path / "a.xrdml", rates))
    assert scan.count_time_s is None
    assert tuple(scan.corrected) == ("attenuation", "time")


def test_arrays_of_names_that_nobody_knows_are_said_to_be_left_out(tmp_path):
    angles = {"omega": np.arange(3.0), "tth": np.arange(3.0) + 60}
    np.savez(tmp_path / "a.npz", counts=np.ones(3), attenuator=np.ones(3), **angles)
    (note,) = open_scan(tmp_path / "a.npz").notes
    assert note == "arrays of other names are left out: 'attenuator'"


def test_big_endian_counts_and_angles_are_the_same_numbers(tmp_path):
    counts = np.array([1, 2**31, 3], dtype=">u4")
    angles = {"omega": np.arange(3, dtype=">f8"), "tth": np.arange(3, dtype=">i2") + 60}
    np.savez(tmp_path / "a.npz", counts=counts, **angles)
    scan = open_scan(tmp_path / "a.npz")
    assert scan.counts.tolist() == [1, 2**31, 3]
    assert scan.angles["two_theta"].tolist() == [60.0, 61.0, 62.0]


def test_an_energy_and_a_wavelength_that_disagree_are_refused_with_both(tmp_path):
    arrays = {"counts": np.ones(3), "omega": np.arange(3.0), "tth": np.arange(3.0) + 60}
    np.savez(tmp_path / "a.npz", energy_kev=10.0, wavelength_A=1.54, **arrays)
    with pytest.raises(
        ValueError, match=r"got energy_kev 10 and wavelength_A 1\.54 \(8\.051 and 10"
    ):
        open_scan(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", energy_kev=8.048, wavelength_A=1.5406, **arrays)
    assert open_scan(tmp_path / "b.npz").energy_kev == 8.048
    with h5py.File(tmp_path / "c.nxs", "w") as file:
        for name, values in {**arrays, "energy": 10.0, "wavelength": 1.54}.items():
            file[f"entry/{name}"] = values
    with pytest.raises(ValueError, match=r"got energy 10 keV and wavelength 1\.54 Å"):
        open_scan(tmp_path / "c.nxs")


def test_a_wavelength_that_may_be_in_nm_is_told(tmp_path):
    angles = {"omega": np.arange(3.0), "tth": np.arange(3.0) + 60}
    np.savez(tmp_path / "a.npz", counts=np.ones(3), wavelength_A=0.12398, **angles)
    (note,) = open_scan(tmp_path / "a.npz").notes
    assert note.startswith("the energy is 100 keV, a wavelength of 0.124 Å; if that was in nm")


@pytest.mark.parametrize(
    ("scale", "formula"),
    [
        ({"scaling_factor": 2.0, "offset": 1.0}, "(stored + 1) * 2"),
        ({"scale_factor": 2.0, "add_offset": 2.0}, "stored * 2 + 2"),
    ],
)
def test_counts_of_nexus_are_brought_to_the_scale_that_the_file_states(tmp_path, scale, formula):
    arrays = {"counts": np.arange(3), "omega": np.arange(3.0), "two_theta": np.arange(3.0) + 60}
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        for name, values in arrays.items():
            file[f"entry/{name}"] = values
        file["entry/counts"].attrs.update(scale)
        file["entry"].attrs["signal"] = "counts"
    scan = open_scan(tmp_path / "a.nxs")
    assert scan.counts.tolist() == [2, 4, 6]
    assert f"counts are read as {formula}" in scan.notes
