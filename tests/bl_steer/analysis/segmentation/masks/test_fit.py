"""Masks stored out of place, or beside another image, are named, and sound ones are not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bl_steer.analysis.segmentation import UNLABELLED, parse_phases
from bl_steer.analysis.segmentation.masks.fit import misplaced_masks, misplaced_notes
from bl_steer.analysis.segmentation.training import Labelled, TrainingSet
from simulators.electron import FAMILIES, coating_field, field, optical_field

Labels = NDArray[np.uint8]
MIXED_UP: list[tuple[str, Callable[[Labels], Labels]]] = [
    ("turned upside down", np.flipud),
    ("mirrored left to right", np.fliplr),
    ("turned by 180°", lambda labels: np.rot90(labels, 2)),
    ("turned by 90° to the left", lambda labels: np.rot90(labels, -1)),
    ("turned by 90° to the right", np.rot90),
    ("mirrored along its diagonal", np.transpose),
    ("mirrored along its other diagonal", lambda labels: np.rot90(labels, 2).T),
]


def pair_of(family: str, seed: int, shape: tuple[int, int] = (128, 128)) -> Labelled:
    image, labels, _ = field(family, seed, shape=shape)
    return image, labels


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("how", "mixed_up"), MIXED_UP)
def test_a_mask_with_its_axes_mixed_up_is_named(
    family: str, how: str, mixed_up: Callable[[Labels], Labels]
) -> None:
    image, labels = pair_of(family, 4)
    (note,) = misplaced_notes(image, mixed_up(labels))
    assert f"once it is {how}: so does a mask look that was saved out of place" in note


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("by", [(3, 0), (0, -6), (-5, 9)])
def test_a_mask_that_was_moved_is_named_with_the_way_back(family: str, by: tuple[int, int]) -> None:
    image, labels, _ = field(family, 5, shape=(160, 200))
    crop = image[20:-20, 20:-20], labels[20 - by[0] : 140 - by[0], 20 - by[1] : 180 - by[1]]
    (note,) = misplaced_notes(*crop)
    assert f"once it is moved by about ({-by[0]}, {-by[1]}) pixels" in note
    large = [np.kron(part, np.ones((10, 10), part.dtype)) for part in crop]
    (note,) = misplaced_notes(*large)
    back = [int(n) for n in re.findall(r"-?\d+", note.partition("about")[2])[:2]]
    assert back == pytest.approx([-10 * n for n in by], abs=4)  # every fourth pixel is looked at


@pytest.mark.parametrize("simulated", [coating_field, optical_field])
@pytest.mark.parametrize("seed", range(4))
def test_sound_masks_of_coatings_and_steels_are_not_named(
    simulated: Callable[[int], Any], seed: int
) -> None:
    image, labels, *_ = simulated(seed)
    assert not list(misplaced_notes(image.mean(-1) if image.ndim == 3 else image, labels))


@pytest.mark.parametrize("family", FAMILIES)
def test_sound_masks_of_a_simulated_family_are_not_named(family: str) -> None:
    pairs = [pair_of(family, seed) for seed in range(12)]
    for image, labels in pairs:
        assert not list(misplaced_notes(image, labels))
        strokes = np.where(np.arange(128) % 16 < 2, labels, UNLABELLED).astype(np.uint8)
        assert not list(misplaced_notes(image, strokes[:, ::-1]))
        noise = np.random.default_rng(0).normal(100, 20, image.shape)
        assert not list(misplaced_notes(noise, labels))
        assert not list(misplaced_notes(np.full(image.shape, 7), labels))
    assert not list(misplaced_masks(pairs, [""] * 12))


def test_masks_exchanged_between_images_are_named(tmp_path: Path) -> None:
    pairs = [pair_of("grains", seed, (128, 160)) for seed in range(5)]
    colours = np.array([[255, 0, 0], [255, 255, 0], [0, 128, 0]], np.uint8)
    for number, of_mask in enumerate((0, 3, 2, 1, 4)):
        Image.fromarray(pairs[number][0]).save(tmp_path / f"a_{number}.png")
        Image.fromarray(colours[pairs[of_mask][1]]).save(tmp_path / f"a_{number}_mask.png")
    phases = parse_phases("oxide:red,carbon:yellow,void:green")
    told = [note for note in TrainingSet.read(tmp_path, phases).notes if "may be exchanged" in note]
    assert [note.partition(":")[0] for note in sorted(told)] == ["a_1.png", "a_3.png"]
    assert "explains 7% of the variance of the grey levels, and that of a_3.png 90%" in min(told)


def test_a_mirrored_mask_is_named_as_the_set_is_read(tmp_path: Path) -> None:
    image, labels = pair_of("network", 1)
    Image.fromarray(image).save(tmp_path / "a_1.png")
    Image.fromarray(labels[:, ::-1]).save(tmp_path / "a_1_mask.png")
    notes = TrainingSet.read(tmp_path, parse_phases("oxide:red,carbon:yellow,void:green")).notes
    assert any("once it is mirrored left to right" in note for note in notes)
