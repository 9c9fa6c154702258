"""Micrographs of every usual form are read as they are; what is no image is refused in one line."""

from __future__ import annotations

import logging
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from bl_steer.files.formats import FORMATS, SUFFIXES
from bl_steer.files.images import list_images, read_colours, read_micrographs

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (13, 17), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (13, 17), dtype=np.uint16)
REAL = RNG.normal(size=(13, 17)).astype(np.float32)


def save(path: Path, image: NDArray[Any], **options: Any) -> Path:
    if path.suffix == ".tif":
        tifffile.imwrite(path, image, **options)
    elif path.suffix == ".npy":
        np.save(path, image)
    else:
        Image.fromarray(image).save(path, **options)
    return path


@pytest.mark.parametrize("image", [GREY, DEEP, REAL, REAL.astype(np.float64), DEEP.astype(np.int32),
                                   DEEP.astype(np.uint32), DEEP.astype(">u2")])  # fmt: skip
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_grey_values_keep_their_value_and_type(
    tmp_path: Path, image: NDArray[Any], suffix: str
) -> None:
    (field,) = read_micrographs(save(tmp_path / f"a{suffix}", image)).fields
    assert field.dtype == image.dtype.newbyteorder("=")
    np.testing.assert_array_equal(field, image)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_ending_of_the_table_is_listed_and_read(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", GREY)
    assert list_images(tmp_path) == [path]
    assert read_micrographs(path).fields[0].shape == GREY.shape


@pytest.mark.parametrize("page", ["micrographs", "structure", "volumes"])
def test_the_how_to_pages_name_every_format_that_is_read(page: str) -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / f"{page}.md").read_text()
    assert not [name for name in FORMATS if name not in text]


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_pictures_of_8_bits_are_read_exactly(tmp_path: Path, suffix: str) -> None:
    (field,) = read_micrographs(save(tmp_path / f"a{suffix}", GREY)).fields
    np.testing.assert_array_equal(field, GREY)


def test_png_of_16_bits_keeps_its_bits(tmp_path: Path) -> None:
    (field,) = read_micrographs(save(tmp_path / "a.png", DEEP)).fields
    assert field.dtype == np.uint16
    np.testing.assert_array_equal(field, DEEP)


def test_jpeg_is_read_close_to_what_was_saved(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    (field,) = read_micrographs(save(tmp_path / "a.jpg", ramp, quality=95)).fields
    assert np.abs(field.astype(int) - ramp).max() < 12


@pytest.mark.parametrize("codec", ["zlib", "lzw", "packbits", None])
@pytest.mark.parametrize("image", [GREY, DEEP])
def test_compressed_tiff_is_read_exactly(
    tmp_path: Path, codec: str | None, image: NDArray[Any]
) -> None:
    path = tmp_path / "a.tif"
    if codec in ("lzw", "packbits"):
        names = {"lzw": "tiff_lzw", "packbits": "packbits"}
        Image.fromarray(image).save(path, compression=names[str(codec)])
    else:
        tifffile.imwrite(path, image, compression=codec, predictor=codec == "zlib")
    np.testing.assert_array_equal(read_micrographs(path).fields[0], image)


def test_stacks_give_a_field_for_each_page(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (5, 13, 17), dtype=np.uint8)
    paths = [tmp_path / f"{name}.tif" for name in ("pages", "big", "imagej", "single")]
    tifffile.imwrite(paths[0], stack, photometric="minisblack")
    tifffile.imwrite(paths[1], stack, photometric="minisblack", bigtiff=True)
    tifffile.imwrite(paths[2], stack, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffWriter(paths[3], imagej=True) as writer:
        writer.write(stack, truncate=True, metadata={"axes": "ZYX"})
    for path in [*paths, save(tmp_path / "stack.npy", stack)]:
        np.testing.assert_array_equal(read_micrographs(path).fields, stack)


def test_equal_channels_become_grey_exactly_and_alpha_is_dropped(tmp_path: Path) -> None:
    rgba = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 200)])
    for name, image in [("a.png", rgba), ("a.tif", rgba[..., :3]), ("b.png", rgba[..., 2:])]:
        found = read_micrographs(save(tmp_path / name, image))
        np.testing.assert_array_equal(found.fields[0], GREY)
        assert ("alpha" in " ".join(found.notes)) == (image.shape[2] in (2, 4))


def test_how_much_is_transparent_is_told(tmp_path: Path) -> None:
    image = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)]).astype(np.uint8)
    image[:, : GREY.shape[1] // 2, 3] = 0
    share = (image[..., 3] == 0).mean()
    (note,) = read_micrographs(save(tmp_path / "a.png", image)).notes
    assert f"{share:.1%} of the image is transparent, and is counted all the same" in note


def test_colour_becomes_luminance_and_says_so(tmp_path: Path) -> None:
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 0] = 255
    red[0, 0] = 0
    found = read_micrographs(save(tmp_path / "red.png", red))
    assert set(found.fields[0].ravel()) == {0, 76}  # .299 of 255
    assert found.notes == ("red.png: The image has colours: its luminance is used.",)


