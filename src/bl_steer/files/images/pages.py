"""Read the pages of an image file as stored, whatever its format, or refuse it in one line.

A file is judged by its first bytes and its header before anything is decoded, so a small file that
promises a huge image costs neither memory nor time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin

from bl_steer.files.errors import FileFormatError
from bl_steer.files.formats import READ, way_to_tiff
from bl_steer.files.images import image_metadata
from bl_steer.files.tiff.pages import WHITE, RawPages, allow, picture_pixels, quiet, read_tiff

__all__ = ["MAX_PIXELS", "read_indices", "read_page", "read_pages", "size_of"]

MAX_PIXELS = 2**28
"""Pixels in all pages of one file: a stack of 256 fields of 1024 × 1024."""

FIRST_FRAME = "Only the first"
_SIGNATURES = {
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"\x93NUMPY": "npy",
}  # fmt: skip


def read_pages(path: Path, max_pixels: int, *, as_stored: bool = False) -> RawPages:
    """Read all pages of a file in one of `formats.FORMATS`.

    Parameters
    ----------
    as_stored : of a TIFF, as in `read_tiff`

    Raises
    ------
    ValueError
        If the file is missing, no whole image, larger than allowed, or not of grey or RGB fields.
    """
    kind = _kind(path)
    readers: dict[str, Callable[[IO[bytes], int], RawPages]] = {
        "TIFF": partial(read_tiff, as_stored=as_stored),
        "npy": _read_npy,
    }
    with _in_one_line(path, kind), path.open("rb") as stream:
        raw = readers.get(kind, _read_picture)(stream, max_pixels)
    for page in raw.pages:
        channels = page.shape[2] if page.ndim == 3 else 1
        if page.dtype.kind not in "buif" or 0 in page.shape or page.ndim > 3 or channels > 4:
            raise ValueError(
                f"{path.name} must hold real grey or RGB values, got {page.dtype} of shape "
                f"{page.shape}; export it as an 8-bit or 16-bit image"
            )
    return raw


def read_page(
    path: Path, max_pixels: int, *, as_stored: bool = False, notes: list[str] | None = None
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the one page of a file: (H, W) or (H, W, C), and what the file says of it.

    Parameters
    ----------
    as_stored : of a TIFF, as in `read_tiff`
    notes : takes the sentences on it, where this makes a difference, on a turned image, and on what
        lies beside it or was left out

    Raises
    ------
    ValueError
        As `read_pages`, and if the file holds more than one page.
    """
    raw = read_pages(path, max_pixels, as_stored=as_stored)
    if notes is not None:
        told = (WHITE, image_metadata.TURNED, FIRST_FRAME)
        notes += [n for n in raw.notes if n.startswith(told) or n in raw.notes_of_headers]
    if len(raw.pages) != 1:
        raise ValueError(
            f"{path.name} must hold one page, got {len(raw.pages)}; save each page as a file"
        )
    return raw.pages[0], raw.metadata | ({"bar_px": raw.bar_rows} if raw.bar_rows else {})


def read_indices(path: Path) -> NDArray[Any] | None:
    """Return the numbers (H, W) of a palette's colours in an image; None where it has no palette.

    Raises
    ------
    ValueError
        As `read_pages`.
    """
    kind = _kind(path)
    with _in_one_line(path, kind), path.open("rb") as stream:
        if kind == "TIFF":
            with quiet("tifffile"), tifffile.TiffFile(stream) as tif:
                page: Any = tif.pages[0]
                return np.asarray(page.asarray()) if page.photometric == 3 else None
        if kind == "npy":
            return None
        with _open_picture(stream) as image:
            return np.array(image) if image.mode == "P" else None


def size_of(path: Path) -> tuple[int, int]:
    """Return rows and columns of the first page, from the header alone.

    Raises
    ------
    ValueError
        If the file is missing or no image.
    """
    kind = _kind(path)
    with _in_one_line(path, kind), path.open("rb") as stream:
        if kind == "npy":
            shape = np.lib.format.open_memmap(str(path), mode="r").shape
            planes = len(shape) - (shape[-1] in (3, 4)) > 2
            return (int(shape[-2]), int(shape[-1])) if planes else (int(shape[0]), int(shape[1]))
        if kind == "TIFF":
            with quiet("tifffile"), tifffile.TiffFile(stream) as tif:
                page: Any = tif.pages[0]
                return int(page.imagelength), int(page.imagewidth)
        with _open_picture(stream) as image:
            return int(image.height), int(image.width)


@contextmanager
def _in_one_line(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a codec raises into one line that names the file."""
    try:
        yield
    except FileFormatError as error:
        raise ValueError(f"{path.name} {error}") from None
    except Exception as error:  # codecs fail in any way they like on a broken file
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ValueError(
            f"{path.name} must be a whole {kind} image, got one that cannot be decoded ({reason}); "
            "copy or export it anew"
        ) from error


def _kind(path: Path) -> str:
    if path.is_dir():
        raise ValueError(
            f"path must be an image file, got the folder {str(path)!r}; give the images in it"
        )
    if not path.exists():
        raise ValueError(
            f"path must be an image file, got {str(path)!r}, which does not exist; check the path"
        )
    if not path.is_file():
        raise ValueError(f"path must be an image file, got {str(path)!r}, a device; give a file")
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise ValueError(
            f"{path.name} must be readable, got {error.strerror}; give a file that you may read"
        ) from error
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return kind
    content = f"one that starts with {head!r}" if head else "an empty file (0 bytes)"
    raise ValueError(f"{path.name} must be a {READ} file, got {content}; {way_to_tiff(path)}")


def _read_npy(stream: IO[bytes], max_pixels: int) -> RawPages:
    array = np.lib.format.open_memmap(stream.name, mode="r")
    allow(array.size, max_pixels)
    coloured = array.ndim >= 3 and array.shape[-1] in (3, 4)
    if array.ndim not in ((3, 4) if coloured else (2, 3)):
        raise FileFormatError(
            f"must be one image or a stack, got shape {array.shape}; save (H, W) or (N, H, W)"
        )
    pages = np.array(array)
    return RawPages([pages] if pages.ndim == 2 + coloured else list(pages))


def _read_picture(stream: IO[bytes], max_pixels: int) -> RawPages:
    head = stream.read(26)
    stream.seek(0)
    with _open_picture(stream) as image:
        allow(image.width * image.height, max_pixels)
        pixels = picture_pixels(image)
        raw = RawPages([pixels])
        raw.take(image_metadata.of_picture(Path(stream.name), image.info, pixels))
        raw.notes += image_metadata.turned_notes(image.getexif().get(274))
        if getattr(image, "n_frames", 1) > 1:
            raw.notes.append(f"{FIRST_FRAME} of {image.n_frames} frames is read.")
    if head[:2] == b"\x89P" and head[24] == 16 and head[25] != 0:
        raw.notes.append("16-bit colour is read with 8 bits.")
    return raw


def _open_picture(stream: IO[bytes]) -> Any:
    """Open a PNG, JPEG or BMP image without decoding it.

    The plugins are called directly: Image.open tries every format there is, and its own limit on
    pixels is a process-wide setting.
    """
    head = stream.read(2)
    stream.seek(0)
    plugins = {b"\x89P": PngImagePlugin.PngImageFile, b"\xff\xd8": JpegImagePlugin.JpegImageFile}
    return plugins.get(head, BmpImagePlugin.BmpImageFile)(stream)
