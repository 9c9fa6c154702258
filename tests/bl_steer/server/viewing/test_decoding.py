"""Files of odd shapes and types become planes that a browser can show, or are refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.server.viewing import decoding
from bl_steer.server.viewing.decoding import Request, decode
from bl_steer.server.viewing.planes import Info

RNG = np.random.default_rng(0)


def decoded(path: Path, **options: Any) -> tuple[Info, np.ndarray]:
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    info = Info(**decode(Request(str(path), str(out), **options)))
    values = np.fromfile(out / decoding.VALUES, np.dtype(info.dtype))
    assert values.nbytes == info.bytes
    return info, values


@pytest.mark.parametrize(
    "array",
    [
        RNG.integers(0, 60_000, (5, 7)).astype(np.uint16),
        RNG.integers(0, 60_000, (4, 5, 7)).astype(">u2"),
        RNG.integers(0, 2**31 - 1, (3, 1, 900)).astype(np.int32),
        np.array([[1.0, np.nan, np.inf]], np.float32),
        np.zeros((2, 64, 48), np.float32),
        RNG.integers(0, 2**40, (5, 6)),
        RNG.normal(size=(40, 30)),
        RNG.random((6, 8)).astype(np.float16),
        RNG.random((6, 8)) > 0.5,
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_an_array_of_any_plain_type_keeps_its_values(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    info, values = decoded(tmp_path / "a.npy")
    assert np.isfinite([info.low, info.high]).all()
    expected = array if array.dtype != bool else array.astype(np.uint8) * info.high
    np.testing.assert_allclose(values, expected.ravel().astype(np.float32), rtol=1e-6)


def test_pages_of_unlike_sizes_stay_apart(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for shape in ((40, 50), (30, 60)):
            file.write(RNG.integers(0, 255, shape).astype(np.uint8), photometric="minisblack")
    info, _ = decoded(tmp_path / "a.tif")
    assert info.shapes == [(40, 50), (30, 60)]


def test_few_whole_numbers_are_labels_and_grey_values_are_none(tmp_path: Path) -> None:
    labels = RNG.integers(0, 3, (4, 20, 20)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "labels.tif", labels, photometric="minisblack")
    info, values = decoded(tmp_path / "labels.tif")
    assert info.levels == [0, 1, 2]
    assert np.array_equal(values, labels.ravel())
    Image.fromarray(RNG.integers(0, 255, (30, 30)).astype(np.uint8)).save(tmp_path / "a.png")
    assert decoded(tmp_path / "a.png")[0].levels is None


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("four_axes.npy", np.zeros((2, 3, 4, 5))),
        ("one_axis.npy", np.zeros(9)),
        ("complex.npy", np.zeros((4, 4), complex)),
        ("empty.npy", np.zeros((0, 4))),
        ("words.npy", np.array([["a"]])),
    ],
)
def test_what_is_no_image_is_refused_in_words(name: str, array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / name, array)
    with pytest.raises(ValueError, match=r"must|shape"):
        decoded(tmp_path / name)


def test_more_than_fits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_BYTES", 1000)
    np.save(tmp_path / "a.npy", np.zeros((40, 40), np.uint8))
    with pytest.raises(ValueError, match=r"at most 1000 B of values, got 2 KiB"):
        decoded(tmp_path / "a.npy")


def test_a_painted_mask_is_read_as_the_labels_of_its_phases(tmp_path: Path) -> None:
    grey = RNG.integers(60, 200, (24, 32)).astype(np.uint8)
    painted = np.repeat(grey[..., None], 3, axis=2)
    painted[4:12, 4:20] = (255, 0, 0)
    Image.fromarray(grey).save(tmp_path / "image.png")
    Image.fromarray(painted).save(tmp_path / "mask.png")
    phases = [
        {"name": "matrix", "paint": None, "show": [0, 0, 0]},
        {"name": "pore", "paint": [255, 0, 0], "show": [213, 94, 0]},
    ]
    path = tmp_path / "mask.png"
    info, values = decoded(path, phases=phases, image=str(tmp_path / "image.png"))
    assert info.levels == [0, 1]
    assert values.reshape(24, 32)[8, 8] == 1
    assert values.sum() == 8 * 16


PHASES = [
    {"name": "matrix", "paint": None, "show": [0, 0, 0]},
    {"name": "pore", "paint": [255, 0, 0], "show": [213, 94, 0]},
    {"name": "carbide", "paint": [0, 0, 255], "show": [0, 90, 114]},
]


@pytest.mark.parametrize("tool", ["ilastik", "palette", "labelme"])
def test_a_mask_is_shown_as_a_training_reads_it(tool: str, tmp_path: Path) -> None:
    """In one of ilastik 0 is what nobody has labelled; a palette's numbers are the labels."""
    Image.fromarray(RNG.integers(60, 200, (24, 32)).astype(np.uint8)).save(tmp_path / "file.png")
    numbers = np.zeros((24, 32), np.uint8)
    numbers[4:12, 4:20], numbers[16:, :] = 1, 2
    path = tmp_path / {"ilastik": "m.h5", "palette": "m.png", "labelme": "m.json"}[tool]
    if tool == "ilastik":
        with h5py.File(path, "w") as file:
            file["exported_data"] = numbers
        expected = np.where(numbers == 0, 255, numbers - 1)
    elif tool == "palette":
        image = Image.fromarray(numbers, "P")
        image.putpalette([9, 9, 9, 200, 200, 0, 0, 200, 200])
        image.save(path)
        expected = numbers
    else:
        corners = [[4, 4], [20, 4], [20, 12], [4, 12]]
        shape = {"label": "pore", "points": corners, "shape_type": "polygon"}
        about = {"version": "5.4.1", "imagePath": "the_users.png", "shapes": [shape]}
        path.write_text(json.dumps({**about, "imageHeight": 24, "imageWidth": 32}))
        expected = np.where(numbers == 1, 1, 0)
    options: dict[str, Any] = {"image": str(tmp_path / "file.png"), "called": "the_users.png"}
    _, values = decoded(path, phases=PHASES, **options)
    np.testing.assert_array_equal(values.reshape(24, 32), expected)


def test_labels_above_a_data_bar_lie_over_the_whole_image(tmp_path: Path) -> None:
    Image.fromarray(RNG.integers(0, 255, (40, 30)).astype(np.uint8)).save(tmp_path / "image.png")
    labels = RNG.integers(0, 3, (28, 30)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    image = str(tmp_path / "image.png")
    info, values = decoded(tmp_path / "labels.tif", result=True, image=image)
    assert info.shapes == [(40, 30)]
    np.testing.assert_array_equal(values.reshape(40, 30)[:28], labels)
    assert (values.reshape(40, 30)[28:] == 255).all()
