from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bl_steer.files import read_micrographs
from bl_steer.server.jobs.process import Report, Task, carry_out


def segmented(folder: Path, names: list[str]) -> Report:
    """Segment noise in files of these names, each in a folder of its own as for a job."""
    rng = np.random.default_rng(1)
    paths = []
    for number, name in enumerate(names):
        path = folder / "in" / f"{number:04d}" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (48, 64), dtype=np.uint8)).save(path)
        paths.append(str(path))
    (folder / "out").mkdir()
    params = {"pixel_size_nm": 10.0, "views": 1}
    task = Task(analysis="segment", paths=paths, params=params, out=str(folder / "out"))
    return carry_out(task, io.StringIO())


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["試料.png", "b.png"], ["field,file", "field_000,試料.png", "field_001,b.png"]),
        (["a.png"], []),
    ],
)
def test_a_result_of_several_files_says_which_field_is_of_which_file(
    tmp_path: Path, names: list[str], rows: list[str]
) -> None:
    report = segmented(tmp_path, names)
    assert report.ok, report.message
    listed = [one.name for one in report.outputs if one.name == "fields.csv"]
    read = [(tmp_path / "out" / one).read_text("utf-8-sig").split() for one in listed]
    assert read == ([rows] if rows else [])


def test_label_maps_and_uncertainty_keep_the_pixel_size(tmp_path: Path) -> None:
    assert segmented(tmp_path, ["a.png"]).ok
    for name in ("labels", "uncertainty"):
        read = read_micrographs(tmp_path / "out" / f"field_000_{name}.tif")
        assert ([one.shape for one in read.fields], read.pixel_size_nm) == ([(48, 64)], 10.0)


@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_a_failure_names_files_as_the_user_does(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "in" / "0000" / f"断面.{suffix}"
    path.parent.mkdir(parents=True)
    picture = np.zeros((4, 5), np.uint8)
    if suffix == "npy":
        np.save(path, picture)
    else:
        Image.fromarray(picture).save(path)
    (tmp_path / "out").mkdir()
    params = {"pitch_nm": 80.0, "pixel_size_nm": 10.0}
    task = Task(analysis="superres", paths=[str(path)], params=params, out=str(tmp_path / "out"))
    report = carry_out(task, io.StringIO())
    assert report.cause == "input"
    assert f"got shape (4, 5) in {path.name}" in report.message
