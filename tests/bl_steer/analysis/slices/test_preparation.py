"""Slices as instruments write them: bars, squares, order, and what must be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from skimage.transform import resize

from bl_steer.analysis.slices import SliceParams, prepare
from bl_steer.analysis.slices.from_files import inputs_from_files
from bl_steer.analysis.slices.prepared_slices import subset
from bl_steer.protocols import Inputs
from bl_steer.slicing.marks import TrackingMarks
from simulators.electron.micrographs import field

IMAGES = np.stack([field("grains", seed, shape=(192, 224)).image for seed in range(4)])
KNOWN = {"pixel_size_nm": 10.0, "pitch_nm": 100.0}
FILES = {"files": ["folder"]}


def with_bar(images: NDArray[Any], rows: int = 16) -> NDArray[Any]:
    bar = np.zeros((len(images), rows, images.shape[2]), images.dtype)
    bar[:, 4:8, 10:60:3] = 255
    return np.concatenate([images, bar], axis=1)


def prepared(images: NDArray[Any] = IMAGES, known: Any = KNOWN, **params: Any) -> Inputs:
    return prepare(Inputs({"slices": images}, known, FILES), SliceParams(**params))


@pytest.mark.parametrize(("lacks", "gives"), [("pixel_size_nm", 10.0), ("pitch_nm", 100.0)])
def test_what_is_not_known_is_asked_for_by_its_name(lacks: str, gives: float) -> None:
    known = {key: value for key, value in KNOWN.items() if key != lacks}
    with pytest.raises(ValueError, match=f"must have {lacks}, which their files do not state"):
        prepared(known=known)
    assert prepared(known=known, **{lacks: gives}).metadata[lacks] == gives


def test_a_length_that_contradicts_the_files_is_told() -> None:
    notes = prepared(pitch_nm=50.0, pixel_size_nm=10.0).notes
    assert [n for n in notes if "a pitch of 100 nm; 50 nm was given and is used" in n]
    assert not [n for n in notes if "a pixel of" in n]


@pytest.mark.parametrize("params", [{"pixel_size_nm": 0.01}, {"pitch_nm": 0.05}])
def test_lengths_that_were_meant_in_micrometres_are_doubted(params: dict[str, float]) -> None:
    known = {**KNOWN, **params}
    assert any("were they meant in µm?" in note for note in prepared(known=known).notes)
    assert not any("meant in" in note for note in prepared().notes)


def test_a_bar_below_most_slices_is_cut_off_and_told() -> None:
    barred = with_bar(IMAGES)
    barred[1] = 0  # a blank slice has no bar
    inputs = prepared(barred, columns_deg=90.0)
    np.testing.assert_array_equal(inputs.arrays["slices"][2], IMAGES[2])
    (note,) = inputs.notes
    assert note.startswith("the last 16 of 208 rows look like a data bar and are cut off")
    assert prepared(barred, columns_deg=90.0, bar_px=0).arrays["slices"].shape == (4, 208, 224)
    with pytest.raises(ValueError, match="bar_px must leave rows of the images of 208, got 205"):
        prepared(barred, bar_px=205)


def test_a_bar_that_is_told_too_low_is_doubted() -> None:
    def notes(told: int) -> list[str]:
        found = prepared(with_bar(IMAGES, 24), bar_px=told).notes
        return [note for note in found if "look like a data bar, too" in note]

    (note,) = notes(14)
    assert "the last 10 of the" in note
    assert "give bar_px as 24 if they are" in note
    assert not any(map(notes, (24, 30, 0)))


def test_a_bar_that_the_files_state_is_settled_once() -> None:
    given = prepared(known={**KNOWN, "bar_px": 16}, columns_deg=90.0)
    again = prepare(
        given, SliceParams(bar_px=0, columns_deg=90.0)
    )  # as `reconstruct` hands them on
    assert again.notes == given.notes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_heights_that_the_tilt_has_shortened_are_stretched_again(dtype: Any) -> None:
    sine = np.sin(np.radians(52.0))
    short = np.stack(
        [
            resize(image.astype(float), (round(192 * sine), 224), order=3, preserve_range=True)
            for image in IMAGES
        ]
    ).astype(dtype)
    inputs = prepared(short, columns_deg=52.0)
    image = np.asarray(inputs.arrays["slices"][0])
    assert image.shape == (192, 224)
    assert image.dtype == dtype
    assert np.corrcoef(image[8:-8].ravel(), IMAGES[0][8:-8].ravel())[0, 1] > 0.95
    assert not inputs.notes


def test_marks_are_stretched_with_the_images_that_show_them() -> None:
    marks = TrackingMarks((0, 32), (8, 100), specimen_from=40)
    known = {**KNOWN, "marks": marks.to_dict()}
    stretched = prepared(known=known, columns_deg=53.13).metadata["marks"]
    assert stretched["rows"] == (0, 40)
    assert stretched["specimen_from"] == 50
    assert prepared(known=known, columns_deg=90.0).metadata["marks"] == marks.to_dict()


def test_pixels_that_are_no_squares_are_made_squares_of_their_width() -> None:
    inputs = prepared(IMAGES[:, ::2], {**KNOWN, "pixel_height_nm": 20.0})
    assert inputs.arrays["slices"].shape == (4, 192, 224)
    assert "pixel_height_nm" not in inputs.metadata
    assert "pixels of 10 × 20 nm (width, height) are resampled" in inputs.notes[0]
    (note,) = prepared(IMAGES, {**KNOWN, "pixel_height_nm": 12.69}, columns_deg=90.0).notes
    assert "state pixels 12.69 nm high; with columns_deg 90 they are 10 nm, which is used" in note
    assert not prepared(IMAGES, {**KNOWN, "pixel_height_nm": 12.69}, columns_deg=52.0).notes


def test_a_tilt_that_nobody_speaks_of_is_told_once() -> None:
    (note,) = prepared().notes
    assert "do not say whether heights in the images are corrected for the tilt" in note
    assert not prepared(known={**KNOWN, "tilt_corrected": True}).notes
    (twice,) = prepared(known={**KNOWN, "tilt_corrected": True}, columns_deg=52.0).notes
    assert "stretched once more" in twice


def test_slices_in_reverse_begin_with_the_last_and_keep_their_gaps() -> None:
    inputs = Inputs(
        {"slices": IMAGES[:3], "slice": np.array([1, 2, 4])}, {**KNOWN, "first_slice": 1}
    )
    turned = prepare(inputs, SliceParams(reverse=True))
    assert turned.arrays["slice"].tolist() == [1, 3, 4]
    np.testing.assert_array_equal(turned.arrays["slices"][0], IMAGES[2])
    assert "numbered from the last: 4 is 1" in turned.notes[0]


def test_a_subset_keeps_numbers_and_gaps() -> None:
    inputs = prepared(reverse=True, columns_deg=90.0)
    some = subset(inputs, [0, 2, 3])
    assert some.arrays["slice"].tolist() == [0, 2, 3]
    np.testing.assert_array_equal(some.arrays["slices"][1], IMAGES[1])


def header(corrected: str) -> dict[str, Any]:
    text = (
        f"[User]\r\nDate=01/05/2026\r\n[EBeam]\r\nHV=2000\r\nTiltCorrectionIsOn={corrected}\r\n"
        "[Scan]\r\nPixelWidth=1e-08\r\nPixelHeight=1e-08\r\n[Image]\r\nResolutionX=224\r\n"
        "ResolutionY=192\r\n"
    )
    return {"metadata": None, "extratags": [(34682, "s", len(text) + 1, text, True)]}


def zeiss(corrected: str) -> dict[str, Any]:
    lines = ["", "AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 10.00 nm"]
    lines += ["DP_TILT_CORRECTION", f"Tilt Corrn. = {corrected}", ""]
    text = "\r\n".join(lines)
    return {"metadata": None, "extratags": [(34118, "s", len(text) + 1, text, True)]}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [(header("yes"), True), (header("no"), False), (zeiss("On"), True), (zeiss("Off"), False)],
)
def test_a_folder_says_its_pixel_its_tilt_and_which_slices_it_lacks(
    tags: dict[str, Any], expected: bool, tmp_path: Path
) -> None:
    for number, image in zip((1, 2, 4, 5), IMAGES, strict=True):
        whole = image[:100] if number == 5 else image
        tifffile.imwrite(tmp_path / f"s_{number}.tif", whole, photometric="minisblack", **tags)
    inputs = inputs_from_files([tmp_path])
    assert inputs.arrays["slice"].tolist() == [1, 2, 4]
    assert inputs.metadata["first_slice"] == 1
    assert inputs.metadata["pixel_size_nm"] == 10.0
    assert inputs.metadata.get("tilt_corrected") is expected
    assert any("'s_5.tif' has fewer rows than the other slices" in n for n in inputs.notes)


def test_slices_of_unlike_pixels_use_none_of_them(tmp_path: Path) -> None:
    for number, image in enumerate(IMAGES):
        tags = zeiss("On")
        if number == 3:
            tags["extratags"] = [
                (*tag[:3], tag[3].replace("10.00", "20.00"), tag[4]) for tag in tags["extratags"]
            ]
        tifffile.imwrite(tmp_path / f"s_{number}.tif", image, photometric="minisblack", **tags)
    inputs = inputs_from_files([tmp_path])
    assert "pixel_size_nm" not in inputs.metadata
    assert any("state pixels of 10 to 20 nm: none of them is used" in n for n in inputs.notes)
    with pytest.raises(ValueError, match=r"do not state \(.* states pixels of 10 to 20 nm: take"):
        prepare(inputs, SliceParams(pitch_nm=100.0))
