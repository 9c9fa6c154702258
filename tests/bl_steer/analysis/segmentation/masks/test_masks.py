"""Painted masks become the labels that the expert meant, whatever an editor did to the edges."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.segmentation import (
    FIBSEM_PHASES,
    UNLABELLED,
    Phase,
    Phases,
    decode_mask,
    paint,
    parse_phases,
)
from bl_steer.analysis.segmentation.masks import read_mask
from bl_steer.files import read_micrographs

SUPERALLOY = Phases(
    (
        Phase("matrix", None, (0, 0, 0)),
        Phase("secondary", (0, 0, 255), (0, 114, 178)),
        Phase("tertiary", (255, 0, 0), (213, 94, 0)),
    )
)
BLACK_AND_WHITE = Phases(
    (
        Phase("solid", None, (0, 0, 0)),
        Phase("pore", (0, 0, 0), (1, 1, 1)),
        Phase("crack", (255, 255, 255), (2, 2, 2)),
    )
)


def micrograph(phases: Phases, seed: int = 0, size: int = 128) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a textured grey image and labels with broad patches of every phase."""
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.normal(size=(size, size)), 9) for _ in phases]
    labels = np.argmax(fields, axis=0).astype(np.uint8)
    grey = rng.normal(80 + 40 * labels, 12).clip(0, 255).astype(np.uint8)
    return grey, labels


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), phases=st.sampled_from([SUPERALLOY, FIBSEM_PHASES]))
def test_what_is_painted_is_decoded_exactly(seed: int, phases: Phases) -> None:
    grey, labels = micrograph(phases, seed, size=32)
    decoded = decode_mask(paint(grey, labels, phases), phases, image=grey)
    np.testing.assert_array_equal(decoded.labels, labels)
    assert decoded.report.smeared == 0


def test_unpainted_pixels_are_unlabelled_where_every_phase_has_paint() -> None:
    grey, labels = micrograph(FIBSEM_PHASES)
    labels[:20] = UNLABELLED
    decoded = decode_mask(paint(grey, labels, FIBSEM_PHASES), FIBSEM_PHASES)
    np.testing.assert_array_equal(decoded.labels, labels)
    assert decoded.report.unlabelled == pytest.approx(20 / 128)


def spoil(painted: NDArray[Any], grey: NDArray[Any], how: str) -> NDArray[Any]:
    if "transparent" in how:
        painted = np.rint(0.4 * painted + 0.6 * grey[..., None]).astype(np.uint8)
    if "blurred" in how:
        painted = np.asarray(Image.fromarray(painted).filter(ImageFilter.GaussianBlur(1)))
    if "jpeg" in how:
        stream = io.BytesIO()
        Image.fromarray(painted).save(stream, "JPEG", quality=75)
        painted = np.asarray(Image.open(stream))
    return painted


