"""XRDML, rasx and .npz in the forms of which there is no real file at hand."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.files.scans import open_scan
from tests.bl_steer.files.scans.written import rasx, xrdml


def test_an_xrdml_of_two_profiles_is_a_mesh(tmp_path):
    scan = open_scan(xrdml(tmp_path / "a.xrdml", {}, {"omega": "79.1"}))
    assert scan.counts.tolist() == [[1, 2, 9, 2, 1]] * 2
    assert scan.angles["two_theta"][1].tolist() == [87, 87.5, 88, 88.5, 89]
    assert scan.angles["omega"].tolist() == [79, 79.1]
    assert (scan.count_time_s == 2).all()
    assert scan.q_hkl == pytest.approx(2 * np.pi * np.sqrt(24) / 5.43104)


def test_attenuated_counts_come_with_their_factors_and_intensities_without(tmp_path):
    factors = "<beamAttenuationFactors>1 1 12 1 1</beamAttenuationFactors>"
    counts = open_scan(
        xrdml(tmp_path / "a.xrdml", {"counts": factors + "<counts>1 2 9 2 1</counts>"})
    )
    assert counts.attenuation.tolist() == [1, 1, 12, 1, 1]
    assert counts.corrected == ()
    intensities = {"counts": factors + "<intensities>1 2 108 2 1</intensities>"}
    corrected = open_scan(xrdml(tmp_path / "b.xrdml", intensities))
    assert corrected.attenuation is None
    assert corrected.corrected == ("attenuation",)


def test_what_an_aborted_xrdml_measured_is_read_and_said_to_be_part(tmp_path):
    listed = "<listPositions>87 87.5 88 88.5 89</listPositions>"
    aborted = {"status": "Aborted", "two_theta": listed, "counts": "<counts>1 2</counts>"}
    scan = open_scan(
        xrdml(tmp_path / "a.xrdml", {}, aborted, {"status": "Not started", "counts": ""})
    )
    assert scan.counts.tolist() == [1, 2, 9, 2, 1, 1, 2]
    assert scan.angles["two_theta"].tolist() == [87, 87.5, 88, 88.5, 89, 87, 87.5]
    assert scan.notes[0].startswith("2 of 3 scans did not complete (Aborted)")
    assert "1 of 3 scans hold no counts" in scan.notes[1]


def test_angles_in_radians_are_taken_in_degrees_and_said(tmp_path):
    step = {"unit": "rad", "omega": "0.7"}
    scan = open_scan(rasx(tmp_path / "a.rasx", step, {**step, "omega": "0.71"}))
    np.testing.assert_allclose(scan.angles["omega"], np.degrees([0.7, 0.71]))
    assert scan.notes == ["omega was stored in rad, and is taken in degrees"]


def test_a_coupled_rasx_turns_both_circles(tmp_path):
    scan = open_scan(rasx(tmp_path / "a.rasx", {"axis": "TwoThetaOmega", "omega": "79"}))
    assert scan.angles["omega"].tolist() == [78.5, 79, 79.5]
    assert scan.attenuation.tolist() == [1, 10, 1]


def test_repeats_of_one_position_are_said(tmp_path):
    np.savez(tmp_path / "a.npz", counts=np.ones((41, 2, 2)), mu=np.full(41, 2.0))
    (note,) = open_scan(tmp_path / "a.npz").notes
    assert note.startswith("no angle changes over 41 points (mu 2°)")


def test_angles_that_look_like_radians_are_said(tmp_path):
    np.savez(tmp_path / "a.npz", counts=np.ones(3), omega=[0.6, 0.61, 0.62], tth=[1.2, 1.21, 1.22])
    (note,) = open_scan(tmp_path / "a.npz").notes
    assert note.startswith("two_theta is at most 1.22, taken in degrees")
    np.savez(
        tmp_path / "b.npz", counts=np.ones(3), omega=[0.6, 0.61, 0.62], tth=1.2, angle_unit="rad"
    )
    assert open_scan(tmp_path / "b.npz").angles["two_theta"][0] == pytest.approx(68.755, abs=1e-3)