def test_planar_inverted_and_palette_pages_are_put_right(tmp_path: Path) -> None:
    planar = np.stack([GREY] * 3)
    save(tmp_path / "planar.tif", planar, photometric="rgb", planarconfig="separate")
    save(tmp_path / "white.tif", 255 - GREY, photometric="miniswhite")
    palette = Image.fromarray(GREY).convert("P")
    for suffix in ("png", "tif"):
        palette.save(tmp_path / f"palette.{suffix}")
    for path in list_images(tmp_path):
        np.testing.assert_array_equal(read_micrographs(path).fields[0], GREY, err_msg=path.name)


def test_colours_come_back_as_stored(tmp_path: Path) -> None:
    rgb = RNG.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    for name in ("a.png", "a.tif", "a.npy"):
        np.testing.assert_array_equal(read_colours(save(tmp_path / name, rgb)), rgb)


def test_pixel_size_comes_from_physical_units_only(tmp_path: Path) -> None:
    imagej = tmp_path / "imagej.tif"
    tifffile.imwrite(imagej, GREY, imagej=True, resolution=(100, 100), metadata={"unit": "um"})
    assert read_micrographs(imagej).pixel_size_nm == pytest.approx(10.0)
    centimetres = save(tmp_path / "cm.tif", GREY, resolution=(1e6, 1e6), resolutionunit=3)
    assert read_micrographs(centimetres).pixel_size_nm == pytest.approx(10.0)
    for dpi in (72, 96, 300):
        screen = save(tmp_path / f"{dpi}.tif", GREY, resolution=(dpi, dpi), resolutionunit=2)
        assert read_micrographs(screen).pixel_size_nm is None
        picture = save(tmp_path / f"{dpi}.png", GREY, dpi=(dpi, dpi))
        assert read_micrographs(picture).pixel_size_nm is None


def test_the_microscopes_own_header_wins(tmp_path: Path) -> None:
    header = b"[EBeam]\r\nHV=2000\r\nWD=0.004\r\n[EScan]\r\nPixelWidth=3.5e-009\r\n"
    fei = save(tmp_path / "fei.tif", GREY, resolution=(1e6, 1e6), resolutionunit=3,
               extratags=[(34682, 2, len(header), header, True)])  # fmt: skip
    found = read_micrographs(fei)
    assert found.pixel_size_nm == pytest.approx(3.5)
    assert found.metadata == {"accelerating_voltage_kV": 2.0, "working_distance_mm": 4.0}
    lines = ["", "AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 12.5 nm", "AP_ACTUALKV",
             "EHT = 5.00 kV", "AP_WD", "WD = 4.2 mm", ""]  # fmt: skip
    text = "\r\n".join(lines).encode()
    zeiss = save(tmp_path / "zeiss.tif", GREY, extratags=[(34118, 2, len(text), text, True)])
    assert read_micrographs(zeiss).pixel_size_nm == pytest.approx(12.5)
    assert read_micrographs(zeiss).metadata["accelerating_voltage_kV"] == 5.0


@pytest.mark.parametrize(
    "text",
    ["$CM_ACCEL_VOLT 5.00\n$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER 1um\n",
     "[SemImageFile]\r\nPixelSize=10\r\nAcceleratingVoltage=5000 Volt\r\n"],
)  # fmt: skip
def test_the_text_file_beside_an_image_is_read(tmp_path: Path, text: str) -> None:
    path = save(tmp_path / "a.png", GREY)
    path.with_suffix(".txt").write_text(text)
    found = read_micrographs(path)
    assert (found.pixel_size_nm, found.metadata) == (10.0, {"accelerating_voltage_kV": 5.0})


def test_missing_values_are_noted(tmp_path: Path) -> None:
    notes = {
        "no finite": read_micrographs(save(tmp_path / "n.npy", np.full((4, 4), np.nan))).notes,
        "not finite in 4 of its 16 pixels": read_micrographs(
            save(tmp_path / "p.npy", np.where(np.eye(4, dtype=bool), np.nan, np.arange(4.0)))
        ).notes,
    }
    for word, (note,) in notes.items():
        assert word in note


def test_a_description_of_another_shape_is_not_believed_and_makes_no_noise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / "a.tif", np.dstack([GREY] * 4), photometric="rgb", metadata=None,
                description='{"shape": [13, 17, 3]}')  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        np.testing.assert_array_equal(read_micrographs(path).fields[0], GREY)
    assert not caplog.records


def test_images_are_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("slice_10.png", "slice_2.png", "slice_1.tif", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in list_images(tmp_path)] == ["slice_1.tif", "slice_2.png", "slice_10.png"]
    with pytest.raises(ValueError, match="folder must exist"):
        list_images(tmp_path / "none")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1_000_000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data))


def tiff_of(path: Path, entries: dict[int, tuple[int, int, int]], data: bytes = b"") -> None:
    """Write a TIFF of one directory: code → (type, count, value), with the data at byte 200."""
    rows = [struct.pack("<HHII", code, *entry) for code, entry in sorted(entries.items())]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(rows)) + b"".join(rows) + bytes(4)
    path.write_bytes(head.ljust(200, b"\0") + data)


