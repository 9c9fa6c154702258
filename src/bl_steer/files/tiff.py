"""Decode TIFF files, and refuse what their headers or data give away.

`read_tiff` is for micrographs: as a viewer shows them, palettes as colours and "white is zero"
inverted. tifffile reads their pages one by one: its series trust descriptions that editors copy
into files of another shape. `read_voxels` is for stacks and label volumes: the stored numbers,
since a palette's indices are the labels.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from bl_steer.files import image_metadata
from bl_steer.files.errors import FileFormatError
from bl_steer.files.tiff_damage import check_segments, refuse_truncated

__all__ = [
    "MAX_PAGES",
    "RawPages",
    "allow",
    "picture_pixels",
    "quiet",
    "read_tiff",
    "read_voxels",
]

MAX_PAGES = 4096
"""Pages of one TIFF file: beyond any stack of slices, and quick to count."""

PILLOWS = (6, 7)
"""JPEG, in whatever colours: left to Pillow. tifffile takes all other codecs."""
LOSSY = "JPEG changes numbers, most beside edges: save labels as PNG, or as TIFF without JPEG"

PLANES = (
    "it is saved as one image in colours, each in a plane of its own; if these are slices of a "
    "stack, save it as grey (with tifffile, photometric='minisblack')"
)
WHITE = "white is zero in the file: numbers are taken as they are stored"
MOST_LABEL = 16  # below it all numbers of an image are labels: of grey levels it would be blank
BAR = "The data bar of {} rows below the image is left out."


@dataclass
class RawPages:
    """Pages as stored, (H, W) or (H, W, C), with what the file says about them."""

    pages: list[NDArray[Any]]
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bar_rows: int = 0
    """Of a data bar below the image, left out."""


def allow(pixels: int, max_pixels: int) -> None:
    """Refuse more pixels than allowed."""
    if pixels > max_pixels:
        raise FileFormatError(
            f"must hold at most {max_pixels} pixels, got {pixels}; crop it, or raise max_pixels"
        )


def picture_pixels(image: Any) -> NDArray[Any]:
    """Return the pixels of an image of Pillow, palettes as colours: (H, W) or (H, W, C)."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    pixels = np.array(image)
    # Old PNG readers return 16 bits in 32: give back the file's own type.
    return pixels.astype(np.uint16) if image.format == "PNG" and image.mode == "I" else pixels


def read_tiff(stream: IO[bytes], max_pixels: int, *, as_stored: bool = False) -> RawPages:
    """Read the pages of a TIFF file with what it says about them.

    Parameters
    ----------
    as_stored : numbers are kept, and that is said, where the file says that white is zero: of masks

    Raises
    ------
    FileFormatError
        If the file is truncated, larger than allowed, or more than a stack.
    """
    with quiet("tifffile"), tifffile.TiffFile(stream) as tif:
        pages: list[Any] = []
        total = 0
        page: Any
        if len(tif.pages) > MAX_PAGES:
            raise FileFormatError(
                f"must hold at most {MAX_PAGES} pages, got {len(tif.pages)}; split the stack"
            )
        for page in tif.pages:
            total += page.imagewidth * page.imagelength * page.imagedepth
            allow(total, max_pixels)
            pages.append(page)
        refuse_truncated(tif)
        _refuse_hyperstack(tif, pages)
        notes = [f"{PLANES[0].upper()}{PLANES[1:]}."] * _in_planes(tif)
        if len(pages) > 1 and list(_outer(tif.series[0])) == ["C"]:
            notes.append("The file calls its pages channels: each is taken as a field by itself.")
        arrays = _contiguous_stack(tif, pages, max_pixels)
        if arrays is None:
            # A reduced page is the thumbnail of another one.
            arrays = [a for p in pages if not p.is_reduced for a in _decode_page(stream, p)]
        if as_stored and pages[0].photometric == 0:
            arrays, notes = [_inverted(array, pages[0]) for array in arrays], [*notes, WHITE]
        bar = image_metadata.bar_rows(tif)
        return RawPages(
            [array[: len(array) - bar] for array in arrays],
            image_metadata.of_tiff(tif),
            [BAR.format(bar)] * (bar > 0) + notes,
            bar,
        )


