"""Probabilities where labels are expected are told as such; NaN and -1 are what nobody labelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from bl_steer.analysis.segmentation.masks import DecodedMask, decode_mask, read_mask
from bl_steer.analysis.segmentation.phases import FIBSEM_PHASES, UNLABELLED, Phase, Phases
from bl_steer.analysis.structure.from_files import measure_structure
from bl_steer.files import read_micrographs
from bl_steer.files.probabilities import are_probabilities

SHAPE = (40, 48)
RNG = np.random.default_rng(3)
LABELS = np.kron(RNG.integers(0, 3, (5, 6)), np.ones((8, 8))).astype(np.uint8)
SHARES = (0.7 * np.eye(3)[LABELS] + 0.3 * RNG.dirichlet([1, 1, 1], SHAPE)).astype(np.float32)
BYTES = np.rint(255 * SHARES).astype(np.uint8)

Write = Callable[[Path], Any]


def ilastik(numbers: NDArray[Any], axes: str) -> Write:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            exported = file.create_dataset("exported_data", data=numbers)
            exported.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in axes]})

    return write


def tiff(numbers: NDArray[Any], **options: Any) -> Write:
    return lambda path: tifffile.imwrite(path, numbers, **options)


def decoded(folder: Path, name: str, write: Write) -> DecodedMask:
    tifffile.imwrite(folder / "a.tif", np.full(SHAPE, 90, np.uint8))
    write(folder / name)
    return read_mask(folder / name, FIBSEM_PHASES, read_micrographs(folder / "a.tif"))


PROBABILITIES: dict[str, tuple[str, Write]] = {
    "pages": ("m.tif", tiff(np.moveaxis(SHARES, -1, 0), photometric="minisblack")),
    "ImageJ's channels": (
        "m.tif",
        tiff(np.moveaxis(SHARES, -1, 0)[None, None], imagej=True, metadata={"axes": "TZCYX"}),
    ),
    "samples": ("m.tif", tiff(SHARES, photometric="rgb")),
    "samples of 8 bits": ("m.png", lambda path: Image.fromarray(BYTES).save(path)),
    "one phase": ("m.tif", tiff(SHARES[..., 2])),
    "an array": ("m.npy", lambda path: np.save(path, SHARES)),
    "pages of an array": ("m.npy", lambda path: np.save(path, np.moveaxis(SHARES, -1, 0))),
    "an export of ilastik": ("m.h5", ilastik(SHARES, "yxc")),
}


@pytest.mark.parametrize("form", PROBABILITIES)
def test_probabilities_are_no_labels(form: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)as probabilities.*export the simple segmentation"):
        decoded(tmp_path, *PROBABILITIES[form])


def test_a_label_volume_of_probabilities_is_told_as_such(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(SHARES, -1, 0), photometric="minisblack")
    with pytest.raises(ValueError, match=r"fractions of 0 to 1 .*probabilities, export the simple"):
        measure_structure(tmp_path / "p.tif", params={"voxel_size_nm": (9, 9, 9)}, out=None)


def gappy(value: float, dtype: Any, first: int = 0) -> NDArray[Any]:
    numbers = LABELS.astype(dtype) + dtype(first)
    numbers[:10] = value
    return numbers


GAPS: dict[str, tuple[str, Write]] = {
    "NaN": ("m.tif", tiff(gappy(np.nan, np.float32))),
    "NaN beside labels from 1 on": ("m.npy", lambda p: np.save(p, gappy(np.nan, np.float64, 1))),
    "-1 of 16 bits": ("m.tif", tiff(gappy(-1, np.int16))),
    "-1 of 8 bits": ("m.tif", tiff(gappy(-1, np.int8))),
    "-1 as a real number": ("m.tif", tiff(gappy(-1, np.float32))),
    "-1 in HDF5": ("m.h5", ilastik(gappy(-1, np.int32)[..., None], "yxc")),
    "NaN in HDF5": ("m.h5", ilastik(gappy(np.nan, np.float32)[..., None], "yxc")),
}


@pytest.mark.parametrize("form", GAPS)
def test_what_no_phase_has_is_unlabelled_and_told(form: str, tmp_path: Path) -> None:
    mask = decoded(tmp_path, *GAPS[form])
    assert (mask.labels[:10] == UNLABELLED).all()
    np.testing.assert_array_equal(mask.labels[10:], LABELS[10:])
    what = form.partition(" ")[0]
    assert f"{what} in 25.00% of the pixels is read as unlabelled." in mask.report.notes


def test_paint_with_soft_edges_is_no_probability() -> None:
    y, x = np.mgrid[:64, :64]
    inside = np.clip(((x % 16 - 8) ** 2 + (y % 16 - 8) ** 2 - 25) / 12, 0, 1)
    red = np.rint(255 * inside).astype(np.uint8)
    mask = np.stack([red, np.zeros_like(red), 255 - red], -1)
    assert are_probabilities(mask, channels=True)
    phases = Phases((Phase("a", (255, 0, 0), (1, 1, 1)), Phase("b", (0, 0, 255), (2, 2, 2))))
    labels = decode_mask(mask, phases).labels
    sure = np.abs(inside - 0.5) > 0.3
    assert (labels == (inside < 0.5))[sure].mean() > 0.99