def tiff_entries(width: int, height: int, codec: int, size: int) -> dict[int, tuple[int, int, int]]:
    return {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, codec),
            262: (3, 1, 1), 273: (4, 1, 200), 277: (3, 1, 1), 278: (4, 1, height),
            279: (4, 1, size)}  # fmt: skip


def tiff_bomb(path: Path) -> None:
    tiff_of(path, tiff_entries(2_000_000_000, 2_000_000_000, 1, 10), bytes(10))


def tiff_hollow(path: Path) -> None:
    tiff_of(path, tiff_entries(15_000, 15_000, 1, 10), bytes(10))


def tiff_inflating(path: Path) -> None:
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(1_000_000)) for _ in range(150)) + packer.flush()
    tiff_of(path, tiff_entries(100, 100, 8, len(data)), data)


def tiff_of_many_pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        for _ in range(6000):
            writer.write(np.zeros((1, 1), np.uint8), metadata=None)


def png_of_long_text(path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "0" * 70_000_000, zip=True)
    Image.fromarray(GREY).save(path, pnginfo=text)


@pytest.mark.parametrize(
    ("bomb", "suffix"),
    [(png_bomb, "png"), (tiff_bomb, "tif"), (tiff_hollow, "tif"), (tiff_inflating, "tif"),
     (tiff_of_many_pages, "tif"), (png_of_long_text, "png")],
)  # fmt: skip
def test_bombs_are_refused_at_once(tmp_path: Path, bomb: Any, suffix: str) -> None:
    path = tmp_path / f"bomb.{suffix}"
    bomb(path)
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(ValueError, match=r"bomb\.\w+ must"):
            read_micrographs(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
        assert time.process_time() - begin < 2.0
    finally:
        tracemalloc.stop()


def truncate(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def wrong_files(tmp: Path) -> dict[str, tuple[Path, str]]:
    """Return wrong files by what is wrong, with a part of the message."""
    noise = RNG.integers(0, 256, (64, 64), dtype=np.uint8)
    (tmp / "empty.tif").touch()
    (tmp / "text.png").write_text("no image at all")
    (tmp / "corrupt.tif").write_bytes(b"II*\0\xff\xff\xff\x7f" + bytes(50))
    video = np.zeros((2, 3, 4, 8, 8), np.uint8)
    tifffile.imwrite(tmp / "video.tif", video, photometric="minisblack")
    hyper = np.zeros((2, 3, 8, 8), np.uint8)
    tifffile.imwrite(tmp / "hyper.tif", hyper, imagej=True, metadata={"axes": "TZYX"})
    return {
        "missing": (tmp / "none.tif", "none.tif', which does not exist; check the path"),
        "a folder": (tmp, "got the folder"),
        "empty": (tmp / "empty.tif", "an empty file"),
        "no image": (tmp / "text.png", "must be a TIFF, PNG, BMP, JPEG or npy file"),
        "corrupt TIFF": (tmp / "corrupt.tif", "must be a whole TIFF image"),
        "truncated TIFF": (truncate(save(tmp / "t.tif", noise), 0.6), "must be a whole TIFF image"),
        "truncated packed TIFF": (
            truncate(save(tmp / "z.tif", noise, compression="zlib"), 0.6), "must be a whole TIFF"),
        "truncated PNG": (truncate(save(tmp / "t.png", noise), 0.6), "must be a whole PNG image"),
        "truncated JPEG": (truncate(save(tmp / "t.jpg", noise), 0.6), "must be a whole JPEG image"),
        "truncated npy": (truncate(save(tmp / "t.npy", noise), 0.6), "must be a whole npy image"),
        "5-D": (tmp / "video.tif", "one image or one stack"),
        "hyperstack": (tmp / "hyper.tif", "one image or one stack"),
        "5-D array": (save(tmp / "v.npy", video), "one image or a stack"),
        "complex": (save(tmp / "c.npy", noise + 1j), "real grey or RGB values"),
        "objects": (save(tmp / "o.npy", np.array([[None]])), "must be a whole npy image"),
        "spectra": (save(tmp / "s.tif", np.zeros((8, 8, 6), np.uint8), photometric="minisblack",
                         planarconfig="contig"), "grey or RGB"),
    }  # fmt: skip


def test_each_wrong_file_is_refused_in_one_line(tmp_path: Path) -> None:
    for what, (path, message) in wrong_files(tmp_path).items():
        with pytest.raises(ValueError, match=message) as caught:
            read_micrographs(path)
        assert "\n" not in str(caught.value), what
        assert len(str(caught.value)) < 400, what


def test_max_pixels_counts_all_pages(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.zeros((5, 10, 10), np.uint8), photometric="minisblack")
    assert len(read_micrographs(path, max_pixels=500).fields) == 5
    with pytest.raises(ValueError, match="at most 499 pixels, got 500"):
        read_micrographs(path, max_pixels=499)
