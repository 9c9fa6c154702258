"""Scans whose parts contradict each other or physics: refused or told, never mapped in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis.rsm import ReciprocalSpaceMap, RsmParams, inputs_from_files
from bl_steer.protocols import Inputs

OMEGA = np.linspace(34.0, 35.0, 21)
TWO_THETA = np.tile(np.linspace(68.4, 69.8, 31), (21, 1))
SI_004 = {"hkl": [0, 0, 4], "unit_cell": [5.431], "energy_kev": 8.0478}


def _counts(dtype: str = "u4", top: float = 900.0) -> np.ndarray:
    along, across = np.meshgrid(np.linspace(-3, 3, 31), np.linspace(-3, 3, 21))
    mean = 2.0 + top * np.exp(-(along**2) - across**2)
    return np.minimum(np.random.default_rng(0).poisson(mean), np.iinfo(dtype).max).astype(dtype)


def _saved(path: Path, **arrays: object) -> Path:
    given = {"counts": _counts(), "omega": OMEGA, "two_theta": TWO_THETA} | arrays
    np.savez(path, **given)
    return path


def _mapped(path: Path, **params: object):
    return ReciprocalSpaceMap().run(inputs_from_files([path]), RsmParams(**params))


def test_a_scan_that_meets_its_reflection_is_mapped_without_a_word(tmp_path: Path) -> None:
    assert not _mapped(_saved(tmp_path / "a.npz", **SI_004)).warnings


@pytest.mark.parametrize("cell", [[5.431], [5.431] * 3, [5.431] * 3 + [90.0] * 3])
def test_another_reflection_is_refused_with_where_it_is_met(
    tmp_path: Path, cell: list[float]
) -> None:
    path = _saved(tmp_path / "a.npz", **SI_004 | {"hkl": [2, 2, 0], "unit_cell": cell})
    with pytest.raises(ValueError, match=r"hkl is met at two-theta 47\.\d+°: hkl may be another"):
        _mapped(path)


def test_a_reflection_without_a_cell_is_said_to_be_unchecked(tmp_path: Path) -> None:
    (told,) = _mapped(_saved(tmp_path / "a.npz", hkl=[0, 0, 4], energy_kev=8.0478)).warnings
    assert told.endswith("hkl 0 0 4 is not compared with two-theta: the file has no unit cell")


@pytest.mark.parametrize("reflection", [{}, {"hkl": [0, 0, 4], "unit_cell": [5.431]}])
def test_omega_and_two_theta_exchanged_are_told_or_refused(
    tmp_path: Path, reflection: dict[str, object]
) -> None:
    exchanged = {"omega": TWO_THETA, "two_theta": OMEGA, "energy_kev": 8.0478}
    path = _saved(tmp_path / "a.npz", **exchanged, **reflection)
    if reflection:
        with pytest.raises(ValueError, match="omega and two-theta may be exchanged"):
            _mapped(path)
        return
    assert any("larger than two-theta" in text for text in _mapped(path).warnings)


def test_a_scan_given_twice_is_refused_by_name(tmp_path: Path) -> None:
    paths = [_saved(tmp_path / name, **SI_004) for name in ("a.npz", "copy.npz")]
    with pytest.raises(ValueError, match=r"got copy\.npz with the counts and angles of a\.npz"):
        inputs_from_files(paths)
    noise = np.random.default_rng(1).poisson(_counts())
    assert inputs_from_files([paths[0], _saved(tmp_path / "b.npz", **SI_004, counts=noise)])


def test_full_counters_of_8_bits_are_left_out_and_told(tmp_path: Path) -> None:
    counts = _counts("u1")
    result = _mapped(_saved(tmp_path / "a.npz", **SI_004, counts=counts))
    n_full = np.count_nonzero(counts == 255)
    assert result.arrays["n"].sum() == counts.size - n_full
    assert any(text.startswith(f"{n_full} readings (") for text in result.warnings)
    assert any("255, the largest number of 8 bits" in text for text in result.warnings)


@pytest.mark.parametrize(("dtype", "top", "full"), [("u4", 900, 255), ("i8", 9e3, 4095)])
def test_counts_that_end_where_a_converter_does_are_told(
    tmp_path: Path, dtype: str, top: float, full: int
) -> None:
    counts = np.minimum(_counts(dtype, top), full)
    (told,) = _mapped(_saved(tmp_path / "a.npz", **SI_004, counts=counts)).warnings
    assert f"{full}, the largest number of" in told
    assert "if the counter was full there" in told


def test_counts_of_a_point_detector_that_are_full_are_told_as_such() -> None:
    counts = np.tile(_counts("u2", 9e4).ravel(), 1)
    angles = {"omega": np.repeat(OMEGA, 31), "two_theta": TWO_THETA.ravel()}
    inputs = Inputs({"counts": counts, **angles}, {"energy_kev": 8.0478})
    warnings = ReciprocalSpaceMap().run(inputs, RsmParams()).warnings
    assert any("are no counts, and are out: where counters are full" in text for text in warnings)
