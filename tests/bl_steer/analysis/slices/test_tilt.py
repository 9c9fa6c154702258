"""What headers say of a tilt correction, and what that does to heights on the face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from bl_steer.analysis.slices import SliceParams, prepare
from bl_steer.analysis.slices.from_files import inputs_from_files

FACE = np.random.default_rng(0).integers(20, 230, (96, 128)).astype(np.uint8)


def fei(corrected: str, degrees: float) -> tuple[int, str]:
    return 34682, (
        f"[EBeam]\r\nHV=2000\r\nTiltCorrectionIsOn={corrected}\r\n"
        f"TiltCorrectionAngle={math.radians(degrees):.6f}\r\n[Scan]\r\nPixelWidth=1e-08\r\n"
        "PixelHeight=1e-08\r\n[Image]\r\nResolutionX=128\r\nResolutionY=96\r\n"
    )


def zeiss(corrected: str, degrees: float) -> tuple[int, str]:
    lines = ["", "AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 10.00 nm", "DP_TILT_CORRECTION"]
    lines += [f"Tilt Corrn. = {corrected}", "AP_TILT_ANGLE", f"Tilt Angle = {degrees:.1f} °", ""]
    return 34118, "\r\n".join(lines)


def tescan(degrees: float) -> tuple[int, str]:
    return 50431, f"PixelSizeX=1e-8\r\nPixelSizeY=1e-8\r\nHV=2000\r\nTiltCorrection={degrees}\r\n"


def notes(folder: Path, headers: Sequence[tuple[int, str]], **params: Any) -> list[str]:
    """Return what is said of the tilt where slices have headers."""
    for number, (code, text) in enumerate(headers):
        content = text.encode("cp1252")
        tifffile.imwrite(folder / f"s_{number}.tif", np.roll(FACE, number, 0), metadata=None,
                         photometric="minisblack",
                         extratags=[(code, 2, len(content) + 1, content, True)])  # fmt: skip
    given = prepare(inputs_from_files([folder]), SliceParams(pitch_nm=50.0, **params))
    return [note for note in given.notes if "tilt" in note]


@pytest.mark.parametrize("columns", [{}, {"columns_deg": 52.0}])
def test_a_stack_of_which_a_part_is_corrected_is_named(tmp_path: Path, columns: Any) -> None:
    (note,) = notes(tmp_path, [fei("yes", -38.0)] * 3 + [fei("no", -38.0)] * 3, **columns)
    assert "(on at 38° in s_0.tif … s_2.tif, off in s_3.tif … s_5.tif)" in note
    assert "-21 %" in note


def test_corrections_by_several_angles_are_named(tmp_path: Path) -> None:
    (note,) = notes(tmp_path, [fei("yes", 38.0)] * 3 + [fei("yes", 52.0)])
    assert "(on at 38° in s_0.tif … s_2.tif, on at 52° in s_3.tif)" in note


@pytest.mark.parametrize(
    ("header", "effect"),
    [
        (fei("yes", 52.0), "1.28 times the true ones there, +28 %"),
        (zeiss("On", 54.0), "1.34 times the true ones there, +34 %"),
        (tescan(55.0), "1.37 times the true ones there, +37 %"),
        (fei("yes", 20.0), ".84 times the true ones there, -16 %"),
        (fei("yes", 0.0), "nothing is corrected: where the columns stand 52° apart"),
    ],
)
def test_an_angle_that_fits_no_columns_is_named_with_its_effect(
    tmp_path: Path, header: tuple[int, str], effect: str
) -> None:
    (note,) = notes(tmp_path, [header] * 3)
    assert effect in note
    assert not notes(tmp_path, [header] * 3, columns_deg=90.0)


@pytest.mark.parametrize("header", [fei("yes", -38.0), zeiss("On", 36.0), tescan(35.0)])
def test_a_correction_that_fits_is_no_matter(tmp_path: Path, header: tuple[int, str]) -> None:
    assert not notes(tmp_path, [header] * 3)
    (twice,) = notes(tmp_path, [header] * 3, columns_deg=52.0)
    assert "stretched once more" in twice


def test_heights_that_a_correction_of_nothing_left_are_stretched_as_told(tmp_path: Path) -> None:
    assert not notes(tmp_path, [fei("yes", 0.0)] * 3, columns_deg=52.0)


@pytest.mark.parametrize("header", [fei("no", 38.0), zeiss("Off", 36.0), tescan(0)])
def test_a_correction_that_is_off_is_said_to_be_off(
    tmp_path: Path, header: tuple[int, str]
) -> None:
    (note,) = notes(tmp_path, [header] * 3)
    assert note.startswith("the files say that heights in the images are not corrected")
