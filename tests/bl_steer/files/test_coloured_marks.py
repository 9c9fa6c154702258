"""Scale bars, arrows and text in colour on a grey image are named, and left out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.segmentation import inputs_from_files
from bl_steer.files import open_stack, read_micrographs
from bl_steer.files.images.coloured_marks import marked_pixels
from simulators.electron.micrographs import field

GREY = np.random.default_rng(0).integers(90, 160, (120, 160), dtype=np.uint8)
YELLOW, RED, BLUE = (255, 255, 0), (255, 0, 0), (0, 0, 255)


def marked(grey: NDArray[np.uint8], colour: tuple[int, ...]) -> NDArray[np.uint8]:
    """A scale bar with its length, and an arrow."""
    image = Image.fromarray(grey).convert("RGB")
    draw = ImageDraw.Draw(image)
    height, width = grey.shape
    draw.rectangle((10, height - 20, 10 + width // 3, height - 14), fill=colour)
    draw.text((20, height - 36), "1 um", fill=colour)
    draw.line((width - 60, 20, width - 30, 60), fill=colour, width=3)
    return np.array(image)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
@pytest.mark.parametrize("colour", [YELLOW, RED, BLUE])
def test_marks_are_named_and_hold_what_is_beside_them(
    colour: tuple[int, ...], name: str, tmp_path: Path
) -> None:
    image = marked(GREY, colour)
    options = {"quality": 90} if name.endswith("jpg") else {}
    Image.fromarray(image).save(tmp_path / name, **options)
    found = read_micrographs(tmp_path / name)
    (note,) = found.notes
    assert f"{name}: The image is grey but for" in note
    assert "as a scale bar, an arrow or text that was drawn over it has" in note
    is_mark = (image != GREY[..., None]).any(axis=2)
    (grey,) = found.fields
    assert grey[is_mark].min() >= 80
    assert grey[is_mark].max() <= 170
    if name != "a.jpg":
        far = np.ones_like(is_mark)
        far[[*range(16, 65), *range(80, 110)]] = False
        np.testing.assert_array_equal(grey[far], GREY[far])
        assert "of its pixels, within rows 19 to 106 and columns 10 to 131, which" in note
        told = float(note.split("but for ")[1].split("%")[0]) / 100
        assert told == pytest.approx(is_mark.mean(), rel=0.05)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_marks_of_any_type_are_left_out(dtype: Any, tmp_path: Path) -> None:
    image = marked(GREY, RED).astype(dtype) * dtype(100)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([image, image]), photometric="rgb")
    found = read_micrographs(tmp_path / "a.tif")
    assert len(found.notes) == 1
    assert all(grey.dtype == dtype and grey.max() < 16_000 for grey in found.fields)


def test_slices_with_marks_are_refused_by_them(tmp_path: Path) -> None:
    for number in (1, 2):
        Image.fromarray(marked(GREY, RED)).save(tmp_path / f"s{number}.png")
    with pytest.raises(ValueError, match=r"got colours in 3\.\d+% .* as a scale bar") as caught:
        open_stack(tmp_path)
    assert "give a micrograph without such marks" in str(caught.value)


def test_an_image_in_colours_is_no_grey_one_with_marks(tmp_path: Path) -> None:
    tinted = np.stack([GREY, GREY // 2, GREY // 3], axis=2)
    noise = np.random.default_rng(1).normal(0, 3, (*GREY.shape, 3))
    scanned = np.clip(GREY[..., None] + noise, 0, 255).astype(np.uint8)
    for image in (tinted, scanned):
        Image.fromarray(image).save(tmp_path / "a.png")
        found = read_micrographs(tmp_path / "a.png")
        assert found.notes == ("a.png: The image has colours: its luminance is used.",)
        luminance = np.rint(image @ np.array([0.299, 0.587, 0.114]))
        assert np.abs(found.fields[0] - luminance).max() <= 1


def coloured_specimens() -> dict[str, NDArray[Any]]:
    """Images of which some 10 % have a colour that says something of the specimen."""
    rng = np.random.default_rng(2)
    texture = gaussian_filter(rng.standard_normal((240, 320)), 6.0)
    texture /= texture.std()
    there = texture > 1.2
    grey = np.repeat(np.clip(120 + 40 * texture, 0, 255)[..., None], 3, axis=2)
    element = np.zeros(grey.shape)
    element[there, 0] = rng.integers(80, 255, there.sum())
    orientations = np.zeros(grey.shape)
    orientations[there] = rng.integers(0, 255, (there.sum(), 3))
    golden, phase = grey.copy(), grey.copy()
    golden[there] *= (1.0, 0.9, 0.75)
    phase[there, 1] += 90
    dark = np.where(there[..., None], 240.0, 20.0 + 0.1 * grey) * (0.94, 0.94, 1.0)
    images = {"element": element, "orientations": orientations, "golden": golden, "phase": phase}
    images["tinted"] = dark
    return {name: np.clip(image, 0, 255).astype(np.uint8) for name, image in images.items()}


@pytest.mark.parametrize("name", ["element", "orientations", "golden", "phase", "tinted"])
def test_colours_of_a_specimen_are_no_marks(name: str, tmp_path: Path) -> None:
    image = coloured_specimens()[name]
    Image.fromarray(image).save(tmp_path / "a.png")
    found = read_micrographs(tmp_path / "a.png")
    assert found.notes[0] == "a.png: The image has colours: its luminance is used."
    luminance = np.rint(image @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(found.fields[0] - luminance).max() <= 1


@pytest.mark.parametrize("colour", [YELLOW, BLUE])
def test_marks_are_no_exchanged_bright_and_dark(colour: tuple[int, ...], tmp_path: Path) -> None:
    micrograph, truth, _ = field("network", 631, shape=(160, 160))
    analysis, results = find_analysis("segment"), []
    for image in (np.stack([micrograph] * 3, axis=2), marked(micrograph, colour)):
        Image.fromarray(image).save(tmp_path / "a.png")
        inputs = inputs_from_files([tmp_path / "a.png"], {"pixel_size_nm": 10.0})
        results.append(analysis.run(inputs, make_params(analysis)))
    clean, result = results
    assert [warning for warning in result.warnings if warning not in clean.warnings] == [
        warning for warning in result.warnings if "as a scale bar, an arrow or text" in warning
    ]
    wrong = [float((r.arrays["field_000_labels"] != truth).mean()) for r in results]
    assert wrong[1] < wrong[0] + 0.02


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_in_floats_without_a_number_or_with_few_are_looked_at(value: float) -> None:
    nothing = np.full((40, 40, 3), value, np.float32)
    assert marked_pixels(nothing) is None  # warnings are errors
    grey = np.random.default_rng(0).random((64, 64, 1)).repeat(3, axis=2).astype(np.float32)
    grey[3:5, 3:30] = [1.0, 0.0, 0.0]
    grey[32:] = value
    found = marked_pixels(grey)
    assert found is not None
    assert int(found.sum()) == 54
