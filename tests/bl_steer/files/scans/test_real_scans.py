"""Original files of laboratory diffractometers, against what others read of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.files.scans import open_scan

RSM = Path(__file__).parents[5] / "shared" / "data" / "rsm"


def path_of(name: str) -> Path:
    path = RSM / name
    if not path.exists():
        pytest.skip(f"the real file {name} is not at ../shared/data/rsm")
    return path


def test_a_rasx_holds_the_counts_and_angles_of_its_extract():
    scan = open_scan(path_of("RSM_111_sdd=350.rasx"))
    with np.load(path_of("rsm_rigaku_111.npz")) as extract:
        np.testing.assert_allclose(scan.counts, extract["intensity"], rtol=1e-7)
        np.testing.assert_allclose(scan.angles["two_theta"], extract["tt"], rtol=1e-7)
        np.testing.assert_allclose(scan.angles["omega"], extract["om"], atol=1e-9)
        assert scan.energy_kev == pytest.approx(12.398419843 / float(extract["wavelength_A"]))
    assert scan.kind == "point"  # each channel has its own two-theta
    assert (scan.attenuation == 1).all()
    assert scan.count_time_s[0, 0] == 1.2
    assert not scan.notes


def test_an_xrdml_mesh_holds_the_count_rates_and_angles_of_its_extract():
    scan = open_scan(path_of("m82762_rc1mm_1_16dg_src_slit_phi-101_3dg_-420_mesh_long.xrdml"))
    with np.load(path_of("rsm_nomad_m82762_-420.npz")) as extract:
        rates = scan.counts / scan.count_time_s
        np.testing.assert_allclose(rates.ravel(), extract["intensity"], rtol=1e-6)
        np.testing.assert_allclose(scan.angles["two_theta"].ravel(), extract["tt"], rtol=1e-6)
        omega = np.repeat(scan.angles["omega"], scan.counts.shape[1])
        np.testing.assert_allclose(omega, extract["om"], rtol=1e-6)
        assert scan.energy_kev == pytest.approx(12.398419843 / float(extract["wavelength_A"]))
    assert scan.hkl == (-4, 2, 0)
    low, high = scan.energy_of_hkl()
    assert low < scan.energy_kev < high  # cell, hkl, two-theta and energy agree


@pytest.mark.parametrize("name", ["rsm_rigaku_111.npz", "rsm_nomad_m82762_-420.npz"])
def test_an_extract_is_read_as_a_scan_of_its_own(name):
    scan = open_scan(path_of(name))
    assert set(scan.angles) == {"omega", "two_theta"}
    assert scan.counts.max() > 1e4
    assert scan.energy_kev == pytest.approx(8.0478, abs=1e-4)