def read_voxels(
    path: Path, max_bytes: int, *, as_shown: bool = False
) -> tuple[NDArray[Any], bool, dict[str, Any], list[str]]:
    """Read the first series of a TIFF as stored, and the voxel size that it states.

    Parameters
    ----------
    as_shown : grey levels are inverted where the file says that white is zero, as viewers and
        `read_tiff` do; labels, which are numbers below 16, stay as they are

    Returns
    -------
    tuple
        values (…, Y, X), or (…, Y, X, C) in colours; whether they are; what the file says of
        ``pixel_size_nm``, ``pixel_height_nm``, ``pitch_nm`` and ``voxel_size_nm`` [z, y, x]; what a
        user should know

    Raises
    ------
    FileFormatError
        If the file is truncated, larger than allowed, or its pages differ in type.
    """
    with quiet("tifffile"), tifffile.TiffFile(path) as file:
        refuse_truncated(file)
        _refuse_mixed(file)
        series: Any = file.series[0]
        by_page = len(series.shape) == 2 and _are_alike(file.pages)
        size = series.nbytes * (len(file.pages) if by_page else 1)
        if size > max_bytes:
            raise FileFormatError(
                f"must hold at most {max_bytes / 2**30:.3g} GiB, got {size / 2**30:.3g} GiB; save "
                "it as Zarr, which is read in parts, or cut it"
            )
        values = file.asarray(key=slice(None)) if by_page else series.asarray()
        if "S" in series.axes:
            values = np.moveaxis(values, series.axes.index("S"), -1)
        coloured, bar = "S" in series.axes, image_metadata.bar_rows(file)
        if _in_planes(file) and coloured and (values[..., :3] != values[..., :1]).any():
            raise FileFormatError(f"must hold one value a pixel, but {PLANES}")
        notes = [BAR.format(bar)] * (bar > 0)
        notes += _notes_of_series(file, by_page=by_page)
        notes += [LOSSY] * (file.pages[0].compression in PILLOWS and not as_shown)
        values = _as_meant(values, file.pages[0], as_shown, notes)
        rows = values.shape[-2 - coloured] - bar
        return (
            values[..., :rows, :, :] if coloured else values[..., :rows, :],
            coloured,
            _with_voxel(image_metadata.of_tiff(file), file),
            notes,
        )


def palette_notes(colours: NDArray[Any], numbers: NDArray[Any]) -> list[str]:
    """Return a sentence where numbers are taken for what is shown in other greys, or colours.

    Parameters
    ----------
    colours, numbers : of the same pixels, (H, W, C) and (H, W)
    """
    if all(np.array_equal(colours[..., channel], numbers) for channel in range(3)):
        return []
    return ["a palette shows other greys or colours: the numbers of its colours are taken"]


def _as_meant(values: NDArray[Any], page: Any, as_shown: bool, notes: list[str]) -> NDArray[Any]:
    """Return stored values, or what white is zero makes of them; say where these differ."""
    if page.photometric == 3:
        numbers = np.arange(min(256, np.asarray(page.colormap).shape[-1]))
        notes += palette_notes((np.asarray(page.colormap)[:, numbers] >> 8).T[None], numbers[None])
    if page.photometric != 0:
        return values
    if not as_shown or values.dtype == bool or (values.size and values.max() < MOST_LABEL):
        notes.append(WHITE)
        return values
    return _inverted(values, page)


def _inverted(values: NDArray[Any], page: Any) -> NDArray[Any]:
    """Return grey levels of which the file says that white is zero."""
    if values.dtype == bool:
        return ~values
    return np.asarray(2**page.bitspersample - 1 - values).astype(values.dtype)


def _are_alike(pages: Any) -> bool:
    """Whether there are several pages of one shape, which tifffile may count as several series."""
    return len({page.shape for page in pages}) == 1 < len(pages)


def _outer(series: Any) -> dict[str, int]:
    """Return the letters of the axes besides rows, columns and colours, with their lengths."""
    axes = zip(series.axes, series.shape, strict=True)
    return {axis: size for axis, size in axes if axis not in "YXS" and size > 1}


def _notes_of_series(file: Any, *, by_page: bool) -> list[str]:
    """Say that a file holds more than the stack that is read, or no slices by its own word."""
    others = [s for s in file.series[1:] if not s.pages[0].is_reduced]
    notes = []
    if others and not by_page:
        shape = " × ".join(map(str, file.series[0].shape))
        notes.append(
            f"the file holds {len(others) + 1} images or stacks, of which the first ({shape}) is "
            "read; save another one by itself to have it read"
        )
    if list(_outer(file.series[0])) == ["C"]:
        notes.append(
            f"the file calls its {_outer(file.series[0])['C']} planes channels, and they are taken "
            "as slices in depth: where they are not, save one channel by itself"
        )
    return notes


