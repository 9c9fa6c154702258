"""Slices that are missing leave a plane in the files, so that the voxel written there holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.files import open_stack
from bl_steer.files.volumes import planes_of, write_result_volume
from bl_steer.protocols import AnalysisResult


@pytest.mark.parametrize(
    ("depths", "planes"),
    [
        ([0.0, 100.0, 200.0], None),
        ([40.0, 146.0, 233.0, 337.0], None),
        ([0.0, 100.0, 300.0, 400.0, 700.0], [0, 1, 3, 4, 7]),
        ([5.0, 103.0, 309.0, 402.0], [0, 1, 3, 4]),
        ([7.0], None),
    ],
)
def test_a_slice_lies_at_the_plane_of_its_depth(
    depths: list[float], planes: list[int] | None
) -> None:
    assert planes_of(np.array(depths), 100.0) == planes


@pytest.mark.parametrize("form", ["imagej", "ome-tiff", "nrrd", "ome-zarr"])
def test_a_file_with_gaps_has_a_plane_for_each_depth(form: str, tmp_path: Path) -> None:
    labels = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 4, 5), np.uint8)
    voxels = dict.fromkeys(("labels", "slices"), (100.0, 10.0, 10.0))
    planes = {name: [0, 2, 3] for name in ("labels", "slices")}
    result = AnalysisResult(
        tables={},
        arrays={"labels": labels, "slices": labels + np.uint8(40)},
        provenance={"voxels_nm": voxels, "planes": planes},
    )
    for name, right in (("labels", [0, 255, 1, 2]), ("slices", [40, 0, 41, 42])):
        stored = open_stack(write_result_volume(tmp_path / name, result, name, form))
        assert np.asarray(stored.array)[:, 0, 0].tolist() == right
        assert stored.known["pitch_nm"] == pytest.approx(100.0)
