"""The electrode: exact truth at any place and voxel size, two kinds, fractions in their ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from bl_steer.analysis.segmentation.phases import FIBSEM_PHASES
from simulators.electron.fibsem_sample import (
    CARBON,
    FAMILIES,
    OXIDE,
    PHASES,
    VOID,
    FibsemSpecimen,
)
from simulators.textures import GaussianField

SMALL: dict[str, Any] = {"shape": (1, 96, 96), "voxel_nm": 40.0}


def test_order_of_the_phases_is_the_house_s() -> None:
    assert PHASES == FIBSEM_PHASES.names == ("oxide", "carbon", "void")
    assert (OXIDE, CARBON, VOID) == (0, 1, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_gives_the_same_specimen_and_another_seed_another(family: str) -> None:
    first, again, other = (FibsemSpecimen(family, seed=s, **SMALL).labels for s in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.3
    assert first.dtype == np.uint8
    assert set(np.unique(first)) == {OXIDE, CARBON, VOID}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_box_elsewhere_is_a_part_of_the_same_specimen(family: str) -> None:
    whole = FibsemSpecimen(family, seed=2, shape=(3, 60, 80), voxel_nm=20.0).labels
    part = FibsemSpecimen(
        family, seed=2, shape=(1, 20, 30), voxel_nm=20.0, origin_um=(0.04, 0.8, 1.0)
    ).labels
    np.testing.assert_array_equal(part[0], whole[2, 40:60, 50:80])


@pytest.mark.parametrize("family", FAMILIES)
def test_box_cut_slab_by_slab_is_the_box_cut_at_once(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box: dict[str, Any] = {"seed": 2, "shape": (5, 40, 30), "voxel_nm": 40.0}
    at_once = FibsemSpecimen(family, **box).labels
    monkeypatch.setattr("simulators.electron.fibsem_sample.SLAB_VOXELS", 2 * 40 * 30)
    np.testing.assert_array_equal(FibsemSpecimen(family, **box).labels, at_once)


@pytest.mark.parametrize("family", FAMILIES)
def test_smaller_voxels_show_the_same_structure(family: str) -> None:
    coarse = FibsemSpecimen(family, seed=3, shape=(1, 60, 60), voxel_nm=30.0).labels[0]
    fine = FibsemSpecimen(
        family, seed=3, shape=(1, 180, 180), voxel_nm=10.0, origin_um=(0.01, 0.0, 0.0)
    ).labels[0]
    np.testing.assert_array_equal(fine[1::3, 1::3], coarse)


@pytest.mark.parametrize("family", FAMILIES)
def test_volume_fractions_are_those_of_an_electrode_and_vary(family: str) -> None:
    boxes = [FibsemSpecimen(family, seed=s, shape=(16, 64, 64), voxel_nm=120.0) for s in range(4)]
    for box in boxes:
        assert sum(box.fractions.values()) == pytest.approx(1.0)
        assert box.fractions["oxide"] == pytest.approx(box.expected_oxide, abs=0.03)
        assert box.fractions["carbon"] == pytest.approx(box.expected_carbon, abs=0.03)
        assert 0.33 < box.fractions["oxide"] < 0.62
        assert 0.08 < box.fractions["carbon"] < 0.27
    assert np.ptp([box.fractions["oxide"] for box in boxes]) > 0.04


def test_families_differ_in_kind() -> None:
    """Pores of grains and of a network have different shapes: bodies of oxide in a section."""
    counts = {
        family: np.mean(
            [label(FibsemSpecimen(family, seed=s, **SMALL).labels[0] == OXIDE)[1] for s in range(3)]
        )
        for family in FAMILIES
    }
    assert counts["grains"] > 2.0 * counts["network"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "foam"}, "family must be one of grains, network, got 'foam'"),
        ({"seed": -1}, "seed must be a whole number, 0 or above"),
        ({"shape": (0, 8, 8)}, r"shape must be three positive .* got \(0, 8, 8\)"),
        ({"voxel_nm": 0.0}, "voxel_nm must be positive and finite, got 0 nm"),
        ({"origin_um": (0.0, np.nan, 0.0)}, "origin_um must be three finite positions"),
    ],
)
def test_specimens_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    options = {"family": "grains", "seed": 1, **options}
    with pytest.raises(ValueError, match=message):
        FibsemSpecimen(**options)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), wavelength=st.floats(5.0, 20.0))
def test_gaussian_field_has_mean_0_variance_1(seed: int, wavelength: float) -> None:
    field = GaussianField(np.random.default_rng(seed), wavelength, n_waves=64)
    places = wavelength * np.random.default_rng(seed).uniform(0, 400, (3, 12))
    values = field(*places)
    assert values.shape == (12, 12, 12)
    assert abs(values.mean()) < 0.35
    assert 0.5 < values.std() < 1.5
