"""Contact areas against closed forms, and what must hold for any volume."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bl_steer.analysis.structure import LabelVolume, volume
from bl_steer.analysis.structure.areas import ContactAreas, contact_areas
from bl_steer.analysis.structure.directions import Directions, flat_range, sphere_shares
from bl_steer.analysis.structure.fractions import volume_fractions
from simulators.electron.phantoms import CUBE, Labels, cap, grains, voxel_positions

VOLUMES = arrays(np.uint8, st.tuples(*[st.integers(2, 6)] * 3), elements=st.integers(0, 3))
VOXELS = st.tuples(*[st.floats(0.2, 5.0)] * 3)


def measured(
    labels: Labels,
    voxel: tuple[float, float, float] = CUBE,
    *,
    n_directions: int = 13,
    fills_box: bool = False,
) -> ContactAreas:
    names = dict(enumerate("abcd"))
    whole = LabelVolume(labels, voxel, names, np.bincount(labels.ravel(), minlength=4))
    return contact_areas(whole, n_directions=n_directions, fills_box=fills_box, n_draws=100)


def faces(labels: Labels, voxel: tuple[float, float, float], a: int, b: int) -> float:
    """Area of the voxel faces between two phases."""
    total = 0.0
    for axis in range(3):
        m = np.moveaxis(labels, axis, 0)
        pairs = ((m[1:] == a) & (m[:-1] == b)) | ((m[1:] == b) & (m[:-1] == a))
        total += pairs.sum() * np.prod(voxel) / voxel[axis]
    return total


@pytest.mark.parametrize(
    ("r", "voxel", "within"),
    [(12, CUBE, 0.005), (30, CUBE, 0.002), (40, (10.0, 1.0, 1.0), 0.02)],
)
@pytest.mark.parametrize("n_directions", [13, 49])
def test_sphere_on_a_plane_has_half_its_surface_in_each_phase(
    r: float, voxel: tuple[float, float, float], within: float, n_directions: int
) -> None:
    rng = np.random.default_rng(1)
    found = [
        measured(cap(r, voxel, (0.0, *rng.random(2))), voxel, n_directions=n_directions).area_nm2
        for _ in range(8)
    ]
    half = 2 * np.pi * r**2
    area = np.mean(found, axis=0)
    assert area[0, 2] == pytest.approx(half, rel=within)
    assert area[1, 2] == pytest.approx(half, rel=within)


@pytest.mark.parametrize("n_directions", [13, 49])
def test_tilted_planes_are_seen_in_the_mean_where_voxel_faces_are_half_too_many(
    n_directions: int,
) -> None:
    rng = np.random.default_rng(0)
    q = voxel_positions((24, 24, 24), CUBE)
    seen, by_faces = [], []
    for normal in rng.standard_normal((300, 3)):
        unit = normal / np.linalg.norm(normal)
        # Planes 6 apart at a random place: area per volume is 1/6.
        labels = np.floor((q @ unit + rng.uniform(0, 12)) / 6).astype(int) % 2
        found = measured(labels.astype(np.uint8), fills_box=True, n_directions=n_directions)
        seen.append(found.area_nm2[0, 1] / (24**3 / 6))
        by_faces.append(faces(labels, CUBE, 0, 1) * 24 / 23 / (24**3 / 6))
    assert np.mean(seen) == pytest.approx(1, abs=0.005)
    assert np.mean(by_faces) == pytest.approx(1.5, abs=0.03)
    # Four planes in the box: where they lie among the voxels moves a single value a little.
    assert found.flat_least - 0.06 < np.min(seen)
    assert np.max(seen) < found.flat_largest + 0.06


def test_cylinder_along_z_that_fills_the_box_has_its_side_and_a_body_its_ends_too() -> None:
    q = voxel_positions((60, 40, 40), CUBE, (0.0, 0.31, 0.13))
    r = 12.0
    round_ = (q[..., 1:] ** 2).sum(axis=-1) < r * r
    side = measured(round_.astype(np.uint8), fills_box=True)
    # The box is cut off at the sides as well, where no cylinder is: 5 % more lines than there are.
    assert side.area_nm2[0, 1] == pytest.approx(2 * np.pi * r * 60, rel=0.05)
    rod = round_ & (np.abs(q[..., 0]) < 25)
    body = measured(rod.astype(np.uint8), fills_box=False)
    assert body.area_nm2[0, 1] == pytest.approx(2 * np.pi * r * 50 + 2 * np.pi * r * r, rel=0.04)


def test_edge_correction_makes_up_for_the_pairs_at_the_edges() -> None:
    periodic = grains((24, 24, 24), seed=3)
    # On the torus no pair is missing: the same structure, continued, is the truth.
    more = np.pad(periodic, [(1, 1)] * 3, mode="wrap")
    within = measured(periodic, fills_box=True).surface_nm2.sum()
    without = measured(periodic, fills_box=False).surface_nm2.sum()
    truth = measured(more, fills_box=True).surface_nm2.sum() * (24 / 26) ** 3
    assert within == pytest.approx(truth, rel=0.02)
    assert without < 0.93 * truth


@settings(max_examples=40, deadline=None)
@given(labels=VOLUMES, voxel=VOXELS, fills_box=st.booleans())
def test_areas_are_symmetric_and_sum_to_the_surface(
    labels: Labels, voxel: tuple[float, float, float], fills_box: bool
) -> None:
    found = measured(labels, voxel, fills_box=fills_box)
    np.testing.assert_array_equal(found.area_nm2, found.area_nm2.T)
    assert (np.diag(found.area_nm2) == 0).all()
    for phase in range(4):
        alone = measured((labels == phase).astype(np.uint8), voxel, fills_box=fills_box)
        assert found.surface_nm2[phase] == pytest.approx(alone.area_nm2[0, 1])


@settings(max_examples=40, deadline=None)
@given(
    labels=VOLUMES,
    voxel=VOXELS,
    order=st.permutations(range(3)),
    flips=st.sets(st.integers(0, 2)),
    n_directions=st.sampled_from([13, 49]),
)
def test_areas_do_not_depend_on_how_the_axes_run(
    labels: Labels,
    voxel: tuple[float, float, float],
    order: list[int],
    flips: set[int],
    n_directions: int,
) -> None:
    turned = np.flip(labels.transpose(order), tuple(flips))
    a, b, c = (voxel[axis] for axis in order)
    np.testing.assert_allclose(
        measured(turned, (a, b, c), n_directions=n_directions, fills_box=True).area_nm2,
        measured(labels, voxel, n_directions=n_directions, fills_box=True).area_nm2,
        rtol=1e-9,
    )


@pytest.mark.parametrize("n_directions", [13, 49])
def test_slabs_and_threads_change_no_bit(
    n_directions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = grains((21, 17, 19), seed=5)
    whole = LabelVolume.of(labels, (3, 1, 2))
    expected = contact_areas(whole, n_directions=n_directions)
    shares = volume_fractions(whole)
    for planes in (1, 2, 5):
        monkeypatch.setattr(volume, "SLAB_VOXELS", planes * 17 * 19)
        for kind in (labels, zarr.array(labels, chunks=(4, 8, 8)), da.from_array(labels, 7)):
            piecewise = LabelVolume.of(kind, (3, 1, 2))
            found = contact_areas(piecewise, n_directions=n_directions)
            np.testing.assert_array_equal(found.by_direction_nm2, expected.by_direction_nm2)
            np.testing.assert_array_equal(found.low_nm2, expected.low_nm2)
            np.testing.assert_array_equal(volume_fractions(piecewise).high, shares.high)


def test_the_shares_of_cubic_directions_are_those_in_print() -> None:
    thirteen = Directions.of(CUBE, 13)
    reach = np.abs(thirteen.offsets).sum(axis=1)
    for steps, share in ((1, 0.0916), (2, 0.0740), (3, 0.0704)):
        np.testing.assert_allclose(thirteen.weights[reach == steps], share, atol=5e-5)
    assert len(Directions.of(CUBE, 49).offsets) == 49
    with pytest.raises(ValueError, match="directions must be 13 or 49, got 26"):
        Directions.of(CUBE, 26)


def test_even_directions_see_every_flat_interface_alike() -> None:
    rng = np.random.default_rng(0)
    many = rng.standard_normal((400, 3))
    many /= np.linalg.norm(many, axis=1)[:, None]
    least, largest = flat_range(many, sphere_shares(many))
    assert 0.98 < least < 1 < largest < 1.02
    assert flat_range(*_of(Directions.of(CUBE, 13))) == pytest.approx((0.927, 1.023), abs=1e-3)
    assert flat_range(*_of(Directions.of(CUBE, 49))) == pytest.approx((0.979, 1.013), abs=1e-3)


def _of(directions: Directions) -> tuple[np.ndarray, np.ndarray]:
    return directions.units, directions.weights


def test_intervals_hold_the_truth_of_a_large_structure_about_as_often_as_they_say() -> None:
    # 27 boxes out of one periodic structure, whose own areas are the truth.
    large = grains((120, 120, 120), seed=1, width=2.0)
    truth = contact_areas(LabelVolume.of(large, CUBE), n_draws=100).area_nm2 / 120**3
    hits = []
    for z, y, x in np.ndindex(3, 3, 3):
        box = large[40 * z : 40 * z + 40, 40 * y : 40 * y + 40, 40 * x : 40 * x + 40]
        found = contact_areas(LabelVolume.of(box, CUBE), blocks=3, n_draws=400, seed=0)
        pairs = np.triu_indices(3, 1)
        low, high = (side[pairs] / 40**3 for side in (found.low_nm2, found.high_nm2))
        hits.append((low < truth[pairs]) & (truth[pairs] < high))
    assert 0.85 < np.mean(hits) <= 1
