"""Slices that were lost are put in before planes are."""

from __future__ import annotations

import numpy as np

from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.reconstruction.gaps import fill_gaps
from bl_steer.analysis.reconstruction.insertion import settings_for
from simulators.electron.phantoms import grains

PITCH_NM, PIXEL_NM = 40.0, 10.0


def stack(*lost: int, planes: int = 9) -> tuple[np.ndarray, EvenDepths]:
    """Return label maps and depths of every fourth plane but some."""
    kept = [number for number in range(planes) if number not in lost]
    labels = np.ascontiguousarray(grains((4 * planes - 3, 40, 36), width=4.0)[::4][kept])
    return labels, EvenDepths.of(PITCH_NM * np.array(kept), 4)


def test_each_gap_is_halved_until_no_plane_is_taken_twice() -> None:
    labels, depths = stack(3, 6, 7)
    assert (np.diff(depths.nearest_inserted()) == 0).any()
    settings = settings_for(depths, PIXEL_NM, blocks=1, channels=4, steps=2, seed=0)
    filled = fill_gaps(labels, depths, settings, 3, speck_px=10)
    assert filled.put_in == (3, 6)
    whole = [0, 1, 2, 3, 4, 5, 6.5, 8]
    np.testing.assert_allclose(filled.depths.slice_z_nm, PITCH_NM * np.array(whole))
    assert (np.diff(filled.depths.nearest_inserted())[:20] > 0).all()
    np.testing.assert_array_equal(np.delete(filled.labels, filled.put_in, axis=0), labels)
    assert filled.weights_sha256 is not None
    # Where the slices around agree, what is put in between them does, too.
    before, put_in, after = filled.labels[2:5]
    assert (put_in == before)[before == after].mean() > 0.95
    assert (put_in != before).any()


def test_what_is_put_in_has_the_fractions_of_the_two_slices_at_its_gap() -> None:
    labels, depths = stack(3)
    rich = labels.copy()
    rich[:2][rich[:2] == 1] = 0  # slices away from the gap, which hold less of a phase
    settings = settings_for(depths, PIXEL_NM, blocks=1, channels=4, steps=20, seed=0)
    filled = fill_gaps(rich, depths, settings, 3, speck_px=1)
    before, put_in, after = (
        np.bincount(plane.ravel(), minlength=3) / plane.size for plane in filled.labels[2:5]
    )
    np.testing.assert_allclose(put_in, 0.5 * (before + after), atol=0.01)


def test_planes_beside_what_was_put_in_are_as_uncertain() -> None:
    labels, depths = stack(3)
    settings = settings_for(depths, PIXEL_NM, blocks=1, channels=4, steps=2, seed=0)
    filled = fill_gaps(labels, depths, settings, 3, speck_px=10)
    uncertainty = np.zeros((len(depths.z_nm), *labels.shape[1:]), np.float16)
    filled.doubt(uncertainty)
    (own,) = filled.uncertainty
    assert own.max() > 0
    np.testing.assert_allclose(uncertainty[12], own, atol=1e-3)
    np.testing.assert_allclose(uncertainty[11], 0.75 * own, atol=1e-3)
    assert not uncertainty[:9].any()
    assert not uncertainty[16:].any()


def test_a_stack_without_gaps_or_too_small_to_learn_from_stays() -> None:
    for labels, depths in (stack(), stack(3)):
        small = labels[:, :20, :20]
        settings = settings_for(depths, PIXEL_NM, blocks=1, channels=4, steps=2, seed=0)
        filled = fill_gaps(small, depths, settings, 3, speck_px=10)
        assert filled.labels is small
        assert filled.depths is depths
        assert filled.weights_sha256 is None
