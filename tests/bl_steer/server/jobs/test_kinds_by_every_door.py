"""What a form of the server names is read there as the command line reads it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
from PIL import Image

from bl_steer.analysis import segmentation, slices, structure, superresolution
from bl_steer.protocols import Inputs
from bl_steer.server.jobs.inputs import kinds, read_inputs
from bl_steer.server.uploads.file_types import inspect_file
from tests.bl_steer.files import programs as p

LABELS = np.random.default_rng(5).integers(0, 3, (4, 24, 26)).astype(np.uint8)
GREY = np.random.default_rng(6).integers(0, 255, (4, 24, 26)).astype(np.uint8)
DOORS: dict[str, Callable[[Path], Inputs]] = {
    "segment": lambda path: segmentation.inputs_from_files([path]),
    "structure": structure.inputs_from_file,
    "superres": lambda path: superresolution.inputs_from_files([path]),
    "reconstruct": lambda path: slices.inputs_from_files([path]),
}


def zipped(folder: Path, *, within: str = "") -> Path:
    """Pack a folder as its user does: what it holds, or the folder itself."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path(within) / file.relative_to(folder))
        archive.writestr(f"__MACOSX/{within}/._slice_0.tif", b"\0\5\26\7")
    return path


def written(suffix: str, numbers: Any, stem: Path) -> Path:
    """Return a file of this kind, of one plane where it holds no more."""
    plane = numbers[0]
    if suffix in (".h5", ".hdf5", ".dream3d"):
        path = p.with_h5py(numbers[..., None], "zyxc")(stem)
        return path.rename(path.with_suffix(suffix))
    if suffix in (".tif", ".tiff"):
        path = p.with_tifffile(numbers)(stem)
        return path.rename(path.with_suffix(suffix))
    if suffix == ".nrrd":
        nrrd.write(str(path := stem.with_suffix(suffix)), numbers, index_order="C")
        return path
    if suffix == ".npy":
        return p.with_numpy(numbers)(stem)
    if suffix == ".npz":
        return p.with_numpy(numbers, voxel_size_nm=[40.0, 10.0, 10.0])(stem)
    path = stem.with_suffix(suffix)
    Image.fromarray(plane).save(path)
    return path


def read(door: Callable[[Path], Inputs], path: Path) -> tuple[list[Any], list[str]] | str:
    try:
        inputs = door(path)
    except ValueError as error:
        return str(error)
    return [np.asarray(array[:]) for array in inputs.arrays.values()], list(inputs.notes)


NAMED = [
    (analysis, suffix)
    for analysis in DOORS
    for suffix in kinds()[analysis].suffixes
    if suffix != ".zip" and (analysis, suffix) != ("segment", ".npz")  # of a beamline alone
]


@pytest.mark.parametrize(("analysis", "suffix"), NAMED)
def test_every_kind_that_a_form_names_is_read_alike(
    analysis: str, suffix: str, tmp_path: Path
) -> None:
    path = written(suffix, LABELS if analysis == "structure" else GREY, tmp_path / "file")
    inspect_file(path, path.name)
    at_home = read(DOORS[analysis], path)
    served = read(lambda path: read_inputs(analysis, [path], tmp_path), path)
    if isinstance(at_home, str):  # a single image is no stack of slices
        assert suffix in (".png", ".bmp", ".jpg", ".jpeg"), at_home
        assert analysis in ("superres", "reconstruct")
        assert served == at_home
        return
    assert not isinstance(served, str), served
    for ours, theirs in zip(at_home[0], served[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert at_home[1] == served[1]


@pytest.mark.parametrize("within", ["", "my slices", "a/b"])
@pytest.mark.parametrize("analysis", ["structure", "superres", "reconstruct"])
@pytest.mark.parametrize("kind", ["slices", "Zarr", "OME-Zarr", "one file"])
def test_a_zip_is_read_as_what_was_packed(
    kind: str, analysis: str, within: str, tmp_path: Path
) -> None:
    folder = tmp_path / "packed"
    if kind == "slices":
        p.in_folder(p.with_tifffile, LABELS)(folder)
    elif kind == "one file":
        folder.mkdir()
        p.with_tifffile(LABELS)(folder / "stack")
    else:
        p.with_zarr(LABELS, 2 if kind == "Zarr" else 3)(folder).rename(folder)
    path = zipped(folder, within=within)
    inspect_file(path, path.name)
    served = read_inputs(analysis, [path], tmp_path / "scratch")
    array = served.arrays["labels" if analysis == "structure" else "slices"]
    np.testing.assert_array_equal(np.asarray(array[:]), LABELS)


def test_a_zip_of_other_things_is_refused_with_what_to_pack(tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "notes.txt").write_text("none")
    path = zipped(tmp_path / "packed")
    with pytest.raises(ValueError, match=r"slices as images, got packed\.zip with neither; pack"):
        read_inputs("structure", [path], tmp_path / "scratch")
