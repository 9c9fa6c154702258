"""Slices from which on a stack is turned, mirrored, inverted, or of another specimen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import zoom

from bl_steer.analysis import find_analysis, make_params
from bl_steer.protocols import Inputs
from bl_steer.slicing.breaks import break_warnings
from simulators.electron import FibsemSpecimen, ImagingConditions, micrograph

N, AT, PITCH = 10, 5, 5
BREAKS: dict[str, Callable[[Any], Any]] = {
    "mirrored": lambda part: part[:, :, ::-1],
    "turned by 180°": lambda part: part[:, ::-1, ::-1],
    "of another place": lambda part: np.roll(part, (80, 90), (1, 2)),
}


@pytest.fixture(scope="module", params=["grains", "network"])
def images(request: pytest.FixtureRequest) -> Any:
    shape = N * PITCH, 160, 176
    specimen = FibsemSpecimen(request.param, seed=1, shape=shape, voxel_nm=10.0)
    conditions = ImagingConditions(drift=0.0, gain_spread=0.2)
    return np.stack(
        [
            micrograph(labels, conditions, seed=[1, number])
            for number, labels in enumerate(specimen.labels[::PITCH])
        ]
    )


def joined(images: Any, change: Callable[[Any], Any]) -> Any:
    return np.concatenate([images[:AT], change(images[AT:])])


@pytest.mark.parametrize("change", BREAKS.values(), ids=list(BREAKS))
def test_the_slice_from_which_on_a_stack_is_unlike_before_is_named(
    images: Any, change: Callable[[Any], Any]
) -> None:
    names = [f"{place}.tif" for place in range(N)]
    (warning,) = break_warnings(joined(images, change), names)
    assert warning.startswith("from slice 5.tif on the slices are unlike those up to 4.tif")


def test_a_contrast_that_is_inverted_from_a_slice_on_is_named(images: Any) -> None:
    (warning,) = break_warnings(joined(images, lambda part: 255 - part))
    assert warning.startswith("the contrast is inverted from slice 5 on")


@pytest.mark.parametrize(("times", "seen"), [(1.25, 1.25), (0.8, 0.8), (1.5, 1.5)])
def test_the_slice_from_which_on_the_magnification_is_another_is_named(
    images: Any, times: float, seen: float
) -> None:
    height, width = images.shape[1:]

    def enlarged(part: Any) -> Any:
        by = max(times, 1.0 / times)
        faces = np.stack([zoom(face.astype(float), by, order=1) for face in part])
        top, left = (faces.shape[1] - height) // 2, (faces.shape[2] - width) // 2
        return faces[:, top : top + height, left : left + width]

    parts = images[:AT], images[AT:]
    stack = [enlarged(part) if (k == 1) == (times > 1) else part for k, part in enumerate(parts)]
    (warning,) = break_warnings(np.concatenate(stack))
    found = re.fullmatch(r"from slice 5 on the image is magnified about ([\d.]+) times .*", warning)
    assert found is not None
    assert float(found[1]) == pytest.approx(seen, rel=0.06)


def test_sound_slices_and_single_odd_ones_are_no_break(images: Any) -> None:
    assert not list(break_warnings(images))
    dimmed = joined(images, lambda part: part * 0.4 + 20.0)
    assert not list(break_warnings(dimmed))
    odd = images.copy()
    odd[AT] = odd[AT, ::-1, ::-1]
    odd[2] = 7
    assert not list(break_warnings(odd))


@pytest.mark.parametrize(("family", "seed", "pitch"), [("network", 31, 6), ("grains", 33, 10)])
def test_features_that_grow_in_sound_slices_are_not_magnified(
    family: str, seed: int, pitch: int
) -> None:
    labels = FibsemSpecimen(family, seed=seed, shape=(12 * pitch, 128, 150)).labels[::pitch]
    slices = [micrograph(plane, seed=[seed, number]) for number, plane in enumerate(labels)]
    assert not list(break_warnings(slices))


LABEL_BREAKS = {**BREAKS, "displaced": lambda part: np.roll(part, 8, 1)}


@pytest.mark.parametrize("family", ["grains", "network"])
def test_the_slice_from_which_on_labels_are_unlike_before_is_named(family: str) -> None:
    labels = FibsemSpecimen(family, seed=3, shape=(96, 128, 150)).labels
    assert not list(break_warnings(labels, labels=True))
    assert not list(break_warnings(labels.transpose(1, 0, 2), labels=True))
    for change in LABEL_BREAKS.values():
        (warning,) = break_warnings(joined(labels, change), labels=True)
        assert warning.startswith("from slice 5 on the labels are unlike those up to 4 (")
    thick = labels[::4].copy()
    assert not list(break_warnings(thick, labels=True))
    assert len(list(break_warnings(joined(thick, BREAKS["mirrored"]), labels=True))) == 1
    thick[AT] = thick[AT, :, ::-1]
    assert not list(break_warnings(thick, labels=True))


@pytest.mark.parametrize("shape", [(48, 60, 70), (60, 160, 160)])
def test_the_slices_between_which_numbers_of_labels_are_exchanged_are_named(
    shape: tuple[int, int, int],
) -> None:
    labels = FibsemSpecimen("network", seed=4, shape=shape).labels
    for order, numbers in (((0, 2, 1), "1, 2"), ((1, 2, 0), "0, 1, 2")):
        renumbered = labels.copy()
        renumbered[21:] = np.array(order, np.uint8)[labels[21:]]
        (warning,) = break_warnings(renumbered, labels=True)
        assert f"from slice 21 on the labels {numbers} are exchanged against 20: " in warning
        renumbered[22:] = labels[22:]
        first, second = break_warnings(renumbered, labels=True)
        assert "from slice 21 on" in first
        assert "from slice 22 on" in second


def test_layers_and_mirrored_volumes_are_no_breaks_of_labels() -> None:
    labels = FibsemSpecimen("grains", seed=3, shape=(48, 96, 96)).labels
    reflected = np.concatenate([labels, labels[::-1]])  # as those are who pad it so
    layered = np.concatenate([labels[:20], np.full_like(labels[:5], 2), labels[20:]])
    for volume in (reflected, layered, np.repeat(labels[::4], 4, axis=0)):
        assert not list(break_warnings(volume, labels=True))


def test_layers_that_slices_meet_by_leaps_are_no_breaks() -> None:
    noise = np.random.default_rng(0)
    layers = noise.normal(size=(8, 96, 96))
    faces = np.repeat(layers, 5, axis=0) + noise.normal(0, 0.2, (40, 96, 96))
    assert not list(break_warnings(faces))
    assert len(list(break_warnings(faces[:10]))) == 1


def test_slices_behind_a_large_gap_may_be_unlike(images: Any) -> None:
    pitches = np.ones(N)
    pitches[AT] = 6.0
    assert not list(break_warnings(joined(images, BREAKS["mirrored"]), (), pitches))


@pytest.mark.parametrize(
    ("by", "told"),
    [(0, ""), (15, ""), (40, "the slices lie aside of those up to"), (-1, "are unlike those up")],
)
def test_a_jump_is_followed_or_told_as_one_and_a_mirrored_part_as_unlike(
    images: Any, by: int, told: str
) -> None:
    stack = joined(images, BREAKS["mirrored"])
    if by >= 0:
        wide = images.shape[2]
        moved = (face[:, by:] if k < AT else face[:, : wide - by] for k, face in enumerate(images))
        stack = np.stack(list(moved))
    analysis = find_analysis("align-slices")
    params = make_params(analysis, {"pixel_size_nm": 10.0, "pitch_nm": 50.0})
    warnings = analysis.run(Inputs({"slices": stack}), params).warnings
    found = [warning for warning in warnings if warning.startswith("from slice")]
    assert len(found) == bool(told)
    assert all(told in warning and "from slice 5 on" in warning for warning in found)
