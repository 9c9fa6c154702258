"""Slices that show no face of their own, among sound ones with all faults of imaging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.slicing import find_bad_slices
from bl_steer.slicing.bad_slices import steps_between, stored_twice
from simulators.electron.fibsem_sample import FibsemSpecimen


def broken_off(image: NDArray[Any]) -> NDArray[Any]:
    whole = image.copy()
    whole[140:] = 0
    return whole


SPOILT: dict[str, Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]] = {
    "blank": lambda image, before: np.full_like(image, 7),
    "broken off": lambda image, before: broken_off(image),
    "stored twice": lambda image, before: before,
    "blurred": lambda image, before: gaussian_filter(image, 4.0),
}


def test_sound_slices_are_not_bad(stack: Any) -> None:
    assert find_bad_slices(stack.faces) == {}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_slice_is_found_with_its_kind(kind: str, stack: Any) -> None:
    faces = [face.copy() for face in stack.faces]
    faces[3] = SPOILT[kind](faces[3], faces[2])
    assert find_bad_slices(faces) == {3: kind}


def test_a_slice_stored_twice_is_found_although_it_was_made_brighter(stack: Any) -> None:
    faces = [face.astype(float) for face in stack.faces]
    faces[3] = 1.2 * faces[2] + 10.0
    assert find_bad_slices(faces) == {3: "stored twice"}


def test_every_spoilt_slice_is_found_among_others(stack: Any) -> None:
    faces = [face.copy() for face in stack.faces]
    faces[0] = np.zeros_like(faces[0])
    faces[5] = faces[4]
    assert find_bad_slices(faces) == {0: "blank", 5: "stored twice"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_slice_with_grey_levels_that_are_no_numbers_is_named_so(value: float, stack: Any) -> None:
    faces = [face.astype(np.float32) for face in stack.faces]
    faces[2][5, 5] = value
    faces[5] = faces[4]
    assert find_bad_slices(faces) == {2: "not finite", 5: "stored twice"}


def test_label_maps_are_neither_broken_off_nor_blank_but_may_be_stored_twice() -> None:
    noise = np.random.default_rng(0).standard_normal((12, 60, 60))
    labels = (gaussian_filter(noise, 3.0) > 0).astype(np.uint8)
    labels[3, :20] = 1
    labels[5] = 0
    labels[8] = labels[7]
    assert find_bad_slices(list(labels)) == {8: "stored twice"}
    grey = np.random.default_rng(1).normal(100.0, 10.0, labels.shape)
    grey[3, :20], grey[5] = 0.0, 0.0
    assert find_bad_slices(list(grey)) == {3: "broken off", 5: "blank"}


@pytest.mark.parametrize("family", ["grains", "network"])
@pytest.mark.parametrize("twice", [[8], range(1, 20, 2)])
def test_a_face_imaged_twice_is_found_under_its_noise(family: str, twice: Any) -> None:
    specimen = FibsemSpecimen(
        family, seed=1, shape=(153, 160, 160), voxel_nm=12.0, origin_um=(3.0, 3.0, 3.0)
    )
    faces = np.asarray([0.75, 0.4, 0.12])[specimen.labels[::8]]
    for place in twice:
        faces[place] = faces[place - 1]
    images = faces + np.random.default_rng(0).normal(0, 0.1, faces.shape)
    assert stored_twice(steps_between(images)) == list(twice)


@pytest.mark.parametrize("level", [7, 0.1, 1e9 + 1e-3])
def test_a_blank_slice_has_no_pattern_of_its_own(level: float) -> None:
    image = np.random.default_rng(0).normal(size=(40, 50))
    assert steps_between([np.full((40, 50), level), image]) == pytest.approx([1.0])
