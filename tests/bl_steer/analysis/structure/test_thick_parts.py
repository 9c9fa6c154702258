"""What is one voxel thick: wedges, drops, films, single voxels, and what labels leave open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial.transform import Rotation

from bl_steer.analysis.structure import LabelVolume, thick_parts_of, volume
from bl_steer.analysis.structure.directions import Directions, flat_ratio
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.protocols import AnalysisResult, Inputs
from simulators.electron.fibsem_sample import FibsemSpecimen
from simulators.electron.phantoms import CUBE, Labels, grains, voxel_positions


def positions(edge: int, turn: int) -> Any:
    rng = np.random.default_rng(turn)
    turned = Rotation.random(random_state=turn).as_matrix()
    return voxel_positions((edge,) * 3, CUBE, rng.random(3)) @ turned


def wedge(degrees: float, turn: int, r: float = 20.0) -> tuple[Labels, float]:
    """Return a ring along which a wedge ends between two phases, and its length."""
    q = positions(54, turn)
    angle = np.rad2deg(np.arctan2(q[..., 0], np.hypot(q[..., 1], q[..., 2]) - r)) % 360
    labels = np.where(angle < degrees, 0, np.where(angle < 180 + degrees / 2, 1, 2))
    return labels.astype(np.uint8), 2 * np.pi * r


def drop(degrees: float, turn: int, r: float = 20.0) -> tuple[Labels, float]:
    """Return a drop of a contact angle on a plane, and the length of its rim."""
    q, height = positions(64, turn), -r * np.cos(np.radians(degrees))
    inside = (q[..., 0] - height) ** 2 + q[..., 1] ** 2 + q[..., 2] ** 2 < r * r
    labels = np.where(q[..., 0] < 0, 0, np.where(inside, 2, 1))
    return labels.astype(np.uint8), 2 * np.pi * r * np.sin(np.radians(degrees))


def film(thick: float, turn: int, r: float = 16.0) -> tuple[Labels, float, float]:
    """Return a disc between two phases, the length of its rim, and its area to each of them."""
    q = positions(48, turn)
    inside = (np.hypot(q[..., 1], q[..., 2]) < r) & (np.abs(q[..., 0]) < thick / 2)
    labels = np.where(inside, 2, q[..., 0] > 0).astype(np.uint8)
    return labels, 2 * np.pi * r, np.pi * r * r + np.pi * r * thick


def measured(labels: Any, *, edge_correction: bool = False) -> AnalysisResult:
    analysis = find_analysis("structure")
    told = {"voxel_size_nm": (1e3, 1e3, 1e3), "edge_correction": edge_correction}
    return analysis.run(Inputs({"labels": labels}), make_params(analysis, told))


def leaves(table: Any, unit: str, truth: Any) -> bool:
    """Whether all rows hold the truth between what the labels leave."""
    low, high = table[f"labels_least_{unit}"], table[f"labels_largest_{unit}"]
    return bool(((low <= truth) & (truth <= high)).all())


@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize(
    ("shape", "degrees"),
    [
        *((wedge, degrees) for degrees in (120, 60, 40, 20, 10)),
        *((drop, degrees) for degrees in (90, 135, 150)),
    ],
)
def test_labels_leave_the_true_length_of_wedges_and_drops(
    shape: Any, degrees: float, turn: int
) -> None:
    labels, truth = shape(degrees, turn)
    result = measured(labels)
    assert leaves(result.tables["triple_lines"], "um", truth)
    told = [line for line in result.warnings if "without what is one voxel thick" in line]
    if degrees in (10, 20) and shape is wedge:
        assert any(line.startswith("the length phase 0–phase 1–phase 2 is") for line in told)
    if 60 <= degrees <= 120:
        assert not told


@pytest.mark.parametrize("thick", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_labels_leave_the_true_rim_and_sides_of_films(thick: float) -> None:
    labels, rim, side = film(thick, turn=3)
    result = measured(labels)
    assert leaves(result.tables["triple_lines"], "um", rim)
    areas = {key: column[1:] for key, column in result.tables["areas"].items()}
    if thick >= 1.0:
        assert leaves(areas, "um2", side)
    named = any("the area" in line and "one voxel thick" in line for line in result.warnings)
    assert named == (thick < 2.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("voxel", [(100.0, 20.0, 20.0), (300.0, 10.0, 10.0), (20.0, 20.0, 20.0)])
def test_labels_leave_the_true_area_of_a_flat_interface(axis: int, voxel: Any) -> None:
    labels = np.zeros((14, 60, 60), np.uint8)
    np.moveaxis(labels, axis, 0)[7:] = 1
    edges = np.array(voxel) * labels.shape * 1e-3
    analysis = find_analysis("structure")
    told = make_params(analysis, {"voxel_size_nm": voxel, "n_bootstrap": 100})
    areas = analysis.run(Inputs({"labels": labels}), told).tables["areas"]
    assert leaves(areas, "um2", np.prod(edges) / edges[axis])


@pytest.mark.parametrize("voxel", [(5.0, 1.0, 1.0), CUBE])
@pytest.mark.parametrize("n", [13, 49])
def test_directions_leave_any_flat_orientation_and_a_sphere_as_it_is(voxel: Any, n: int) -> None:
    directions = Directions.of(voxel, n)
    units, weights = directions.units, directions.weights
    assert flat_ratio(units, weights, np.ones(len(units))) == pytest.approx(1, abs=1e-3)
    normals = np.concatenate([np.eye(3), np.random.default_rng(0).standard_normal((20, 3))])
    for normal in normals / np.linalg.norm(normals, axis=1)[:, None]:
        seen = 2 * np.abs(units @ normal)
        ends = weights @ seen * np.array([1, flat_ratio(units, weights, seen)])
        assert 0.8 * ends.min() < 1 < 1.2 * ends.max()


def sectors(direction: Any, voxel: Any) -> tuple[Labels, float]:
    """Return three sectors of a cube of 1.2 µm around a straight line, and its length, µm."""
    edges = np.array(voxel)
    shape = np.round(1200 / edges).astype(int)
    along = np.array(direction) / np.linalg.norm(direction)
    across = np.cross(along, (0.31, 0.9, 0.17))
    across /= np.linalg.norm(across)
    q = (np.stack(np.indices(shape), -1) + 0.5 - shape / 2 + (0.13, 0.21, 0.07)) * edges
    angle = np.arctan2(q @ np.cross(along, across), q @ across)
    labels = ((angle + np.pi) // (2 * np.pi / 3)).astype(int) % 3
    return labels.astype(np.uint8), 1.2 / np.abs(along).max()


@pytest.mark.parametrize("voxel", [(20.0, 20.0, 20.0), (100.0, 20.0, 20.0), (10.0, 60.0, 60.0)])
@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 1, 0), (1, 0, 1), (0, 1, 1), (1, 2, 3)])
def test_labels_leave_the_true_length_of_a_straight_line(direction: Any, voxel: Any) -> None:
    labels, truth = sectors(direction, voxel)
    analysis = find_analysis("structure")
    told = make_params(analysis, {"voxel_size_nm": voxel, "n_bootstrap": 100})
    result = analysis.run(Inputs({"labels": labels}), told)
    lines = result.tables["triple_lines"]
    assert leaves(lines, "um", truth)
    named = any("the length" in line and "few orientations" in line for line in result.warnings)
    if not 0.85 < lines["length_um"][0] / truth < 1.18:
        assert named
    if voxel[0] == voxel[1]:
        assert not named


@pytest.mark.parametrize("slices", [1, 6])
def test_an_isotropic_structure_has_no_few_orientations(slices: int) -> None:
    shape: Any = (72, 72, 72)
    specimen = FibsemSpecimen("grains", seed=1, shape=shape, voxel_nm=20.0, origin_um=(3, 3, 3))
    analysis = find_analysis("structure")
    told = make_params(analysis, {"voxel_size_nm": (20.0 * slices, 20, 20), "n_bootstrap": 100})
    result = analysis.run(Inputs({"labels": specimen.labels[::slices]}), told)
    assert not any("few orientations" in line for line in result.warnings)


def test_the_range_of_a_sphere_stays_narrow() -> None:
    q = voxel_positions((16, 60, 60), (4.0, 1.0, 1.0), (0.1, 0.3, 0.2))
    labels = ((q**2).sum(axis=-1) < 24**2).astype(np.uint8)
    analysis = find_analysis("structure")
    told = {"voxel_size_nm": (4.0, 1.0, 1.0), "n_bootstrap": 100, "edge_correction": False}
    areas = analysis.run(Inputs({"labels": labels}), make_params(analysis, told)).tables["areas"]
    assert leaves(areas, "um2", 4 * np.pi * 24**2 * 1e-6)
    width = areas["labels_largest_um2"] - areas["labels_least_um2"]
    assert width[0] < 1.1 * 0.4 * areas["area_um2"][0]


def test_single_voxels_are_counted_and_leave_the_length_without_them() -> None:
    shape: Any = (64, 64, 64)
    specimen = FibsemSpecimen("network", seed=0, shape=shape, voxel_nm=20.0, origin_um=(3, 3, 3))
    rng = np.random.default_rng(0)
    noisy = specimen.labels.copy()
    changed = rng.random(shape) < 0.01
    noisy[changed] = rng.integers(0, 3, int(changed.sum()))
    clean, found = (measured(labels, edge_correction=True) for labels in (specimen.labels, noisy))
    truth = clean.tables["triple_lines"]["length_um"]
    assert found.tables["triple_lines"]["length_um"] > 1.6 * truth
    assert leaves(found.tables["triple_lines"], "um", truth)
    assert leaves(found.tables["areas"], "um2", clean.tables["areas"]["area_um2"])
    assert any("single voxels" in line for line in found.warnings)
    ones = found.tables["connectivity"]["single_voxels"]
    assert ones.sum() > 0.2 * changed.sum()
    assert (ones <= found.tables["connectivity"]["n_parts"]).all()


def test_what_stays_is_the_opening_of_each_phase_by_a_cube_of_two() -> None:
    labels = grains((19, 23, 21), seed=4, width=1.2)
    kept = np.zeros(labels.shape, np.bool_)
    for phase in range(3):
        eroded = minimum_filter(labels == phase, size=2, mode="nearest", origin=-1)
        kept |= maximum_filter(eroded, size=2, mode="constant", origin=0) & (labels == phase)
    thick = np.asarray(thick_parts_of(LabelVolume.of(labels, CUBE)).labels[0:19])
    inner = (slice(2, -2),) * 3
    np.testing.assert_array_equal(thick[kept], labels[kept])
    assert (thick != labels)[inner][~kept[inner]].mean() > 0.6


def test_a_speck_takes_the_phase_around_it_and_a_face_of_the_box_makes_nothing_thin() -> None:
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:, :, 5] = 1  # goes on beyond the box
    labels[3, 3, 2] = 2
    labels[0, 3, 2] = 2
    expected = np.zeros((6, 6, 6), np.uint8)
    expected[:, :, 5] = 1
    thick = thick_parts_of(LabelVolume.of(labels, CUBE)).labels
    np.testing.assert_array_equal(thick[0:6], expected)


def test_slabs_and_stores_change_no_voxel(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = grains((15, 12, 13), seed=6, width=1.0)
    whole = np.asarray(thick_parts_of(LabelVolume.of(labels, CUBE)).labels[0:15])
    stored = zarr.array(labels, chunks=(4, 12, 13))
    monkeypatch.setattr(volume, "SLAB_VOXELS", 2 * 12 * 13)
    thick = thick_parts_of(LabelVolume.of(stored, CUBE))
    slabs = [slab.phases[slab.first :] for slab in thick.slabs(overlap=1)]
    assert len(slabs) > 3
    np.testing.assert_array_equal(np.concatenate(slabs), whole)