@pytest.mark.parametrize("how", ["transparent", "blurred", "jpeg", "transparent jpeg"])
@pytest.mark.parametrize("phases", [SUPERALLOY, FIBSEM_PHASES])
def test_spoilt_paint_is_still_understood(phases: Phases, how: str) -> None:
    grey, labels = micrograph(phases)
    decoded = decode_mask(spoil(paint(grey, labels, phases), grey, how), phases)
    certain = decoded.labels != UNLABELLED
    assert certain.mean() > 0.98
    assert np.mean(decoded.labels[certain] == labels[certain]) > 0.97
    # Only pixels near an edge may be mistaken.
    edge = np.zeros(labels.shape, bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    near = gaussian_filter(edge.astype(float), 2) > 1e-3
    assert np.mean(decoded.labels[~near] == labels[~near]) > 0.99


def test_the_mix_of_red_and_green_at_an_edge_is_not_taken_for_yellow() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 2
    grey = np.full(labels.shape, 128, np.uint8)
    blurred = spoil(paint(grey, labels, FIBSEM_PHASES), grey, "blurred")
    decoded = decode_mask(blurred, FIBSEM_PHASES)
    assert set(np.unique(decoded.labels)) == {0, 2}
    assert decoded.report.missing == ("carbon",)
    assert "No pixel is labelled carbon." in decoded.report.notes


@pytest.mark.parametrize("kind", ["transparent layer", "16 bits", "label image saved as RGB"])
def test_other_ways_to_save_a_mask_are_understood(kind: str) -> None:
    grey, labels = micrograph(SUPERALLOY)
    painted = paint(grey, labels, SUPERALLOY)
    if kind == "transparent layer":
        layer = np.zeros((*labels.shape, 4), np.uint8)
        layer[labels > 0, :3] = painted[labels > 0]
        layer[labels > 0, 3] = 255
        mask = layer
    else:
        mask = painted.astype(np.uint16) * 257 if kind == "16 bits" else np.dstack([labels] * 3)
    np.testing.assert_array_equal(decode_mask(mask, SUPERALLOY).labels, labels)


def test_label_images_are_taken_as_they_are() -> None:
    _, labels = micrograph(SUPERALLOY)
    labels[0] = UNLABELLED
    for dtype in (np.uint8, np.uint16, np.int64):
        decoded = decode_mask(labels.astype(dtype), SUPERALLOY).labels
        np.testing.assert_array_equal(decoded, labels)


def test_black_and_white_paint_is_told_from_the_image_below() -> None:
    grey, labels = micrograph(BLACK_AND_WHITE)
    grey[:3] = 0
    labels[:3] = 0  # black, and not painted
    painted = paint(grey, labels, BLACK_AND_WHITE)
    decoded = decode_mask(painted, BLACK_AND_WHITE, image=grey)
    np.testing.assert_array_equal(decoded.labels, labels)


def test_few_pixels_of_unknown_colour_are_reported_and_left_unlabelled() -> None:
    grey, labels = micrograph(SUPERALLOY)
    painted = paint(grey, labels, SUPERALLOY)
    painted[50:58, 60:68] = (0, 160, 0)
    decoded = decode_mask(painted, SUPERALLOY)
    (unknown,) = decoded.report.unknown
    assert unknown.colour == (0, 160, 0)
    assert 50 <= unknown.position[0] < 58
    assert 60 <= unknown.position[1] < 68
    assert unknown.share == pytest.approx(decoded.report.unlabelled)
    assert np.all(decoded.labels[52:56, 62:66] == UNLABELLED)
    assert "nearest is the paint of" in decoded.report.notes[-1]


def test_much_unknown_colour_is_refused_with_its_name_and_place() -> None:
    grey, labels = micrograph(SUPERALLOY)
    painted = paint(grey, labels, SUPERALLOY)
    painted[40:80, 40:80] = (255, 0, 255)
    with pytest.raises(
        ValueError, match=r"got \(255, 0, 255\) in [89]\.\d+% of the pixels, such as"
    ):
        decode_mask(painted, SUPERALLOY)


GREY, LABELS = micrograph(SUPERALLOY, size=32)
WRONG: dict[str, tuple[NDArray[Any], str]] = {
    "another size": (LABELS[:16], r"size of its image, \(32, 32\), got \(16, 32\)"),
    "other labels": (LABELS + 7, "labels must be 0 to 2 or 255"),
    "a grey image": (GREY, "labels must be 0 to 2 or 255"),
    "negative labels": (LABELS.astype(np.int16) - 2, r"got \[-2\]"),
    "real numbers": (LABELS + 0.5, r"labels must be 0 to 2 or 255 .*got \[0.5, 1.5, 2.5\]"),
    "real colours": (np.zeros((32, 32, 3), np.float32), "must hold integers"),
    "two channels": (np.dstack([LABELS, LABELS]), r"got shape \(32, 32, 2\)"),
    "a stack": (np.zeros((32, 32, 3, 3), np.uint8), "got shape"),
    "nothing labelled": (np.full((32, 32), UNLABELLED, np.uint8), "got no pixel of"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_masks_are_refused_with_the_remedy(what: str) -> None:
    mask, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        decode_mask(mask, SUPERALLOY, image=GREY)


def test_a_mask_without_paint_is_refused_where_every_phase_has_paint() -> None:
    with pytest.raises(ValueError, match=r"must be painted.*\(255, 255, 0\) for carbon"):
        decode_mask(np.dstack([GREY] * 3), FIBSEM_PHASES)


def test_labels_of_another_size_cannot_be_painted() -> None:
    with pytest.raises(ValueError, match="size of the image"):
        paint(GREY, LABELS[:5], SUPERALLOY)


def test_a_colour_of_the_paints_hue_that_is_stronger_than_it_is_told() -> None:
    grey, labels = micrograph(FIBSEM_PHASES)
    painted = paint(grey, labels, FIBSEM_PHASES)
    green = next(p for p in FIBSEM_PHASES if p.paint == (0, 128, 0))
    assert not decode_mask(painted, FIBSEM_PHASES, image=grey).report.notes
    pure = painted.copy()
    pure[(painted == green.paint).all(axis=-1) & (np.arange(128) < 64)] = (0, 255, 0)
    (note,) = decode_mask(pure, FIBSEM_PHASES, image=grey).report.notes
    share = float((pure == (0, 255, 0)).all(axis=-1).mean())
    assert note.startswith(f"Colour (0, 255, 0) in {share:.2%} of the pixels")
    assert f"is taken for {green.name}, painted (0, 128, 0), by its hue" in note


def test_a_phase_in_a_stronger_colour_than_its_own_keeps_its_rim() -> None:
    grey, labels = micrograph(FIBSEM_PHASES)
    painted = paint(grey, labels, FIBSEM_PHASES)
    painted[(painted == (0, 128, 0)).all(axis=-1)] = (0, 255, 0)
    np.testing.assert_array_equal(decode_mask(painted, FIBSEM_PHASES).labels, labels)


def test_scattered_pixels_of_an_odd_colour_are_never_taken_in_silence() -> None:
    grey, labels = micrograph(FIBSEM_PHASES)
    painted = paint(grey, labels, FIBSEM_PHASES)
    odd = np.random.default_rng(1).random(labels.shape) < 0.005
    painted[odd] = (0, 0, 255)
    (note,) = decode_mask(painted, FIBSEM_PHASES).report.notes
    assert note.startswith(f"{odd.mean():.2%} of the pixels, such as (0, 0, 255) in row ")
    assert "have colours that no paints mix to" in note


def test_paint_that_covers_all_lies_over_no_image() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (24, 32)).astype(np.uint8)
    image = np.where(np.random.default_rng(1).random(labels.shape) < 0.1, 255, 90).astype(np.uint8)
    greys = parse_phases("matrix:#404040,pore:white")
    mask = np.repeat(np.array([64, 255], np.uint8)[labels][..., None], 3, axis=2)
    np.testing.assert_array_equal(decode_mask(mask, greys, image=image).labels, labels)


PALETTES: dict[str, list[int]] = {
    "of the phases": [255, 0, 0, 255, 255, 0, 0, 128, 0],
    "with a stronger green": [255, 0, 0, 255, 255, 0, 0, 255, 0],
    "of PASCAL VOC": [0, 0, 0, 128, 0, 0, 0, 128, 0],
    "of another tool": [51, 34, 136, 17, 119, 51, 136, 34, 85],
}


@pytest.mark.parametrize("name", PALETTES)
def test_a_palette_is_read_by_its_colours_or_else_by_its_numbers(name: str, tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (24, 32)).astype(np.uint8)
    picture = Image.fromarray(labels).convert("L")
    picture.putpalette(PALETTES[name] + [0] * (768 - 9))
    picture.save(tmp_path / "m.png")
    colours = np.zeros((3, 256), np.uint16)
    colours[:, :3] = np.array(PALETTES[name]).reshape(3, 3).T * 257
    tifffile.imwrite(tmp_path / "m.tif", labels, photometric="palette", colormap=colours)
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "a.png")
    for mask in ("m.png", "m.tif"):
        read = read_micrographs(tmp_path / "a.png")
        decoded = read_mask(tmp_path / mask, FIBSEM_PHASES, read)
        np.testing.assert_array_equal(decoded.labels, labels)
        by_number = any("numbers of its palette" in note for note in decoded.report.notes)
        assert by_number == (name in ("of PASCAL VOC", "of another tool"))


def test_a_palette_in_another_order_is_read_by_its_colours(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (24, 32)).astype(np.uint8)
    picture = Image.fromarray((labels + 1) % 3).convert("L")
    picture.putpalette([0, 255, 0, 255, 0, 0, 255, 255, 0] + [0] * (768 - 9))
    picture.save(tmp_path / "m.png")
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "a.png")
    read = read_micrographs(tmp_path / "a.png")
    decoded = read_mask(tmp_path / "m.png", FIBSEM_PHASES, read)
    np.testing.assert_array_equal(decoded.labels, labels)
