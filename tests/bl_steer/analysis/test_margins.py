"""Strips at the sides of images that are no specimen are named at each side, by one rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.data_bars import bar_below
from bl_steer.analysis.margins import SIDES, _turned, flat_strips, margins_of, specimen_in
from bl_steer.analysis.segmentation import inputs_from_files
from bl_steer.analysis.segmentation.phases import FIBSEM_PHASES
from bl_steer.analysis.segmentation.training import Pair, load_pair
from bl_steer.analysis.slices import inputs_from_files as slices_from_files
from bl_steer.analysis.superresolution.checks import stack_warnings
from bl_steer.server.languages import sentence_in
from simulators.electron import FibsemSpecimen, micrograph
from simulators.electron.micrographs import field
from tests.bl_steer.analysis.segmentation.test_data_bars import bar

IMAGE = field("grains", 5, shape=(160, 192)).image
NO_BAR = (0, True)


def told_of(image: NDArray[Any]) -> list[str]:
    return [str(strip) for strip in margins_of(image, bar_below(image))[1]]


@pytest.mark.parametrize("value", [0, 255, 93])
@pytest.mark.parametrize("side", SIDES)
def test_a_strip_of_one_value_is_found_at_each_side(side: tuple[str, str], value: int) -> None:
    image = IMAGE.copy()
    _turned(image, side)[-20:] = value
    of = 160 if side[1] == "rows" else 192
    assert told_of(image) == [f"{value} alone in the {side[0]} 20 of {of} {side[1]}"]


def test_strips_of_two_values_that_share_a_corner_are_both_found() -> None:
    image = IMAGE.copy()
    image[:, :12] = 0
    image[-10:] = 255
    assert [strip.count for strip in flat_strips(image)] == [10, 12]
    image[-10:, :12] = 0
    assert [strip.count for strip in flat_strips(image)] == [10, 12]


def test_few_rows_and_images_of_one_value_are_no_strips() -> None:
    image = IMAGE.copy()
    image[:3], image[:, -3:] = 0, 0
    assert not flat_strips(image)
    assert not flat_strips(np.zeros((50, 50)))


def test_few_rows_are_told_as_a_frame() -> None:
    image = np.pad(IMAGE, ((2, 1), (3, 1)))
    assert [strip.count for strip in flat_strips(image)] == [2, 1, 3, 1]
    image[-1] = 255
    assert not flat_strips(image)


@pytest.mark.parametrize("side", [side for side in SIDES if side != ("last", "rows")])
def test_a_data_bar_at_another_side_is_named(side: tuple[str, str]) -> None:
    image = np.vstack([_turned(IMAGE, side), bar()[:24, : _turned(IMAGE, side).shape[1]]])
    turned = {("first", "rows"): image[::-1], ("last", "columns"): image.T}
    turned["first", "columns"] = image.T[:, ::-1]
    (told,) = told_of(turned[side])
    assert told.startswith(f"what looks like a data bar in the {side[0]} 24 of")
    assert told.endswith(side[1])


@pytest.mark.parametrize("family", ["grains", "network"])
def test_micrographs_have_no_strips(family: str) -> None:
    for seed in range(12):
        assert not told_of(field(family, seed, shape=(128, 160)).image)


def test_strips_above_a_data_bar_are_found() -> None:
    image = np.vstack([IMAGE, bar()[:24, :192]])
    image[:160, :30] = 0
    found, (strip,) = margins_of(image, bar_below(image))
    assert found == (24, True)
    assert str(strip) == "0 alone in the first 30 of 192 columns"


def test_a_foot_that_was_not_copied_is_no_bar() -> None:
    image = IMAGE.copy()
    image[-30:] = 255
    assert bar_below(image)[0] == 30
    assert margins_of(image, bar_below(image))[0] == NO_BAR


@pytest.mark.parametrize("family", ["grains", "network"])
def test_what_is_looked_at_for_its_conditions_has_no_margins(family: str) -> None:
    image = np.clip(field(family, 5, shape=(160, 192)).image, 1, 255)
    turned = np.asarray(Image.fromarray(image).rotate(-12, expand=True))
    framed = np.pad(turned, ((0, 0), (30, 0)))
    part = specimen_in(framed, 0, margins_of(framed, NO_BAR)[1])
    assert part.min() > 0
    assert part.size > 0.3 * turned.size
    assert specimen_in(image, 24, ()).shape == (136, 192)
    assert specimen_in(image, 0, ()).shape == image.shape
    assert specimen_in(image, 140, ()).shape == image.shape  # too little is left


def test_segment_names_the_columns_of_one_value_in_both_languages(tmp_path: Path) -> None:
    image = IMAGE.copy()
    image[:, :20] = 0
    tifffile.imwrite(tmp_path / "left.tif", image)
    analysis = find_analysis("segment")
    inputs = inputs_from_files([tmp_path / "left.tif"])
    (told,) = (
        warning
        for warning in analysis.run(inputs, make_params(analysis, {})).warnings
        if "alone" in warning
    )
    assert told.startswith("left.tif holds 0 alone in the first 20 of 192 columns, which is coun")
    assert told.endswith("crop it")
    assert "192 列のうち左の 20 列" in sentence_in("ja", told)
    assert "alone" not in sentence_in("ja", told)


def test_masks_with_phases_in_an_empty_strip_are_told(tmp_path: Path) -> None:
    image = IMAGE.copy()
    image[:, :20] = 0
    labels = np.zeros(IMAGE.shape, np.uint8)
    labels[:, 50:] = 1
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(labels).save(tmp_path / "a_mask.png")
    pair = Pair(tmp_path / "a.png", tmp_path / "a_mask.png", "a")
    notes = load_pair(pair, FIBSEM_PHASES)[1].report.notes
    assert any("holds 0 alone in the first 20 of 192 columns, of which" in note for note in notes)
    labels[:, :20] = 255
    Image.fromarray(labels).save(tmp_path / "a_mask.png")
    assert not any("alone" in note for note in load_pair(pair, FIBSEM_PHASES)[1].report.notes)


def test_segment_names_the_corners_that_a_rotation_left_in_both_languages(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).rotate(9, expand=True).save(tmp_path / "turned.png")
    analysis = find_analysis("segment")
    run = analysis.run(inputs_from_files([tmp_path / "turned.png"]), make_params(analysis, {}))
    (told,) = (warning for warning in run.warnings if "corners" in warning)
    assert told.startswith("turned.png holds 0 alone in 4 corners with slanted edges, 2")
    assert told.endswith("counted as phases: the image was turned or sheared; crop it")
    assert not any("appearance" in warning for warning in run.warnings)  # which would be a guess
    assert "つの隅" in sentence_in("ja", told)
    assert "alone" not in sentence_in("ja", told)


@pytest.fixture(scope="module")
def slices() -> NDArray[np.uint8]:
    labels = FibsemSpecimen("grains", seed=4, shape=(24, 96, 128)).labels[::4]
    return np.stack([micrograph(plane, seed=[4, k]) for k, plane in enumerate(labels)])


def aligned(images: NDArray[np.uint8], folder: Path, **params: Any) -> list[str]:
    folder.mkdir()
    for k, image in enumerate(images):
        tifffile.imwrite(folder / f"slice_{k:02d}.tif", image)
    analysis = find_analysis("align-slices")
    known = {"pitch_nm": 40.0, "pixel_size_nm": 10.0, "columns_deg": 90.0, **params}
    run = analysis.run(slices_from_files([folder]), make_params(analysis, known))
    return [warning for warning in run.warnings if "crop all" in warning or "cut off" in warning]


def test_slices_with_empty_sides_are_named_at_every_door(
    slices: NDArray[np.uint8], tmp_path: Path
) -> None:
    assert not aligned(slices, tmp_path / "sound")
    strip = slices.copy()
    strip[:, :, :20] = 0
    for told in (aligned(strip, tmp_path / "strip"), of_superres(strip)):
        assert len(told) == 1
        assert told[0].startswith("6 of 6 slices hold 0 alone in the first 20 of 128 columns, whi")
    for k, image in enumerate(slices):
        image = np.roll(image, (0, 4 * k), (0, 1))
        image[:, : 4 * k] = 0
        strip[k] = image
    (grown,) = aligned(strip, tmp_path / "grown")
    assert grown.startswith("5 of 6 slices hold 0 alone in the first 20 of 128 columns, or less, m")
    assert "most in slice 5 (slice_05.tif)" in grown
    barred = np.concatenate([np.stack([bar()[:20, :128]] * 6), slices], axis=1)
    for told in (aligned(barred, tmp_path / "bar"), of_superres(barred)):
        (one,) = told
        assert "what looks like a data bar in the first 20 of 116 rows" in one
    assert not aligned(barred, tmp_path / "below", specimen_from=20)


def test_slices_that_were_turned_are_named(slices: NDArray[np.uint8], tmp_path: Path) -> None:
    turned = np.stack([np.asarray(Image.fromarray(image).rotate(-8)) for image in slices])
    for (one,) in (aligned(turned, tmp_path / "turned"), of_superres(turned)):
        assert one.startswith("6 of 6 slices hold 0 alone in 4 corners with slanted edges, ")
        assert "the image was turned or sheared; crop all slices alike" in one


def of_superres(stack: NDArray[np.uint8]) -> list[str]:
    told = stack_warnings(stack, None, (40.0, 10.0, 10.0))
    return [one for one in told if "crop all slices" in one]


def test_rows_that_an_alignment_left_empty_are_cut_off_as_such(
    slices: NDArray[np.uint8], tmp_path: Path
) -> None:
    empty = slices.copy()
    empty[:, -16:] = 0
    (told,) = aligned(empty, tmp_path / "empty")
    assert told.startswith("the last 16 of 96 rows hold one grey level alone")
    assert "data bar" not in sentence_in("ja", told)
