"""Corners that a rotation or a shear left empty are found, and nothing else is."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bl_steer.analysis.empty_corners import empty_corners
from simulators.electron.micrographs import field

FAMILIES = ("grains", "network")


def imaged(family: str, seed: int = 3) -> NDArray[np.uint8]:
    return field(family, seed, shape=(160, 200)).image


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("degrees", [-30, -3, 2, 12, 44])
def test_corners_of_a_turned_image_are_found(family: str, degrees: float) -> None:
    image = Image.fromarray(np.clip(imaged(family), 1, 254))
    whole = Image.new("L", image.size, 1)
    for expand, fill in ((True, 0), (False, 0), (True, 255)):
        turned = image.rotate(degrees, Image.Resampling.BILINEAR, expand, fillcolor=fill)
        empty = np.asarray(whole.rotate(degrees, expand=expand, fillcolor=0)) == 0
        corners = empty_corners(np.asarray(turned))
        assert corners is not None
        assert corners.value == fill
        top, bottom, left, right = corners.box
        assert min(top, left, empty.shape[0] - bottom, empty.shape[1] - right) <= 1
        lost = sum(down == 0 for down, _ in corners.legs)  # the small ones, at small angles
        truth = empty[top:bottom, left:right].sum() / empty.size
        assert corners.share == pytest.approx(truth, abs=0.004 + 0.004 * lost)
        inside = corners.within(np.asarray(turned))
        assert len(inside) == corners.count
        assert (inside == fill).mean() > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_corners_of_a_sheared_image_are_found_within_its_empty_sides(family: str) -> None:
    image = np.clip(imaged(family), 1, 255)
    sheared = ndimage.affine_transform(image, [[1, 0], [0.1, 1]], offset=[0, -8], order=1)
    corners = empty_corners(np.pad(sheared, ((20, 0), (0, 12))))
    assert corners is not None
    assert corners.box == (20, 180, 0, 200)
    assert [down > 0 for down, _ in corners.legs] == [True, False, True, False]
    assert str(corners) == (
        f"0 alone in 2 corners with slanted edges, {corners.count / (180 * 212):.1%} of it"
    )


def as_jpeg(image: NDArray[Any], quality: int) -> NDArray[np.uint8]:
    file = BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("quality", [75, 92])
def test_corners_of_a_turned_image_are_found_in_jpeg(family: str, quality: int) -> None:
    image = field(family, 3, shape=(300, 400)).image
    for degrees, fill in ((-12, 0), (5, 127), (44, 255)):
        turned = Image.fromarray(image).rotate(degrees, expand=True, fillcolor=fill)
        told, corners = (
            empty_corners(own) for own in (np.asarray(turned), as_jpeg(np.asarray(turned), quality))
        )
        assert told is not None
        assert corners is not None
        assert corners.value == pytest.approx(fill, abs=1)
        assert corners.share == pytest.approx(told.share, rel=0.1)


def test_specimen_of_the_same_value_is_no_corner() -> None:
    for family in FAMILIES:
        for seed in range(6):
            image = imaged(family, seed)
            assert empty_corners(as_jpeg(image, 75)) is None
            for share in (0.1, 0.3, 0.45):
                dark = np.clip(image.astype(float) - np.quantile(image, share), 0, None)
                bright = np.clip(image, 0, np.quantile(image, 1 - share))
                assert empty_corners(image) is empty_corners(dark) is empty_corners(bright) is None
                assert empty_corners(as_jpeg(dark, 90)) is None


def test_one_corner_and_edges_of_other_angles_are_chance() -> None:
    rows, columns = np.mgrid[:160, :200]
    image = imaged("grains").clip(1)
    one = np.where(rows / 60 + columns / 50 < 1, 0, image)
    assert empty_corners(one) is None
    other = np.where((159 - rows) / 60 + (199 - columns) / 20 < 1, 0, one)
    assert empty_corners(other) is None
    parallel = np.where((159 - rows) / 30 + (199 - columns) / 25 < 1, 0, one)
    assert empty_corners(parallel) is not None


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.zeros((3, 500)), np.ones((1, 1))])
def test_images_without_specimen_have_no_corners(image: NDArray[Any]) -> None:
    assert empty_corners(image) is None
