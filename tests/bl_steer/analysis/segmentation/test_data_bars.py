"""Data bars below micrographs: cut off where the file tells them, and named where they show."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bl_steer.analysis.data_bars import bar_below
from bl_steer.analysis.segmentation.checks import bar_warnings
from bl_steer.analysis.segmentation.phases import FIBSEM_PHASES
from bl_steer.analysis.segmentation.training import Pair, load_pair
from bl_steer.analysis.slices.preparation import _above_bar
from bl_steer.files.images import read_micrographs
from bl_steer.files.stacks import open_stack
from simulators.electron.micrographs import field

FIELD = field("grains", 921, shape=(256, 384))
HEADER = (
    "[User]\r\nDate=01/05/2026\r\n[System]\r\nSystemType=Helios\r\n[Scan]\r\n"
    "PixelWidth=1e-08\r\nPixelHeight=1e-08\r\n[Image]\r\nResolutionX=384\r\n"
    "ResolutionY=256\r\nDatabarHeight=32\r\n"
)
FEI: dict[str, Any] = {
    "metadata": None,
    "extratags": [(34682, "s", len(HEADER) + 1, HEADER, True)],
    "photometric": "minisblack",
}


def bar(paper: int = 0, ink: int = 255, height: int = 32) -> NDArray[np.uint8]:
    image = Image.new("L", (384, height), paper)
    text = "HV 2.00 kV  mag 20000x  WD 4.1 mm  HFW 3.84 um   |--1 um--|"
    ImageDraw.Draw(image).text((6, 8), text, fill=ink)
    drawn = np.array(image)
    drawn[0] = ink
    return drawn


def test_the_bar_that_the_header_tells_is_left_out_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "fei.tif"
    tifffile.imwrite(path, np.vstack([FIELD.image, bar()]), **FEI)
    read = read_micrographs(path)
    np.testing.assert_array_equal(read.fields[0], FIELD.image)
    assert any("data bar of 32 rows" in note for note in read.notes)
    tifffile.imwrite(path, FIELD.image, **FEI)  # a program that has cut it off keeps the header
    assert read_micrographs(path).fields[0].shape == FIELD.image.shape
    assert not any("data bar" in note for note in read_micrographs(path).notes)


def test_a_mask_may_be_painted_over_the_bar_too(tmp_path: Path) -> None:
    image, mask = tmp_path / "fei.tif", tmp_path / "fei_mask.png"
    tifffile.imwrite(image, np.vstack([FIELD.image, bar()]), **FEI)
    labels = FIELD.labels.astype(np.uint8)
    for rows in (labels, np.vstack([labels, np.zeros((32, 384), np.uint8)])):
        Image.fromarray(rows).save(mask)
        read, decoded = load_pair(Pair(image, mask, "a"), FIBSEM_PHASES)
        np.testing.assert_array_equal(decoded.labels, labels)
        assert read.fields[0].shape == labels.shape


def test_slices_lose_their_bars(tmp_path: Path) -> None:
    for number in range(3):
        page = np.vstack([FIELD.image, bar()])
        tifffile.imwrite(tmp_path / f"slice_{number}.tif", page, **FEI)
    stack = open_stack(tmp_path)
    np.testing.assert_array_equal(stack.array, np.stack([FIELD.image] * 3))
    assert sum("data bar" in note for note in stack.notes) == 1


@pytest.mark.parametrize("colours", [(0, 255), (255, 0), (40, 220)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_bar_that_no_header_tells_is_named(colours: tuple[int, int], dtype: Any) -> None:
    image = np.vstack([FIELD.image, bar(*colours)]).astype(dtype) * (np.iinfo(dtype).max // 255)
    told = list(bar_warnings({"field_000": bar_below(image), "field_001": bar_below(FIELD.image)}))
    assert len(told) == 1
    assert told[0].startswith("the last 32 rows of field_000 look like a data bar, and are counted")


@pytest.mark.parametrize("family", ["grains", "network"])
def test_micrographs_have_no_bar(family: str) -> None:
    fields = [field(family, seed, shape=(192, 256)) for seed in range(12)]
    assert not list(bar_warnings({f"field_{n}": bar_below(f.image) for n, f in enumerate(fields)}))


def marks(height: int = 48, inks: tuple[int, ...] = (255,)) -> NDArray[np.uint8]:
    """Return a bar with text (24 to 30 of 48 rows) and, beside it, a scale bar in some of its rows.

    Parameters
    ----------
    inks : of the text, column by column
    """
    drawn = np.zeros((height, 384), np.uint8)
    drawn[12:36, 10:222] = np.resize([*inks, 0] if len(inks) == 1 else inks, 212)
    drawn[18:26, 270:376] = 255
    return drawn


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_bar_is_found_whole_where_text_and_scale_bar_share_rows(dtype: Any) -> None:
    image = np.vstack([FIELD.image, marks()]).astype(dtype) * (np.iinfo(dtype).max // 255)
    assert bar_below(image) == (48, True)
    upside = image[::-1].max() - image
    assert bar_below(upside) == (48, True)


def test_a_bar_that_may_begin_higher_says_so_and_gives_no_number() -> None:
    image = np.vstack([FIELD.image, marks(inks=(255, 200, 150, 100))])
    rows, sharp = bar_below(image)
    assert rows < 48
    assert not sharp
    (told,) = bar_warnings({"a.tif": bar_below(FIELD.image), "b.tif": bar_below(image)})
    assert f"the last {rows} rows of b.tif" in told
    assert "may begin higher" in told
    assert f"bar_px={rows}" not in told
    found = _above_bar(np.stack([image] * 3), None, 0)
    assert found[0] == len(image) - rows
    assert "may begin higher" in found[1][0]


def test_void_or_charging_at_the_foot_is_no_sharp_bar() -> None:
    for level in (0, 255):
        image = FIELD.image.copy()
        for row, columns in enumerate(np.linspace(80, 384, 60).astype(int)):
            image[196 + row, :columns] = level
        rows, sharp = bar_below(image)
        assert not (rows and sharp)


@pytest.mark.parametrize("depth", [60, 100])
@pytest.mark.parametrize("number", range(3))
def test_a_dark_foot_that_is_clipped_is_specimen_and_an_empty_bar_is_none(
    depth: int, number: int
) -> None:
    rng = np.random.default_rng(number)
    bright = np.clip((256 - np.arange(256)[:, None]) / depth, 0, 1)
    noisy = FIELD.image * bright - 60 * (1 - bright) + rng.normal(0, 4, FIELD.image.shape)
    foot = np.clip(noisy, 0, 255).astype(np.uint8)
    assert ((foot[-12:] == 0).mean(axis=1) > 0.6).any(), "as flat as a data bar"
    assert bar_below(foot) == (0, True)
    assert bar_below(np.vstack([FIELD.image, np.zeros((32, 384), np.uint8)])) == (32, True)


@pytest.mark.parametrize("size", [10, 14, 18])
@pytest.mark.parametrize("paper", [0, 255])
@pytest.mark.parametrize("quality", [None, 95, 75])
def test_a_bar_is_found_whose_letters_have_smooth_edges(
    size: int, paper: int, quality: int | None
) -> None:
    drawn = Image.new("L", (384, 40), paper)
    text = "EHT = 2.00 kV   WD = 5.1 mm   Mag = 10.00 K X   Signal A = InLens   30 Nov 2026"
    font = ImageFont.load_default(size)
    ImageDraw.Draw(drawn).text((6, 8), text, fill=255 - paper, font=font)
    image = np.vstack([FIELD.image, np.array(drawn)])
    assert len(np.unique(image[-40:])) > 50, "smooth edges"
    if quality is not None:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        image = np.array(Image.open(file))
    rows, sharp = bar_below(image)
    assert abs(rows - 40) <= (0 if quality is None else 3)
    assert sharp
    if quality is None:
        assert bar_below(image.astype(np.uint16) * 257) == (40, True)


def compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


@pytest.mark.parametrize("paper", [0, 90, 255])
@pytest.mark.parametrize("height", [32, 45])
@pytest.mark.parametrize("quality", [75, 80, 85])
def test_a_framed_bar_of_two_lines_is_found_to_a_row_in_jpeg(
    paper: int, height: int, quality: int
) -> None:
    ink = 0 if paper == 255 else 255
    drawn = Image.new("L", (256, height), paper)
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(round(0.45 * height))
    draw.text((4, 2), "SEI 2.0kV X10,000 003", fill=ink, font=font)
    draw.text((4, height // 2), "WD 4.1 mm", fill=ink, font=font)
    draw.line((154, height - 8, 204, height - 8), fill=ink, width=2)
    draw.rectangle((0, 0, 255, height - 1), outline=ink)
    image = np.vstack([FIELD.image[:, :256], np.array(drawn)])
    rows, sharp = bar_below(compressed(image, quality))
    assert abs(rows - height) <= 1
    assert sharp


@pytest.mark.parametrize("quality", [60, 75, 85, 95])
@pytest.mark.parametrize("family", ["grains", "network"])
def test_micrographs_in_jpeg_have_no_bar_nor_have_their_dark_feet(
    family: str, quality: int
) -> None:
    for number in range(4):
        image = field(family, number, shape=(256, 256)).image
        assert bar_below(compressed(image, quality)) == (0, True)
        for depth in (30, 60, 100):
            bright = np.clip((256 - np.arange(256)[:, None]) / depth, 0, 1)
            foot = np.clip(image * bright - 60 * (1 - bright), 0, 255).astype(np.uint8)
            assert bar_below(compressed(foot, quality)) == (0, True)


@pytest.mark.parametrize("quality", [None, 75, 85])
def test_a_smooth_substrate_with_particles_is_no_bar(quality: int | None) -> None:
    rng = np.random.default_rng(7)
    image = FIELD.image[:, :256].copy()
    image[-40:] = np.clip(60 + rng.normal(0, 4, (40, 256)), 0, 255)
    for row, column in zip(rng.integers(220, 252, 12), rng.integers(0, 250, 12), strict=True):
        image[row : row + 4, column : column + 6] = 170
    assert bar_below(image if quality is None else compressed(image, quality)) == (0, True)


@pytest.mark.parametrize("top", [4, 12, 20])
def test_a_bar_is_found_whose_letters_stand_in_its_upper_part(top: int) -> None:
    below = np.full((36, 384), 7, np.uint8)
    below[top : top + 8] = bar(7, 240)[10:18]
    assert bar_below(np.vstack([FIELD.image, below])) == (36, True)
