"""Rectangles that were drawn over an image, and what is about its field, are found."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from bl_steer.analysis.data_bars import bar_below
from bl_steer.analysis.flat_areas import DrawnBoxes, Surround, drawn_boxes, surround
from bl_steer.analysis.margins import margin_warnings, margins_of, specimen_in, strip_warnings
from simulators.electron import coating_field, field

SHAPE = (240, 300)
WHOLE = (0, 240, 0, 300)


def imaged(seed: int = 2, family: str = "grains") -> NDArray[np.uint8]:
    return field(family, seed, shape=SHAPE).image


def as_jpeg(image: NDArray[Any], quality: int) -> NDArray[np.uint8]:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def with_label(image: NDArray[np.uint8], paper: int, ink: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((170, 200, 289, 229), fill=paper)
    draw.text((200, 202), "500 nm", fill=ink)
    draw.rectangle((190, 220, 269, 225), fill=ink)
    return np.asarray(picture)


@pytest.mark.parametrize(("paper", "ink"), [(0, 255), (250, 0), (90, 140)])
def test_the_ground_of_a_scale_bar_is_found_with_the_bar(paper: int, ink: int) -> None:
    image = with_label(imaged(), paper, ink)
    drawn = drawn_boxes(image, WHOLE)
    assert drawn is not None
    assert drawn.boxes == ((200, 230, 170, 290), (220, 226, 190, 270))
    assert drawn.count == len(drawn.within(image)) == 30 * 120
    assert str(drawn) == (
        f"{paper} alone in a rectangle of rows 200 to 229 and columns 170 to 289 and 1 more, "
        "5.0% of it"
    )
    bar, margins = margins_of(image, bar_below(image))
    assert (bar, margins) == ((0, True), (drawn,))
    assert specimen_in(image, 0, margins).shape == (200, 300)
    padded = np.pad(imaged(3), ((0, 0), (40, 0)))
    (told, other) = margin_warnings(
        {name: margins_of(shown, bar_below(shown))[1]
         for name, shown in (("a.tif", image), ("b.tif", image), ("c.tif", padded))}
    )  # fmt: skip
    assert "5.0% of it, and 1 more alike, which is counted as phases" in told
    assert other.startswith("c.tif holds 0 alone in the first 40 of 340 columns, which is counted")
    assert told.endswith("which is counted as phases: it was drawn over the image; crop it")


def test_a_bar_of_part_of_the_width_and_one_of_low_contrast_are_found() -> None:
    image = imaged().copy()
    image[-30:, :180] = 0
    assert drawn_boxes(image, WHOLE) == DrawnBoxes(((210, 240, 0, 180),), SHAPE, 0.0)
    bar = Image.new("L", (300, 30), 60)
    ImageDraw.Draw(bar).text((9, 9), "2.00 kV  10 000x", fill=90)
    below = np.vstack([imaged(), np.asarray(bar)])
    (drawn,) = margins_of(below, bar_below(below))[1]
    assert isinstance(drawn, DrawnBoxes)
    assert drawn.boxes == ((240, 270, 0, 300),)


@pytest.mark.parametrize("quality", [None, 85])
@pytest.mark.parametrize("value", [0, 255, 128])
def test_what_is_about_a_round_field_is_found(quality: int | None, value: int) -> None:
    rows, columns = np.mgrid[:240, :300]
    inside = ((rows - 120) / 118) ** 2 + ((columns - 150) / 140) ** 2 < 1
    image = np.where(inside, imaged().clip(1, 254), np.uint8(value))
    image = image if quality is None else as_jpeg(image, quality)
    found = surround(image)
    assert isinstance(found, Surround)
    assert found.value == pytest.approx(value, abs=1)
    blurred = 0.0 if quality is None else 0.08  # by blocks of JPEG along its edge
    assert found.share == pytest.approx(1 - inside.mean(), abs=0.02 + blurred)
    assert len(found.within(image)) == found.count
    part = specimen_in(image, 0, [found])
    assert 0.45 * image.size < part.size < inside.sum()
    assert any("about a field of view" in told for told in strip_warnings([image] * 5, 5))


def test_frames_and_turned_images_are_told_as_such() -> None:
    framed = np.pad(imaged(), 40, constant_values=255)
    assert surround(framed) is None
    assert drawn_boxes(framed, (0, 320, 0, 380)) is None


@pytest.mark.parametrize("seed", range(4))
def test_sound_images_have_no_flat_areas(seed: int) -> None:
    for image in (imaged(seed), imaged(seed, "network"), coating_field(seed)[0]):
        dark = np.clip(image.astype(float) - np.quantile(image, 0.45), 0, None)
        for form in (
            image,
            dark.astype(np.uint8),
            np.clip(image, 0, np.quantile(image, 0.6)).astype(np.uint8),
            image // 16 * 16,
            ndimage.median_filter(image, 5),
            as_jpeg(image, 30),
            ndimage.zoom(image, 2, order=0),
        ):
            assert drawn_boxes(form, (0, form.shape[0], 0, form.shape[1])) is None
            assert surround(form) is None
    assert surround(np.zeros((40, 40))) is None
    assert drawn_boxes(np.zeros((40, 40)), (0, 40, 0, 40)) is None
