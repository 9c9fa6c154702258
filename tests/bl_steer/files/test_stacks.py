from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image

from bl_steer.files.stacks import open_stack, open_zarr
from bl_steer.files.volumes import write_volume

STACK = np.random.default_rng(0).integers(0, 200, (3, 5, 6)).astype(np.uint8)


def save_slices(folder: Path, names: list[str], stack: NDArray[np.uint8] = STACK) -> Path:
    folder.mkdir()
    for name, plane in zip(names, stack, strict=True):
        if name.endswith(".tif"):
            tifffile.imwrite(folder / name, plane)
        else:
            Image.fromarray(plane).save(folder / name)
    return folder


def save_group(path: Path) -> None:
    group = zarr.open_group(str(path), mode="w")
    group.create_array("labels", data=STACK)
    group.create_array("table", data=STACK[0])


FORMS: dict[str, Callable[[Path], object]] = {
    "stack.tif": lambda path: tifffile.imwrite(path, STACK, photometric="minisblack"),
    "no_suffix": lambda path: tifffile.imwrite(path, STACK, photometric="minisblack"),
    "stack.npy": lambda path: np.save(path, STACK),
    "stack.npz": lambda path: np.savez(path, labels=STACK, table=STACK[0]),
    "stack.zarr": lambda path: zarr.save_array(str(path), STACK),
    "group.zarr": save_group,
    "tiffs": lambda path: save_slices(path, ["s1.tif", "s2.tif", "s10.tif"]),
    "pngs": lambda path: save_slices(path, ["s1.png", "s2.png", "s10.png"]),
    "grey_in_colour": lambda path: save_slices(
        path, ["s1.png", "s2.png", "s3.png"], np.repeat(STACK[..., None], 3, axis=3)
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_stacks_come_in_many_forms(name: str, tmp_path: Path) -> None:
    FORMS[name](tmp_path / name)
    np.testing.assert_array_equal(open_stack(tmp_path / name).array[:], STACK)


def test_an_array_in_a_group_is_had_by_its_path(tmp_path: Path) -> None:
    save_group(tmp_path / "group.zarr")
    np.testing.assert_array_equal(open_zarr(tmp_path / "group.zarr" / "labels")[:], STACK)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["s1", "s2", "s4"], "lack the number 3:"),
        (["s007", "s008", "s021"], "lack the numbers 9 … 20:"),
        (["s10", "s20", "s40"], "lack the number 30:"),
        (["s10", "s20", "s30"], ""),
        (["2026_s1", "2026_s2", "2026_s3"], ""),
    ],
)
def test_gaps_in_the_numbers_are_told(names: list[str], missing: str, tmp_path: Path) -> None:
    folder = save_slices(tmp_path / "slices", [f"{name}.tif" for name in names])
    notes = open_stack(folder).gaps
    assert len(notes) == bool(missing)
    assert all(missing in note and "put back what was lost" in note for note in notes)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["top", "middle", "bottom"], "have no numbers: they are taken in alphabetical order, b"),
        (["a1", "b1", "b"], "are not numbered alike: they are taken in alphabetical order, a1.tif"),
    ],
)
def test_an_order_without_numbers_is_told(names: list[str], told: str, tmp_path: Path) -> None:
    folder = save_slices(tmp_path / "slices", [f"{name}.tif" for name in names])
    (note,) = open_stack(folder).notes
    assert told in note


def test_the_voxel_of_a_super_resolved_volume_is_known(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "volume", STACK, (12.5, 10, 10))
    assert open_stack(path).known["voxel_size_nm"] == [12.5, 10, 10]
    told = {"axes": "ZYX", "voxel_nm": "12.5,10,10"}  # as it was written at first
    tifffile.imwrite(path, STACK, photometric="minisblack", metadata=told)
    assert open_stack(path).known["voxel_size_nm"] == [12.5, 10, 10]
    tifffile.imwrite(path, STACK, photometric="minisblack", metadata={"voxel_nm": "large"})
    assert open_stack(path).known == {}


def test_figures_beside_slices_are_left_out_and_told(tmp_path: Path) -> None:
    folder = save_slices(tmp_path / "slices", ["s1.tif", "s2.tif", "figure.png"])
    (folder / "._s0.tif").write_bytes(b"no image")
    stored = open_stack(folder)
    assert stored.array.shape == (2, 5, 6)
    assert "its .tif files; 1 other images, such as figure.png, are left out" in stored.notes[0]


def save_mixed_pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        for plane in (STACK[0], STACK[1], STACK[2].astype(np.uint16)):
            file.write(plane, contiguous=False)


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("how", ["contiguous", "compressed", "paged", "slices"])
def test_a_truncated_tiff_is_refused_by_its_name(how: str, share: float, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (5, 40, 50), dtype=np.uint8)
    path = place = tmp_path / "cut.tif"
    if how == "slices":
        place = save_slices(tmp_path / "slices", ["s1.tif", "s2.tif"], stack[:2])
        path = place / "s2.tif"
    elif how == "paged":
        with tifffile.TiffWriter(path) as file:
            for plane in stack:
                file.write(plane, contiguous=False)
    else:
        tifffile.imwrite(path, stack, compression="zlib" if how == "compressed" else None)
    cut(path, share)
    with pytest.raises(ValueError, match=f"whole.*{path.name}|{path.name} must be a whole"):
        open_stack(place)


