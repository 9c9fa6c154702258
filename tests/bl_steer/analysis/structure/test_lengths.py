"""Volumes, connectivity, chords and correlation against closed forms and other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from bl_steer.analysis.structure import LabelVolume, volume
from bl_steer.analysis.structure.chords import chord_lengths
from bl_steer.analysis.structure.connectivity import connected_parts
from bl_steer.analysis.structure.correlation import two_point_correlation
from bl_steer.analysis.structure.fractions import volume_fractions
from simulators.electron.phantoms import CUBE, Labels, grains, voxel_positions

VOLUMES = arrays(np.uint8, st.tuples(*[st.integers(1, 7)] * 3), elements=st.integers(0, 2))


def of(labels: Labels, voxel: tuple[float, float, float] = CUBE) -> LabelVolume:
    return LabelVolume(labels, voxel, dict(enumerate("abc")), np.bincount(labels.ravel(), None, 3))


def test_volume_of_a_sphere_in_long_voxels() -> None:
    voxel = (4.0, 1.0, 1.0)
    ball = (voxel_positions((20, 60, 60), voxel) ** 2).sum(axis=-1) < 25.0**2
    whole = LabelVolume.of(ball, voxel, {0: "pore", 1: "solid"})
    share = volume_fractions(whole).fraction[1]
    box = 20 * 60 * 60 * 4
    assert share * box == pytest.approx(4 / 3 * np.pi * 25**3, rel=0.005)


def test_fractions_sum_to_one_inside_their_intervals() -> None:
    found = volume_fractions(of(grains((40, 40, 40))))
    assert found.fraction.sum() == pytest.approx(1)
    assert (found.low < found.fraction).all()
    assert (found.fraction < found.high).all()


@settings(max_examples=60, deadline=None)
@given(labels=VOLUMES)
def test_connected_parts_are_those_of_scipy(labels: Labels) -> None:
    found = connected_parts(of(labels))
    for phase in range(3):
        parts, n = ndimage.label(labels == phase)
        assert found.n_parts[phase] == n
        if not n:
            assert np.isnan(found.largest[phase])
            continue
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        assert found.largest[phase] == sizes.max() / sizes.sum()
        assert found.single_voxels[phase] == (sizes == 1).sum()
        touched: set[int] = set()
        for axis in range(3):
            m = np.moveaxis(parts, axis, 0)
            both = np.setdiff1d(np.intersect1d(m[0], m[-1]), [0])
            touched |= set(m[0].ravel().tolist()) | set(m[-1].ravel().tolist())
            through = sizes[both].sum() / sizes.sum() if len(m) > 1 else np.nan
            np.testing.assert_equal(found.percolating[phase, axis], through)
        inner = [part for part in range(1, n + 1) if part not in touched]
        assert found.isolated[phase] == sizes[inner].sum() / sizes.sum()


def test_a_spiral_is_one_part() -> None:
    labels = np.zeros((3, 9, 9), dtype=np.uint8)
    for k in range(0, 9, 2):
        labels[1, k] = 1
        labels[1, min(k + 1, 8), 8 if k % 4 == 0 else 0] = 1
    labels[2, 4, 4] = 1
    found = connected_parts(of(labels))
    assert found.n_parts[1] == 1
    assert found.percolating[1].tolist() == [0, 1, 1]


def test_chords_of_layers_are_as_thick_as_the_layers() -> None:
    layers = np.repeat(np.arange(40) // 5 % 2, 3)[:, None, None]
    labels = np.broadcast_to(layers, (120, 6, 7)).astype(np.uint8)
    found = chord_lengths(of(labels, (2.0, 1.0, 1.0)))
    lengths, shares = found.shares(0, 0)
    assert lengths.tolist() == [30.0]
    assert shares.tolist() == [1.0]
    assert found.mean_nm[0, 0] == pytest.approx(30, rel=0.15)  # eight layers, seven interfaces
    assert np.isnan(found.mean_nm[0, 1:]).all()


def test_chords_of_independent_voxels_are_geometric() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((40, 50, 60)) < 0.3).astype(np.uint8)
    found = chord_lengths(of(labels, (10.0, 1.0, 2.0)))
    p = labels.mean()
    for axis, step in enumerate((10.0, 1.0, 2.0)):
        assert found.mean_nm[1, axis] == pytest.approx(step / (1 - p), rel=0.01)
        lengths, shares = found.shares(1, axis)
        expected = (1 - p) * p ** (lengths / step - 1)
        np.testing.assert_allclose(shares[:4], expected[:4], atol=0.006)
        assert found.median_nm[1, axis] == step


def test_mean_chord_of_spheres_is_four_volumes_over_their_surface() -> None:
    ball = (voxel_positions((60, 60, 60), CUBE) ** 2).sum(axis=-1) < 25.0**2
    found = chord_lengths(of(ball.astype(np.uint8)))
    # An edge-corrected mean: the ball's share of lines that could be seen is 60/59 of the box.
    np.testing.assert_allclose(found.mean_nm[1], 4 / 3 * 25 * 59 / 60, rtol=0.01)


@settings(max_examples=30, deadline=None)
@given(labels=VOLUMES)
def test_correlation_counts_every_pair_in_the_box(labels: Labels) -> None:
    found = two_point_correlation(of(labels, (3.0, 1.0, 2.0)), max_lag_nm=30.0)
    for axis, step in enumerate((3.0, 1.0, 2.0)):
        m = np.moveaxis(labels, axis, 0)
        assert found.lags_nm[axis].tolist() == [step * k for k in range(len(m))]
        for phase in range(3):
            direct = [((m[k:] == phase) & (m[: len(m) - k] == phase)).mean() for k in range(len(m))]
            np.testing.assert_allclose(found.probability[axis][phase], direct, rtol=1e-12)


def test_correlation_of_independent_voxels_falls_to_the_square_at_once() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((64, 64, 64)) < 0.4).astype(np.uint8)
    found = two_point_correlation(of(labels))
    for axis in range(3):
        assert found.probability[axis][1][0] == labels.mean()
        np.testing.assert_allclose(found.probability[axis][1][1:], 0.16, atol=0.004)


def test_slabs_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = grains((23, 17, 19), seed=5)
    measures = (connected_parts, chord_lengths, two_point_correlation)
    expected = [measure(of(labels)) for measure in measures]
    for planes in (1, 2, 5):
        monkeypatch.setattr(volume, "SLAB_VOXELS", planes * 17 * 19)
        for measure, one in zip(measures, expected, strict=True):
            found = measure(of(labels))
            for name, value in vars(one).items():
                np.testing.assert_equal(getattr(found, name), value)