def _in_planes(tif: Any) -> bool:
    """Whether a file has colours in planes, as tifffile saves three or four slices by default."""
    page = tif.pages[0]
    return bool(page.photometric == 2 and page.planarconfig == 2)


def _refuse_mixed(file: Any) -> None:
    """Refuse pages of one shape and different types: tifffile leaves out those of another."""
    first = file.pages[0]
    for number, page in enumerate(file.pages):
        if page.shape == first.shape and page.dtype != first.dtype:
            raise FileFormatError(
                f"must hold pages of one type, got {page.dtype} in page {number} and {first.dtype} "
                "in page 0; save them alike"
            )


def _with_voxel(known: dict[str, Any], file: Any) -> dict[str, Any]:
    """Return what is known with a voxel: that of ``superres run``, or of pitch and pixel."""
    described = file.shaped_metadata
    text = described[0].get("voxel_nm") if described else None
    try:
        edges = [float(edge) for edge in str(text).split(",")]
    except ValueError:  # another program's
        edges = []
    if len(edges) == 3:
        return {**known, "voxel_size_nm": edges, "pitch_nm": edges[0], "pixel_size_nm": edges[2]}
    if "pitch_nm" not in known or "pixel_size_nm" not in known:
        return known
    width = known["pixel_size_nm"]
    return {
        **known,
        "voxel_size_nm": [known["pitch_nm"], known.get("pixel_height_nm", width), width],
    }


def _refuse_hyperstack(tif: Any, pages: list[Any]) -> None:
    """Refuse a series with more than one axis besides rows, columns and colours."""
    axes = [int((tif.imagej_metadata or {}).get(a, 1)) for a in ("channels", "slices", "frames")]
    described = json.loads(pages[0].shaped_description or "{}").get("shape", ())
    page = tuple(pages[0].shape)
    # Editors copy the description into files of another shape: believe it only if it fits.
    if len(described) > len(page) and tuple(described[-len(page) :]) == page:
        axes = list(described[: -len(page)])
    if tif.is_ome and (outer := _outer(tif.series[0])) and prod(outer.values()) == len(pages):
        axes = list(outer.values())
    if sum(size > 1 for size in axes) > 1:
        raise FileFormatError(
            f"must be one image or one stack, got axes of {axes} over {page}; save one channel "
            "and one time as a stack"
        )


def _contiguous_stack(tif: Any, pages: list[Any], max_pixels: int) -> list[NDArray[Any]] | None:
    """Return a stack whose slices follow the first page without pages of their own (ImageJ)."""
    count = int((tif.imagej_metadata or {}).get("images", 1))
    first = pages[0]
    if len(pages) > 1 or count < 2 or first.compression != 1 or len(first.shape) != 2:
        return None
    allow(count * first.imagewidth * first.imagelength, max_pixels)
    dtype = first.dtype.newbyteorder(tif.byteorder)
    tif.filehandle.seek(first.dataoffsets[0])
    stack = tif.filehandle.read_array(dtype, count * first.size).reshape(count, *first.shape)
    return list(_inverted(stack, first) if first.photometric == 0 else stack)


def _decode_page(stream: IO[bytes], page: Any) -> list[NDArray[Any]]:
    check_segments(stream, page)
    if page.compression not in PILLOWS:
        pixels = np.asarray(page.asarray())
        axes = page.axes
    else:
        stream.seek(0)
        image = TiffImagePlugin.TiffImageFile(stream)
        image.seek(page.index)
        pixels = picture_pixels(image)
        # Pillow has inverted "white is zero" and applied the palette itself.
        return [pixels]
    if page.photometric == 3:
        lookup = np.moveaxis(np.asarray(page.colormap), 0, -1) >> 8
        pixels, axes = lookup.astype(np.uint8)[pixels], f"{axes}S"
    elif page.photometric == 0:
        pixels = _inverted(pixels, page)
    elif page.photometric not in (1, 2):
        raise FileFormatError(
            f"must be grey or RGB, got {page.photometric.name}; convert it to grey"
        )
    if axes.startswith("S"):
        pixels, axes = np.moveaxis(pixels, 0, -1), f"{axes[1:]}S"
    return list(pixels) if axes.startswith("Z") else [pixels]


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Keep what a codec logs about odd files, on this thread, from the user's terminal."""
    thread = threading.get_ident()

    def of_other_threads(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger = logging.getLogger(name)
    logger.addFilter(of_other_threads)
    try:
        yield
    finally:
        logger.removeFilter(of_other_threads)
