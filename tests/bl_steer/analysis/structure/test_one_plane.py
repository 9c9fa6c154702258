"""Boxes of one plane, or of fewer planes than a step is long: what occurs stands for the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bl_steer.analysis.structure import (
    LabelVolume,
    contact_areas,
    measure_structure,
    triple_line_lengths,
)
from bl_steer.analysis.structure.directions import Directions
from bl_steer.cli import main
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.protocols import Inputs
from bl_steer.server.jobs.inputs import read_inputs
from simulators.electron.phantoms import Labels, grains

VOXEL = (4.0, 1.0, 1.5)
EDGES = (30, 120, 80)


@pytest.fixture(scope="module")
def isotropic() -> Labels:
    """Grains that look alike in all directions in nm, in voxels that are no cubes."""
    fine = grains((120, 120, 120), seed=2, width=6.0)
    z, y, x = (np.arange(n) * edge for n, edge in zip(EDGES, VOXEL, strict=True))
    return fine[np.ix_(z.astype(int), y.astype(int), x.astype(int))]


def per_volume(labels: Labels, n_directions: int = 13, *, fills_box: bool = True) -> Any:
    volume = LabelVolume.of(np.ascontiguousarray(labels), VOXEL, {0: "a", 1: "b", 2: "c"})
    options: dict[str, Any] = {"fills_box": fills_box, "blocks": 1}
    areas = contact_areas(volume, n_directions=n_directions, **options)
    lines = triple_line_lengths(volume, **options)
    whole = volume.n_voxels * volume.voxel_nm3
    return areas.surface_nm2.sum() / whole, lines.length_nm[0] / whole


@pytest.mark.parametrize("n_directions", [13, 49])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_have_in_the_mean_the_areas_and_lines_of_their_volume(
    isotropic: Labels, axis: int, n_directions: int
) -> None:
    planes = [np.take(isotropic, [k], axis) for k in range(0, isotropic.shape[axis], 5)]
    found = np.mean([per_volume(plane, n_directions) for plane in planes], axis=0)
    np.testing.assert_allclose(found, per_volume(isotropic), rtol=0.06)


def test_a_plane_without_edge_correction_is_short_of_its_edges_alone(isotropic: Labels) -> None:
    with_edges, without = (
        np.array(per_volume(isotropic[:1], fills_box=fills)) for fills in (True, False)
    )
    assert (without < with_edges).all()
    np.testing.assert_allclose(without, with_edges, rtol=0.1)


def test_two_planes_that_steps_of_two_do_not_fit_into_measure_as_steps_of_one(
    isotropic: Labels,
) -> None:
    pairs = [isotropic[k : k + 2] for k in range(0, 28, 3)]
    short, long = (np.mean([per_volume(p, n)[0] for p in pairs]) for n in (13, 49))
    assert long == pytest.approx(short, rel=0.06)
    assert long == pytest.approx(per_volume(isotropic)[0], rel=0.06)


def test_directions_share_what_they_stand_for() -> None:
    for shape in ((1, 9, 9), (9, 1, 9), (9, 9, 1), (1, 1, 9), (2, 9, 9), (9, 9, 9)):
        found = Directions.of(VOXEL, 49, shape)
        assert (np.abs(found.offsets) < shape).all()
        assert found.weights.sum() == pytest.approx(1.0)
        assert (found.weights > 0).all()
    in_plane = Directions.of((5.0, 1.0, 1.0), 13, (1, 9, 9))
    np.testing.assert_allclose(in_plane.weights, 0.25)


def test_a_row_of_voxels_has_crossings_and_no_triple_line() -> None:
    labels = np.arange(24, dtype=np.uint8)[None, None] // 4 % 3
    area, length = per_volume(labels)
    assert area == pytest.approx(2 * 2 * 5 / 23 / VOXEL[2])  # S_V = 2 P_L, of two phases each
    assert np.isnan(length)


def test_the_analysis_of_a_plane_says_what_it_supposes_and_bounds_nothing_it_cannot(
    isotropic: Labels,
) -> None:
    analysis = find_analysis("structure")
    params = make_params(analysis, {"voxel_size_nm": VOXEL})
    result = analysis.run(Inputs({"labels": isotropic[:1]}), params)
    (sentence,) = (line for line in result.warnings if "one voxel thick along z" in line)
    assert "an isotropic structure" in sentence
    assert not any("along z, under" in line for line in result.warnings)
    assert np.isnan(result.tables["areas"]["if_flat_largest_um2"]).all()
    assert np.isnan(result.tables["triple_lines"]["if_straight_largest_um"]).all()
    assert np.isnan(result.tables["connectivity"]["percolating_z"]).all()
    assert np.isfinite(result.tables["areas"]["area_low_um2"]).all()
    volume = analysis.run(Inputs({"labels": isotropic}), params)
    assert not any("one voxel thick along" in line for line in volume.warnings)


@pytest.mark.parametrize("shape", [(1, 40, 40), (1, 1, 60)])
def test_the_command_prints_a_plane_and_a_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: tuple[int, int, int]
) -> None:
    path, said_in = tmp_path / "labels.npy", tmp_path / "said.json"
    np.save(path, grains((1, 40, 60), seed=1)[:, : shape[1], : shape[2]])
    assert main(["structure", str(path), "--voxel-nm", "4,1,1", "--json", str(said_in)]) == 0
    assert "reaches through along" in capsys.readouterr().out
    said = json.loads(said_in.read_text())
    assert said["connectivity"]["percolating_z"][0] is None


@pytest.mark.parametrize("name", ["m.png", "m.bmp", "m.tif", "m.npy", "of one"])
def test_one_plane_of_a_file_is_measured_by_every_door(name: str, tmp_path: Path) -> None:
    plane = grains((3, 40, 48))[1]
    path = tmp_path / name
    if name == "of one":
        path.mkdir()
        Image.fromarray(plane).save(path / "m_0.png")
    elif path.suffix == ".npy":
        np.save(path, plane)
    else:
        Image.fromarray(plane).save(path)
    params = {"voxel_size_nm": (10.0, 10.0, 10.0)}
    analysis = find_analysis("structure")
    told = make_params(analysis, params)
    direct = analysis.run(Inputs({"labels": plane[None]}), told)
    assert measure_structure(path, params=params, out=None)["digest"] == digest_of(direct)
    command = ["structure", str(path), "--voxel-nm", "10,10,10", "--json", str(tmp_path / "r.json")]
    assert main(command) == 0
    assert json.loads((tmp_path / "r.json").read_text())["digest"] == digest_of(direct)
    if path.is_file():
        served = analysis.run(read_inputs("structure", [path], tmp_path), told)
        assert digest_of(served) == digest_of(direct)


def test_an_array_of_two_axes_is_one_plane(isotropic: Labels) -> None:
    plane = np.ascontiguousarray(isotropic[3])
    one = LabelVolume.of(plane, VOXEL)
    assert one.shape == (1, *plane.shape)
    analysis = find_analysis("structure")
    params = make_params(analysis, {"voxel_size_nm": VOXEL, "n_bootstrap": 100})
    digests = {
        digest_of(analysis.run(Inputs({"labels": array}, {}, {}), params))
        for array in (plane, plane[None])
    }
    assert len(digests) == 1
