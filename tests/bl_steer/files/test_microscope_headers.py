"""Images as each microscope writes them: pixel, voltage, distance, where the data bar begins."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from bl_steer.files.images import read_micrographs
from bl_steer.files.stacks import open_slices

ROWS, COLUMNS, BAR = 48, 64, 8
FACE = np.random.default_rng(0).integers(20, 230, (ROWS, COLUMNS)).astype(np.uint8)
Writer = Callable[[Path, NDArray[Any]], Path]


def with_bar(face: NDArray[Any] = FACE) -> NDArray[Any]:
    """Return an image above a data bar: black paper with some white ink."""
    bar = np.zeros((BAR, face.shape[1]), face.dtype)
    bar[2:5, 4:20:2] = 255
    return np.vstack([face, bar])


def tagged(code: int, value: str | bytes) -> Writer:
    def write(folder: Path, image: NDArray[Any]) -> Path:
        path = folder / "s1.tif"
        kind = 1 if isinstance(value, bytes) else 2
        content = value if isinstance(value, bytes) else value.encode()
        tifffile.imwrite(path, image, metadata=None, resolution=(72, 72), resolutionunit=2,
                         extratags=[(code, kind, len(content), content, True)])  # fmt: skip
        return path

    return write


def beside(name: str, content: str | bytes, image_name: str = "s1.png") -> Writer:
    def write(folder: Path, image: NDArray[Any]) -> Path:
        path = folder / image_name
        Image.fromarray(image).save(path)
        text = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(text)
        return path

    return write


def tescan_tag() -> bytes:
    main = b"AccFrames=1\nDevice=AMBER X\nImageStripSize=8\nPixelSizeX=5e-09\nPixelSizeY=5e-09\n"
    sem = b"ChamberPressure=.001\nHV=2000.0\nPrimaryHV=7\nStageTilt=55\nTiltCorrection=0\nWD=.004\n"
    blocks = ((1, b"\xff\xd8thumbnail\xff\xd9"), (2, main), (3, sem), (0, b""))
    return b"".join(struct.pack("<IH", len(data) + 2, kind) + data for kind, data in blocks)


TESCAN = (
    "[MAIN]\r\nDevice=LYRA3\r\nImageStripSize=8\r\nPixelSizeX=5.0e-9\r\nPixelSizeY=5.0e-9\r\n"
    "[SEM]\r\nHV=2000\r\nWD=0.004\r\nTiltCorrection=0\r\n"
)
JEOL = (
    "$CM_FORMAT JEOL/SEM\r\n$CM_ACCEL_VOLT 2.00\r\n$CM_FULL_SIZE 64 48\r\n"
    "$$SM_MICRON_BAR 200\r\n$$SM_MICRON_MARKER 1um\r\n$$SM_WD 4.0\r\n"
)
HITACHI = (
    "[SemImageFile]\r\nDataSize=64x48\r\nPixelSize=5\r\nAcceleratingVoltage=2000 Volt\r\n"
    "WorkingDistance=4000 um\r\n"
)
FEI = (
    "[EBeam]\r\nHV=2000\r\nWD=0.004\r\n[Scan]\r\nPixelWidth=5e-9\r\nPixelHeight=5e-9\r\n"
    "[Image]\r\nResolutionX=64\r\nResolutionY=48\r\n"
)
PHENOM = (
    '<?xml version="1.0"?><FeiImage><databarHeight>8</databarHeight>'
    '<pixelWidth unit="um">0.005</pixelWidth><pixelHeight unit="um">0.005</pixelHeight>'
    "<acquisition><acceleratingVoltage>-2000</acceleratingVoltage></acquisition></FeiImage>"
)
ATLAS = (
    '<?xml version="1.0"?><Fibics version="1.2"><Image><Width>{}</Width><Height>{}</Height></Image>'
    "<Scan><Ux>0.004</Ux><Uy>0.003</Uy><Vx>0.003</Vx><Vy>-0.004</Vy></Scan></Fibics>"
)
WRITERS: dict[str, Writer] = {
    "FEI": tagged(34682, FEI),
    "Phenom": tagged(34683, PHENOM),
    "Atlas": tagged(51023, ATLAS.format(COLUMNS, ROWS)),
    "Tescan, in a tag": tagged(50431, tescan_tag()),
    "Tescan, beside a PNG": beside("s1-png.hdr", TESCAN),
    "Tescan, beside a TIFF": beside("s1-tif.hdr", TESCAN, "s1.tif"),
    "Tescan, of one stem": beside("s1.hdr", TESCAN, "s1.tif"),
    "JEOL": beside("s1.txt", JEOL, "s1.bmp"),
    "JEOL, beside a TIFF": beside("s1.txt", JEOL, "s1.tif"),
    "Hitachi": beside("s1.txt", HITACHI),
    "Hitachi, in UTF-16": beside("s1.txt", HITACHI.encode("utf-16"), "s1.tif"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
def test_pixel_and_data_bar_are_as_the_microscope_says(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, with_bar())
    found = read_micrographs(path)
    assert found.pixel_size_nm == 5.0
    assert (found.bar_rows, found.fields[0].shape) == (BAR, (ROWS, COLUMNS))
    np.testing.assert_array_equal(found.fields[0], FACE)
    assert any("data bar of 8 rows" in note for note in found.notes)
    slices = open_slices([path])
    assert slices.known["pixel_size_nm"] == 5.0
    assert slices.known["bar_px"] == BAR
    np.testing.assert_array_equal(slices.array, FACE[None])


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"Atlas"}))
def test_voltage_and_distance_are_as_the_microscope_says(tmp_path: Path, name: str) -> None:
    found = read_micrographs(WRITERS[name](tmp_path, FACE))
    assert found.metadata["accelerating_voltage_kV"] == 2.0
    assert found.metadata.get("working_distance_mm", 4.0) == 4.0


@pytest.mark.parametrize(
    "image", [np.vstack([FACE, FACE[::-1]]), with_bar()[::-1]], ids=["two in one", "upside down"]
)
def test_rows_beyond_a_header_that_are_no_bar_stay(tmp_path: Path, image: NDArray[Any]) -> None:
    sized = f"[Image]\nResolutionX={COLUMNS}\nResolutionY={ROWS}\n[Scan]\nPixelWidth=5e-9\n"
    found = read_micrographs(tagged(34682, sized)(tmp_path, image))
    assert found.bar_rows == 0
    assert np.array_equal(found.fields[0], image)
    assert any("no rows are left out; give bar_px" in note for note in found.notes)


@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
def test_an_image_whose_bar_was_cut_off_stays_whole(tmp_path: Path, write: Writer) -> None:
    found = read_micrographs(write(tmp_path, FACE))
    assert (found.bar_rows, found.pixel_size_nm) == (0, 5.0)
    np.testing.assert_array_equal(found.fields[0], FACE)


@pytest.mark.parametrize("name", ["FEI", "Atlas", "JEOL", "Hitachi"])
@pytest.mark.parametrize("times", [0.5, 2])
def test_a_resampled_image_keeps_its_rows_and_its_pixel_is_doubted(
    tmp_path: Path, name: str, times: float
) -> None:
    image = with_bar()
    seen = image[::2, ::2] if times < 1 else image.repeat(2, axis=0).repeat(2, axis=1)
    found = read_micrographs(WRITERS[name](tmp_path, seen))
    np.testing.assert_array_equal(found.fields[0], seen)
    (note,) = (note for note in found.notes if "resampled" in note)
    assert "64 × 48 pixels" in note
    assert f"{seen.shape[1]} × {seen.shape[0]}" in note


def test_two_sources_that_differ_are_named(tmp_path: Path) -> None:
    path = tagged(34682, FEI)(tmp_path, FACE)
    path.with_suffix(".txt").write_text(JEOL.replace("BAR 200", "BAR 100"))
    found = read_micrographs(path)
    assert found.pixel_size_nm == 5.0
    (note,) = (note for note in found.notes if "10 nm" in note)
    assert "header of FEI" in note
    assert "the file .txt beside it one of 10 nm" in note


@pytest.mark.parametrize(
    "write",
    [tagged(51023, "<Fibics><Scan>"), tagged(51023, '<!DOCTYPE a [<!ENTITY b "c">]><Fibics/>'),
     tagged(50431, b"\x00\xff\x01nothing"), tagged(34683, "<FeiImage/>"),
     beside("s1.txt", "notes of a colleague: 5 nm"), beside("s1.hdr", b"\x00" * 99)],
)  # fmt: skip
def test_what_is_no_header_says_nothing(tmp_path: Path, write: Writer) -> None:
    found = read_micrographs(write(tmp_path, with_bar()))
    assert (found.pixel_size_nm, found.bar_rows, dict(found.metadata)) == (None, 0, {})


def tescan_slices(folder: Path, headers: list[str]) -> list[Path]:
    """Write slices with a data bar, and beside each what is said to be its header."""
    for number, header in enumerate(headers):
        Image.fromarray(with_bar(np.roll(FACE, number, 0))).save(folder / f"s{number}.png")
        (folder / f"s{number}-png.hdr").write_text(header)
    return [folder / f"s{number}.png" for number in range(len(headers))]


def test_a_slice_whose_header_is_empty_loses_the_bar_of_the_others(tmp_path: Path) -> None:
    slices = open_slices(tescan_slices(tmp_path, [TESCAN, "", TESCAN, TESCAN]))
    np.testing.assert_array_equal(slices.array, [np.roll(FACE, n, 0) for n in range(4)])
    assert slices.known["bar_px"] == BAR
    assert any("s1.png" in note and "8 rows" in note for note in slices.notes)


def test_a_bar_that_is_not_where_a_header_says_is_left_in_and_told(tmp_path: Path) -> None:
    wrong = TESCAN.replace("StripSize=8", "StripSize=30")
    paths = tescan_slices(tmp_path, [wrong] * 4)
    Image.fromarray(np.zeros((ROWS + BAR, COLUMNS), np.uint8)).save(paths[2])  # a blank one
    slices = open_slices(paths, leave_out_short=True)
    assert slices.array.shape == (3, ROWS + BAR, COLUMNS)
    assert any("30 rows" in note and "left in" in note for note in slices.notes)
    assert any("s2.png" in note and "the others have not" in note for note in slices.notes)
