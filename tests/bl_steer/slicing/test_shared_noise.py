"""Slices that hold the noise of the one before are found; neighbours, however alike, are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.superresolution.checks import doubled_slices
from bl_steer.slicing import find_bad_slices
from bl_steer.slicing.shared_noise import NoiseOfSlices
from simulators.electron.fibsem_sample import FibsemSpecimen
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import micrograph

EDGE, SPARE = 192, 8


@lru_cache
def faces(family: str, curtaining: float, noise: float = 1.0) -> tuple[NDArray[np.uint8], ...]:
    """Return neighbours 20 nm apart, larger than what is kept of them."""
    specimen = FibsemSpecimen(family, seed=3, shape=(13, EDGE + SPARE, EDGE + SPARE), voxel_nm=10.0)
    taken = replace(ImagingConditions(), curtaining=curtaining, noise=noise)
    return tuple(micrograph(specimen.labels[2 * k], taken, seed=[3, k]) for k in range(7))


def jpeg(image: NDArray[Any]) -> NDArray[Any]:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=85)
    return np.asarray(Image.open(stream))


FORMS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "8 bits": lambda image: image,
    "16 bits": lambda image: (image.astype(np.uint16) * 190 + 3000).astype(np.uint16),
    "JPEG": jpeg,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("curtaining", [0.0, 4.0])
@pytest.mark.parametrize("family", ["grains", "network"])
def test_a_slice_that_is_the_one_before_displaced_or_in_part_is_named(
    family: str, curtaining: float, form: str
) -> None:
    larger = faces(family, curtaining)
    sound = [face[:EDGE, :EDGE] for face in larger]
    assert find_bad_slices([FORMS[form](face) for face in sound]) == {}
    spoilt = [face.copy() for face in sound]
    spoilt[2] = larger[1][3 : 3 + EDGE, 5 : 5 + EDGE]
    spoilt[5][EDGE // 2 :] = spoilt[4][EDGE // 2 :]
    stored = np.stack([FORMS[form](face) for face in spoilt])
    assert find_bad_slices(list(stored)) == {
        2: "stored twice and displaced",
        5: "stored twice in part",
    }
    displaced, in_part = doubled_slices(stored, None)
    assert displaced.startswith("slice 2 (by -3, -5 px) holds the noise of the slice before")
    assert in_part.startswith("slice 5 (")


def test_what_is_the_same_in_all_slices_is_no_noise_that_was_stored_twice() -> None:
    burnt_in = [face[:EDGE, :EDGE].copy() for face in faces("grains", 1.0)]
    for face in burnt_in:
        face[-64:] = burnt_in[0][-64:]
    assert find_bad_slices(burnt_in) == {}
    smooth = gaussian_filter(np.random.default_rng(0).standard_normal((20, 130, 130)), 3.0)
    assert find_bad_slices(list(smooth)) == {}


@pytest.mark.parametrize("family", ["grains", "network"])
def test_neighbours_without_noise_share_none(family: str) -> None:
    images = [face[:EDGE, :EDGE] for face in faces(family, 0.0, noise=0.0)]
    noise = NoiseOfSlices()
    assert len(list(noise.through(images))) == len(images)
    assert noise.shared() == {}


def test_a_slice_that_is_an_earlier_one_to_the_pixel_is_named_wherever_it_stands() -> None:
    sound = [face[:EDGE, :EDGE] for face in faces("grains", 0.0)]
    spoilt = [*sound[:5], sound[2], sound[6], sound[0]]
    assert find_bad_slices(spoilt) == {5: "stored twice", 7: "stored twice"}
    (second, last) = doubled_slices(np.stack(spoilt), None, [f"s{k}" for k in range(8)])
    assert second.startswith("slice s5 is slice s2 once more, pixel for pixel")
    assert last.startswith("slice s7 is slice s0 once more, pixel for pixel")
