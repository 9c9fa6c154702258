"""Tiles put together are the image, thinned or not; and what is no part of it is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from bl_steer.server.errors import Refused
from bl_steer.server.viewing import tiles
from bl_steer.server.viewing.planes import Info

RNG = np.random.default_rng(0)


def image_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def info(plane: np.ndarray, **values: float) -> Info:
    return Info(shapes=[plane.shape], dtype=plane.dtype.name, **values)


def whole(plane: np.ndarray, about: Info, step: int) -> np.ndarray:
    """Return a plane put together from its grey tiles."""
    size = tiles.TILE_PX * step
    rows, columns = (range(-(-length // size)) for length in plane.shape)
    return np.vstack(
        [
            np.hstack(
                [image_of(tiles.grey_tile(plane, about, step, x, y))[..., 0] for x in columns]
            )
            for y in rows
        ]
    )


@pytest.mark.parametrize("shape", [(1, 1), (700, 1), (513, 1025)])
@pytest.mark.parametrize("step", [1, 2, 8])
def test_grey_tiles_make_the_image_of_any_shape(shape: tuple[int, int], step: int) -> None:
    plane = RNG.integers(0, 255, shape).astype(np.uint8)
    about = info(plane, low=0.0, high=255.0)
    made = whole(plane, about, step)
    assert made.shape == (-(-shape[0] // step), -(-shape[1] // step))
    if step == 1:
        assert np.array_equal(made, plane)
    assert abs(float(made.mean()) - plane.mean()) < (1 if plane.size == 1 else 6)


def test_a_phase_is_in_its_colour_and_all_else_transparent() -> None:
    plane = RNG.integers(0, 3, (100, 90)).astype(np.uint8)
    made = image_of(tiles.phase_tile(plane, 2, (10, 20, 30), 1, 0, 0))
    assert np.array_equal(made[..., 3] == 255, plane == 2)
    assert (made[plane == 2, :3] == (10, 20, 30)).all()
    assert (made[plane != 2, 3] == 0).all()
    thin = image_of(tiles.phase_tile(plane, 2, (10, 20, 30), 4, 0, 0))
    assert np.array_equal(thin[..., 3] == 255, plane[::4, ::4] == 2)


def test_uncertainty_is_the_less_transparent_the_larger() -> None:
    plane = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    made = image_of(tiles.uncertainty_tile(plane, info(plane), 1, 0, 0))
    assert made[0, :, 3].tolist() == [0, 128, 255, 0]


def test_values_are_those_of_the_plane() -> None:
    plane = RNG.integers(0, 60_000, (300, 270)).astype(np.uint16)
    block = np.frombuffer(tiles.values_of(plane, 1, 1), np.uint16)
    assert np.array_equal(block.reshape(44, 14), plane[256:, 256:])


@pytest.mark.parametrize(
    ("step", "x", "y"), [(1, 1, 0), (1, 0, -1), (3, 0, 0), (0, 0, 0), (2**30, 0, 0)]
)
def test_what_is_no_part_of_the_image_is_refused(step: int, x: int, y: int) -> None:
    plane = np.zeros((20, 20), np.uint8)
    with pytest.raises(Refused):
        tiles.grey_tile(plane, info(plane), step, x, y)
