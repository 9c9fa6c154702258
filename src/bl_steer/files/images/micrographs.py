"""Read micrographs from files, whichever microscope wrote them, and refuse what is not an image.

The pages as stored come from `pages`, what the files say about scale and voltage from
`image_metadata`; painted masks are decoded in `bl_steer.analysis.segmentation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.formats import SUFFIXES
from bl_steer.files.images import image_metadata
from bl_steer.files.images.coloured_marks import less_marks, marked_pixels
from bl_steer.files.images.pages import MAX_PIXELS, read_indices, read_page, read_pages
from bl_steer.files.slice_names import natural_key

__all__ = [
    "MAX_PIXELS",
    "Micrographs",
    "flaws_of",
    "folder_named",
    "list_images",
    "read_colours",
    "read_indices",
    "read_micrographs",
]

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Micrographs:
    """The fields of one file.

    Parameters
    ----------
    fields : grey images, each (H, W), in the file's own integer or float type
    pixel_size_nm : None where the file does not say
    metadata : how it was recorded, as the file says: ``{"accelerating_voltage_kV": 5.0, …}``
    notes : what a user should know, one sentence each
    path : the file
    bar_rows : of a data bar below each field, which is left out
    """

    fields: tuple[NDArray[Any], ...]
    pixel_size_nm: float | None
    metadata: Mapping[str, Any]
    notes: tuple[str, ...]
    path: Path
    bar_rows: int = 0

    def above_bar(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Return a mask (H, W) or (H, W, C) without the rows that were painted below the fields."""
        height = len(self.fields[0])
        return mask[:height] if len(mask) == height + self.bar_rows else mask


def folder_named(parent: Path, name: str) -> Path:
    """Return a folder of a name in another one, however it is capitalised; it may be missing."""
    found = (p for p in parent.glob("*") if p.name.lower() == name.lower() and p.is_dir())
    return next(found, parent / name)


def list_images(folder: str | Path) -> list[Path]:
    """Return the images in a folder in natural order: ``slice_2`` before ``slice_10``.

    Raises
    ------
    ValueError
        If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"folder must exist, got {str(folder)!r}; give a folder of images")
    images = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.is_dir())
    return sorted((p for p in images if not p.name.startswith(".")), key=natural_key)


def read_micrographs(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Micrographs:
    """Read every field of a file in one of `formats.FORMATS` as grey images.

    Colour becomes grey: exactly where the three channels are equal, as luminance where not. Marks
    in colour on a grey image, such as a scale bar, are filled from around. Alpha is dropped.

    Parameters
    ----------
    max_pixels : most pixels that the file may hold in all its pages, judged before decoding

    Raises
    ------
    ValueError
        If the file is missing, no whole image, larger than allowed, or not of grey fields.
    """
    path = Path(path)
    raw = read_pages(path, max_pixels)
    fields = tuple(_grey(page, raw.notes) for page in raw.pages)
    if len({page.shape for page in fields}) > 1:
        raw.notes.append(f"The pages differ in size: {sorted({p.shape for p in fields})}.")
    for number, page in enumerate(fields):
        raw.notes.extend(flaws_of(page, _page(number, len(fields))))
    metadata = dict(raw.metadata)
    raw.notes.extend(image_metadata.notes_of_pixels(metadata))
    metadata.pop("pixel_height_nm", None)
    return Micrographs(
        fields=fields,
        pixel_size_nm=metadata.pop("pixel_size_nm", None),
        metadata=metadata,
        notes=tuple(f"{path.name}: {note}" for note in dict.fromkeys(raw.notes)),
        path=path,
        bar_rows=raw.bar_rows,
    )


def read_colours(
    path: str | Path, *, max_pixels: int = MAX_PIXELS, notes: list[str] | None = None
) -> NDArray[Any]:
    """Read the one page of a mask with its colours: (H, W) or (H, W, C), as stored.

    Parameters
    ----------
    notes : takes a sentence where the file says that white is zero: the numbers are kept

    Raises
    ------
    ValueError
        As `read_micrographs`, and if the file holds more than one page.
    """
    return read_page(Path(path), max_pixels, as_stored=True, notes=notes)[0]


def _grey(page: NDArray[Any], notes: list[str]) -> NDArray[Any]:
    if page.dtype == bool:
        page = page.astype(np.uint8) * np.uint8(255)
    page = page.astype(page.dtype.newbyteorder("="), copy=False)
    if page.ndim == 2:
        return page
    if page.shape[-1] in (2, 4):
        clear = float((page[..., -1] < page[..., -1].max()).mean())
        told = f": {clear:.1%} of the image is transparent, and is counted all the same; crop it"
        notes.append(f"The alpha channel is dropped{told if clear else ''}.")
        page = page[..., :-1]
    first = page[..., 0]
    if all(np.array_equal(first, page[..., c], equal_nan=first.dtype.kind == "f")
           for c in range(1, page.shape[-1])):  # fmt: skip
        return np.ascontiguousarray(first)
    luminance = page @ np.array(_LUMINANCE, np.float32)
    grey = (luminance if page.dtype.kind == "f" else np.rint(luminance)).astype(page.dtype)
    if (coloured := marked_pixels(page)) is not None:
        filled, told = less_marks(grey, coloured)
        notes.append(told)
        return filled
    notes.append("The image has colours: its luminance is used.")
    return grey


def _page(number: int, count: int) -> str:
    return f"Page {number + 1} of {count}" if count > 1 else "The image"


def flaws_of(page: NDArray[Any], what: str) -> list[str]:
    """Return what a user should know of grey levels (H, W) that no recording leaves.

    Parameters
    ----------
    what : holds them, as a sentence begins with it
    """
    missing = ~np.isfinite(page) if page.dtype.kind == "f" else np.zeros(1, bool)
    if missing.all():
        return [f"{what} holds no finite value."]
    count = int(missing.sum())
    return [f"{what} is not finite in {count:,} of its {missing.size:,} pixels."] * bool(count)
