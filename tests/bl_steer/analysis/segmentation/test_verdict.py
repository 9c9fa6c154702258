"""Planes of a Zarr and images in files are judged alike, and each is looked at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from bl_steer.analysis.segmentation import FIBSEM_PHASES, from_files, from_zarr
from bl_steer.analysis.segmentation.stacks import StoredPlanes
from bl_steer.analysis.segmentation.training import LabelledField, TrainingSet
from bl_steer.analysis.segmentation.training.card import train_model
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from simulators.electron import field

SHAPE = 128, 160


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    def pair(seed: int) -> LabelledField:
        one = field("grains", seed, shape=SHAPE)
        return LabelledField(one.image, one.labels.astype(np.uint8), str(seed))

    data = TrainingSet(FIBSEM_PHASES, [pair(0), pair(1)], [pair(2), pair(3)], [])
    model = train_model(data, TrainingSettings(network="forest", widths=(8, 100)))
    return str(model.save(tmp_path_factory.mktemp("model") / "forest"))


def spoilt() -> NDArray[Any]:
    """Return planes of which each but the first two has a fault of its own."""
    planes: list[Any] = [field("grains", seed, shape=SHAPE).image for seed in range(10, 18)]
    planes[2] = planes[1].copy()
    planes[3][:] = 7
    planes[4] = 255 - planes[4]
    planes[5][-24:] = 0
    planes[5][-16:-8, 8:120:3] = 255
    planes[6] = np.clip(3.0 * planes[6], 0, 255).astype(np.uint8)
    planes[7] = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    planes[7][:, -9:] = 0
    return np.stack(planes)


def test_zarr_and_files_have_the_same_verdict_and_each_plane_is_looked_at_once(
    trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes: Any = spoilt()
    zarr.save_array(str(tmp_path / "stack.zarr"), planes)
    tifffile.imwrite(tmp_path / "stack.tif", planes, photometric="minisblack")
    reads: Counter[str] = Counter()
    read = StoredPlanes.__getitem__

    def counted(self: StoredPlanes, name: str) -> NDArray[Any]:
        array = read(self, name)
        # Label maps and uncertainty are stored planes, too.
        own = name.removeprefix("field_")
        reads[name] += own.isdigit() and np.array_equal(array, planes[int(own)])
        return array

    monkeypatch.setattr(StoredPlanes, "__getitem__", counted)
    stored = from_zarr.run_stack(
        tmp_path / "stack.zarr",
        params={"model": trained},
        metadata={},
        scheduler=None,
        out=tmp_path / "of_zarr",
    )
    # Those that are compared with the training, a dozen at most, are read for that once more.
    assert {reads[f"field_{z:03d}"] for z in range(len(planes))} <= {1, 2}
    assert reads["field_003"] == 1
    of_files = from_files.run(
        [tmp_path / "stack.tif"], params={"model": trained}, metadata={}, out=tmp_path / "of_tiff"
    )
    told = [_as_pages(warning) for warning in stored["warnings"]]
    assert told == of_files["warnings"]
    assert stored["digest"] == of_files["digest"]
    causes = (
        "data bar",
        "0 alone in the last 9 of 160 columns",
        "largest grey level",
        "same image",
        "negative",
    )
    for cause in (*causes, "grey level 7"):
        assert any(cause in warning for warning in told), cause


def _as_pages(warning: str) -> str:
    for z in range(8):
        warning = warning.replace(f"plane {z} of stack.zarr", f"page {z + 1} of stack.tif")
        warning = warning.replace(f"stack.zarr: Plane {z}", f"stack.tif: Page {z + 1} of 8")
    return warning
