from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import LocalCluster
from numpy.typing import NDArray

from bl_steer.analysis.segmentation import SegmentationModel, segment, segment_stack


@pytest.fixture
def folder(model: SegmentationModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path


@pytest.fixture
def stack(folder: Path, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    planes = np.stack([image, image[::-1], image[:, ::-1]])
    zarr.save_array(str(folder / "stack.zarr"), planes)
    return planes


def test_each_plane_is_segmented_as_it_would_be_alone(
    model: SegmentationModel, folder: Path, stack: NDArray[np.uint8]
) -> None:
    seen = []
    fractions = segment_stack(
        str(folder / "model"),
        folder / "stack.zarr",
        folder / "out.zarr",
        progress=lambda done, total: seen.append((done, total)),
    )
    labels = zarr.open_group(str(folder / "out.zarr"), mode="r")["labels"]
    for plane, image in enumerate(stack):
        expected = segment(model, image).labels
        np.testing.assert_array_equal(labels[plane], expected)
        shares = np.bincount(expected.ravel(), minlength=3) / expected.size
        np.testing.assert_allclose(fractions[plane], shares)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_finished_planes_are_not_done_again(folder: Path, stack: NDArray[np.uint8]) -> None:
    class Stop(Exception):
        pass

    def stop_after_two(done: int, total: int) -> None:
        if done == 2:
            raise Stop

    arguments = str(folder / "model"), folder / "stack.zarr", folder / "out.zarr"
    with pytest.raises(Stop):
        segment_stack(*arguments, progress=stop_after_two)
    seen = []
    segment_stack(*arguments, progress=lambda done, total: seen.append(done))
    assert seen == [3]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_dask_cluster_gives_the_same(folder: Path, stack: NDArray[np.uint8]) -> None:
    arguments = str(folder / "model"), folder / "stack.zarr"
    alone = segment_stack(*arguments, folder / "alone.zarr")
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        spread = segment_stack(
            *arguments, folder / "spread.zarr", scheduler=cluster.scheduler_address
        )
    np.testing.assert_array_equal(spread, alone)
    results = [
        zarr.open_group(str(folder / f"{name}.zarr"), mode="r")["labels"][:]
        for name in ("alone", "spread")
    ]
    np.testing.assert_array_equal(*results)


def test_the_target_of_another_stack_is_refused(folder: Path, stack: NDArray[np.uint8]) -> None:
    zarr.save_array(str(folder / "other.zarr"), stack[:2])
    model = str(folder / "model")
    segment_stack(model, folder / "other.zarr", folder / "out.zarr")
    with pytest.raises(ValueError, match=r"got labels of shape \(2, 150, 203\)"):
        segment_stack(model, folder / "stack.zarr", folder / "out.zarr")


def test_what_is_no_stack_is_refused(folder: Path, stack: NDArray[np.uint8]) -> None:
    zarr.save_array(str(folder / "flat.zarr"), stack[0])
    with pytest.raises(ValueError, match=r"axes z, y, x, got shape \(150, 203\)"):
        segment_stack(str(folder / "model"), folder / "flat.zarr", folder / "out.zarr")
    with pytest.raises(ValueError, match="must be a Zarr array, got"):
        segment_stack(str(folder / "model"), folder / "missing.zarr", folder / "out.zarr")
