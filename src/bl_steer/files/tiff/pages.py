"""Decode the pages of TIFF files, and refuse what their headers or data give away.

`read_tiff` is for micrographs: as a viewer shows them, palettes as colours and "white is zero"
inverted. tifffile reads their pages one by one: its series trust descriptions that editors copy
into files of another shape. Stacks and label volumes are read by `voxels`.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from bl_steer.files.errors import FileFormatError
from bl_steer.files.images import image_metadata
from bl_steer.files.tiff.damage import check_segments, refuse_truncated

__all__ = [
    "BAR",
    "MAX_PAGES",
    "PILLOWS",
    "PLANES",
    "WHITE",
    "RawPages",
    "allow",
    "in_planes",
    "inverted",
    "outer_axes",
    "picture_pixels",
    "quiet",
    "read_tiff",
]

MAX_PAGES = 4096
"""Pages of one TIFF file: beyond any stack of slices, and quick to count."""

PILLOWS = (6, 7)
"""JPEG, in whatever colours: left to Pillow. tifffile takes all other codecs."""

PLANES = (
    "it is saved as one image in colours, each in a plane of its own; if these are slices of a "
    "stack, save it as grey (with tifffile, photometric='minisblack')"
)
WHITE = "white is zero in the file: numbers are taken as they are stored"
BAR = "The data bar of {} rows below the image is left out."


@dataclass
class RawPages:
    """Pages as stored, (H, W) or (H, W, C), with what the file says about them."""

    pages: list[NDArray[Any]]
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bar_rows: int = 0
    """Of a data bar below the image, left out."""
    notes_of_headers: list[str] = field(default_factory=list)
    """Those of the notes that speak of the data bar, and of headers that contradict one another."""

    def take(self, recorded: image_metadata.Recorded) -> None:
        """Take what the file says of its pages, and leave its data bar out."""
        self.metadata, self.bar_rows = recorded.known, recorded.bar_rows
        self.pages = [page[: len(page) - self.bar_rows] for page in self.pages]
        self.notes_of_headers = [BAR.format(self.bar_rows)] * (self.bar_rows > 0) + recorded.notes
        self.notes += self.notes_of_headers


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
        notes = [f"{PLANES[0].upper()}{PLANES[1:]}."] * in_planes(tif)
        if len(pages) > 1 and list(outer_axes(tif.series[0])) == ["C"]:
            notes.append("The file calls its pages channels: each is taken as a field by itself.")
        arrays = _contiguous_stack(tif, pages, max_pixels)
        if arrays is None:
            # A reduced page is the thumbnail of another one.
            arrays = [a for p in pages if not p.is_reduced for a in _decode_page(stream, p)]
        if as_stored and pages[0].photometric == 0:
            arrays, notes = [inverted(array, pages[0]) for array in arrays], [*notes, WHITE]
        notes += image_metadata.turned_notes(getattr(pages[0].tags.get(274), "value", None))
        raw = RawPages(arrays, notes=notes)
        raw.take(image_metadata.of_tiff(tif, arrays[0]))
        return raw


def inverted(values: NDArray[Any], page: Any) -> NDArray[Any]:
    """Return grey levels of which the file says that white is zero.

    Raises
    ------
    FileFormatError
        For floating-point numbers: which of them is black, nothing tells.
    """
    if values.dtype.kind in "bi":
        return np.asarray(~values)
    if values.dtype.kind != "u":
        raise FileFormatError(
            f"must have whole numbers where it says that white is zero, got {values.dtype}, of "
            "which nothing tells what is black; save it without an inverted look-up table"
        )
    return np.asarray(2**page.bitspersample - 1 - values).astype(values.dtype)


def outer_axes(series: Any) -> dict[str, int]:
    """Return the letters of the axes besides rows, columns and colours, with their lengths."""
    axes = zip(series.axes, series.shape, strict=True)
    return {axis: size for axis, size in axes if axis not in "YXS" and size > 1}


def in_planes(tif: Any) -> bool:
    """Whether a file has colours in planes, as tifffile saves three or four slices by default."""
    page = tif.pages[0]
    return bool(page.photometric == 2 and page.planarconfig == 2)


def _refuse_hyperstack(tif: Any, pages: list[Any]) -> None:
    """Refuse a series with more than one axis besides rows, columns and colours."""
    axes = [int((tif.imagej_metadata or {}).get(a, 1)) for a in ("channels", "slices", "frames")]
    described = json.loads(pages[0].shaped_description or "{}").get("shape", ())
    page = tuple(pages[0].shape)
    # Editors copy the description into files of another shape: believe it only if it fits.
    if len(described) > len(page) and tuple(described[-len(page) :]) == page:
        axes = list(described[: -len(page)])
    if tif.is_ome and (outer := outer_axes(tif.series[0])) and prod(outer.values()) == len(pages):
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
    return list(inverted(stack, first) if first.photometric == 0 else stack)


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
        pixels = inverted(pixels, page)
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