NO_STACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "objects.npy": (
        lambda path: np.save(path, np.array([[[{}]]]), allow_pickle=True),
        r"whole and readable, got '.*objects.npy' \(Python objects, not numbers\); save it anew",
    ),
    "objects.npz": (
        lambda path: np.savez(path, np.array([[[{}]]])),
        r"objects.npz must hold plain arrays without pickled objects, got object; save each",
    ),
    "nothing.tif": (lambda path: path.write_bytes(b""), "nothing.tif', an empty file; export"),
    "words.npy": (lambda path: path.write_text("words"), "words.npy', which is of another kind"),
    "empty.npy": (
        lambda path: np.save(path, STACK[:0]),
        r"must hold slices, got an empty one of shape \(0, 5, 6\) in .*empty.npy",
    ),
    "flat.npy": (lambda path: np.save(path, STACK[0]), r"axes z, y, x, got shape \(5, 6\) in "),
    "two.npz": (
        lambda path: np.savez(path, a=STACK, b=STACK),
        r"two.npz must hold one array of three axes, or slices, got 'a', 'b'; ",
    ),
    "broken.zarr": (lambda path: path.mkdir(), "a Zarr array, got .*broken.zarr, where none can"),
    "colours.tif": (
        lambda path: tifffile.imwrite(path, STACK[..., :3], photometric="rgb"),
        "colours.tif must hold one value a pixel, got colours",
    ),
    "colours": (
        lambda path: save_slices(path, ["s.png"], np.dstack(STACK)[None]),
        "s.png must hold one value a pixel, got colours",
    ),
    "bare": (
        lambda path: path.mkdir(),
        r"a folder must hold slices \(TIFF, PNG, BMP, JPEG or npy\), got none in .*bare",
    ),
    "uneven": (
        lambda path: tifffile.imwrite(
            save_slices(path, ["s1.tif", "s2.tif"], STACK[:2]) / "s3.tif", STACK[0, :4]
        ),
        r"of one shape, got \(4, 6\) in s3.tif and \(5, 6\) in s1.tif",
    ),
    "odd_name": (
        lambda path: save_slices(path, ["s0.png", "s1.png", "last.png"]),
        "got last.png beside 2 such as s0.png in .*odd_name; rename them, or take out",
    ),
    "two_types": (
        lambda path: Image.fromarray(STACK[0].astype(np.uint16)).save(
            save_slices(path, ["s1.png", "s2.png"], STACK[:2]) / "s3.png"
        ),
        "of one type, got uint16 in s3.png and uint8 in s1.png; save them alike",
    ),
    "two_types.tif": (
        save_mixed_pages,
        "two_types.tif must hold pages of one type, got uint16 in page 2 and uint8 in page 0",
    ),
    "missing": (lambda path: None, "got '.*missing', which does not exist; check the path"),
}


@pytest.mark.parametrize("name", NO_STACKS)
def test_what_is_no_stack_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    save, message = NO_STACKS[name]
    save(tmp_path / name)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as told:
        open_stack(tmp_path / name)
    assert not any(word in str(told.value) for word in ("allow_pickle", "mmap", "zarr.errors"))


def test_labels_that_were_saved_as_real_numbers_are_whole(tmp_path: Path) -> None:
    labels = np.arange(60).reshape(3, 4, 5) % 3
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(np.float32), photometric="minisblack")
    stored = open_stack(tmp_path / "a.tif", "labels").array
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, labels)
    assert open_stack(tmp_path / "a.tif").array.dtype == np.float32, "grey levels are as stored"
    for odd in (0.5, np.nan, -1.0, 300.0):
        values = labels.astype(np.float32)
        values[0, 0, 0] = odd
        tifffile.imwrite(tmp_path / "b.tif", values, photometric="minisblack")
        assert open_stack(tmp_path / "b.tif", "labels").array.dtype == np.float32


def test_datasets_of_hdf5_are_chosen_by_the_path(tmp_path: Path) -> None:
    path, labels = tmp_path / "two.h5", np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    with h5py.File(path, "w") as file:
        file["DataContainers/ImageDataContainer/CellData/FeatureIds"] = labels[..., None]
        file["DataContainers/ImageDataContainer/SPACING"] = [1.0, 1.0, 1.0]
    assert np.array_equal(open_stack(path, "labels").array, labels)
    with h5py.File(path, "a") as file:
        file["other"] = labels + 1
    name = "DataContainers/ImageDataContainer/CellData/FeatureIds"
    with pytest.raises(ValueError, match=f"got {name}, other; for a volume, .*FILE.h5/NAME"):
        open_stack(path, "labels")
    assert np.array_equal(open_stack(path / "other").array, labels + 1)
    with pytest.raises(ValueError, match=r"must name one of the datasets .*, other; check it"):
        open_stack(path / "another")
