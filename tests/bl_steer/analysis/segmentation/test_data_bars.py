"""Data bars below micrographs: cut off where the file tells them, and named where they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

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
    told = list(bar_warnings([("field_000", image), ("field_001", FIELD.image)]))
    assert len(told) == 1
    assert told[0].startswith("the last 32 rows of field_000 look like a data bar, and are counted")


@pytest.mark.parametrize("family", ["grains", "network"])
def test_micrographs_have_no_bar(family: str) -> None:
    fields = [field(family, seed, shape=(192, 256)) for seed in range(12)]
    assert not list(bar_warnings((f"field_{n}", one.image) for n, one in enumerate(fields)))


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
    (told,) = bar_warnings([("a.tif", FIELD.image), ("b.tif", image)])
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
