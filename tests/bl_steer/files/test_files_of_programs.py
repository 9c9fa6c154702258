"""Every door reads the same pixels and the same voxel from a file, or says that it reads none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vtkmodules.vtkIOImage import vtkPNGWriter

from bl_steer.analysis import segmentation, slices, structure, superresolution
from bl_steer.analysis.segmentation import training
from bl_steer.protocols import Inputs
from bl_steer.server.jobs.inputs import read_inputs
from bl_steer.server.retraining.mask_check import look_at_mask
from tests.bl_steer.files import programs as p
from tests.bl_steer.files.written_files import FILES, GREY, LABELS, Written

DOORS: dict[str, Callable[[Path], Inputs]] = {
    "segment": lambda path: segmentation.inputs_from_files([path]),
    "structure": structure.inputs_from_file,
    "superres": lambda path: superresolution.inputs_from_files([path]),
    "reconstruct": lambda path: slices.inputs_from_files([path]),
}
AGREED = ("pitch_nm", "pixel_size_nm", "voxel_size_nm")


def pixels_of(door: str, inputs: Inputs) -> np.ndarray[Any, Any]:
    if door == "segment":
        return np.stack([np.asarray(field) for field in inputs.arrays.values()])
    return np.asarray(inputs.arrays["labels" if door == "structure" else "slices"][:])


def voxel_of(door: str, inputs: Inputs) -> tuple[Any, ...]:
    """Return what a door knows of pitch and pixel."""
    known = inputs.metadata
    if door == "segment":
        sizes, pitches = known["pixel_size_nm"], known.get("pitch_nm", [None])
        assert len(set(sizes)) == 1
        return pitches[0], sizes[0]
    if door == "structure":
        z, _, x = known.get("voxel_size_nm", (None, None, None))
        return z, x
    return known.get("pitch_nm"), known.get("pixel_size_nm")


def read(door: str, path: Path, served: Path | None) -> Inputs | str:
    """Return what a door reads, from a file or as the server does; the reason where it refuses."""
    try:
        if served is None:
            return DOORS[door](path)
        served.mkdir(exist_ok=True)
        files = sorted(path.iterdir()) if path.is_dir() and path.suffix != ".zarr" else [path]
        return read_inputs(door, files, served)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("name", FILES)
def test_every_door_reads_the_same_from_a_file(name: str, tmp_path: Path) -> None:
    written = FILES[name]
    path = written.write(tmp_path / "file")
    is_stack = written.truth.ndim == 3
    read_by = set()
    for door in DOORS:
        at_home, served = (read(door, path, place) for place in (None, tmp_path / door))
        if isinstance(at_home, str):
            assert isinstance(served, str), served
            assert "\n" not in at_home
            continue
        read_by.add(door)
        _check(written, door, at_home)
        if not isinstance(served, str):
            np.testing.assert_array_equal(pixels_of(door, served), pixels_of(door, at_home))
            assert voxel_of(door, served) == voxel_of(door, at_home)
            assert list(served.notes) == list(at_home.notes)
    assert read_by >= ({"structure", "superres", "reconstruct"} if is_stack else {"segment"})


def _check(written: Written, door: str, inputs: Inputs) -> None:
    """Hold what was read against what was written."""
    pixels, expected = pixels_of(door, inputs), written.truth
    if written.shown is not None and not np.array_equal(pixels, written.truth):
        expected = written.shown
        assert door != "structure", "labels are the numbers that are stored"
    elif written.shown is not None:
        assert any("palette" in note or "white is zero" in note for note in inputs.notes), door
    if expected.dtype == bool and pixels.max() > 1:
        expected = expected * np.uint8(255)
    np.testing.assert_array_equal(pixels.reshape(expected.shape), expected)
    z, _, x = written.voxel
    if door == "structure":
        z, x = (z, x) if None not in (z, x) else (None, None)
    known = voxel_of(door, inputs)
    told = f"{door}: {known}, stated {(z, x)}"
    assert known[1] == (None if x is None else pytest.approx(x, rel=1e-4)), told
    assert known[0] == (None if z is None else pytest.approx(z, rel=1e-4)), told


MASK = LABELS[0]
PAINT = np.array([[213, 94, 0], [240, 228, 66], [0, 90, 115]], np.uint8)
PHASES = segmentation.parse_phases("a:#d55e00,b:#f0e442,c:#005a73")
SPREAD = np.array([0, 127, 255], np.uint8)[MASK]
MASKS: dict[str, Callable[[Path], Path]] = {
    "tifffile": p.with_tifffile(MASK, compression="lzw"),
    "tifffile, imagej": p.with_tifffile(MASK.astype(np.uint16), imagej=True, metadata=None),
    "tifffile, ome": p.with_tifffile(MASK.astype(np.float32), ome=True),
    "tifffile, napari": p.with_tifffile(MASK.astype(np.int32) + 1),
    "tifffile, paint": p.with_tifffile(PAINT[MASK], photometric="rgb"),
    "Pillow": p.with_pillow(MASK, ".png"),
    "Pillow, palette": p.with_palette(MASK, ".png"),
    "Pillow, TIFF with palette": p.with_palette(MASK, ".tif"),
    "Pillow, spread": p.with_pillow(SPREAD, ".bmp"),
    "imageio": p.with_imageio(MASK, ".png"),
    "imageio, paint": p.with_imageio(PAINT[MASK], ".png"),
    "scikit-image": p.with_skimage(SPREAD, ".tif"),
    "matplotlib": p.with_matplotlib(MASK, ".png"),
    "VTK": p.with_vtk(MASK, vtkPNGWriter, ".png"),
    "NumPy": p.with_numpy(MASK.astype(np.int64)),
    "ilastik": p.with_h5py(MASK[..., None] + 1, "yxc"),
}


@pytest.mark.parametrize("name", MASKS)
def test_the_labels_of_a_mask_are_the_same_at_every_door(name: str, tmp_path: Path) -> None:
    image = p.with_pillow(GREY, ".png")(tmp_path / "a")
    mask = MASKS[name](tmp_path / "a_mask")
    (pair,) = training.find_pairs(tmp_path)
    _, decoded = training.load_pair(pair, PHASES)
    np.testing.assert_array_equal(decoded.labels, MASK)
    (labelled,) = training.TrainingSet.read(tmp_path, PHASES, shares=(1, 0, 0)).train
    np.testing.assert_array_equal(labelled.labels, MASK)
    finding = look_at_mask(image, mask, PHASES.to_list())
    assert (finding.problem, finding.notes) == ("none", decoded.report.notes)


def test_there_are_many_files_of_many_programs() -> None:
    programs = {written.program for written in FILES.values()}
    assert len(FILES) >= 60
    assert len(programs) >= 6
