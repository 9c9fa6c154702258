"""Read the numbers of a stack or a label volume in a TIFF, as stored.

A palette's indices are the labels. Micrographs are read by `pages`, as a viewer shows them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from bl_steer.files.errors import FileFormatError
from bl_steer.files.formats import LOSSY
from bl_steer.files.images import image_metadata
from bl_steer.files.pixel_size import unread_edges
from bl_steer.files.tiff.damage import refuse_truncated
from bl_steer.files.tiff.pages import (
    BAR,
    PILLOWS,
    PLANES,
    WHITE,
    in_planes,
    inverted,
    outer_axes,
    quiet,
)

__all__ = ["ONE_PALETTE", "palette_notes", "palette_of", "read_voxels"]

NO_LENGTHS = ("pixel", "pixels", "px", "voxel", "voxels")
ONE_PALETTE = (
    "must have one palette for all slices, for their numbers mean its colours, got {}; save them "
    "with one palette, or as grey numbers that mean the same in all"
)
MOST_LABEL = 16  # below it all numbers of an image are labels: of grey levels it would be blank


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
        ``pixel_size_nm``, ``pixel_height_nm``, ``pitch_nm`` and ``voxel_size_nm`` [z, y, x], and
        ``bar_px``, the rows of a data bar that are left out, ``lossy`` of JPEG, and the
        ``palette``, the colour of each number; what a user should know

    Raises
    ------
    FileFormatError
        If the file is truncated, larger than allowed, or its pages differ in type.
    """
    with quiet("tifffile"), tifffile.TiffFile(path) as file:
        refuse_truncated(file)
        _refuse_mixed(file)
        # A thumbnail may come first.
        every: Any = file.series
        series: Any = next((one for one in every if not one.pages[0].is_reduced), every[0])
        page: Any = series.pages[0]
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
        coloured = "S" in series.axes
        if in_planes(file) and coloured and (values[..., :3] != values[..., :1]).any():
            raise FileFormatError(f"must hold one value a pixel, but {PLANES}")
        plane = values[(0,) * (values.ndim - 2 - coloured)]
        recorded = image_metadata.of_tiff(file, plane, Path(path))
        bar = recorded.bar_rows
        notes = [BAR.format(bar)] * (bar > 0) + recorded.notes
        notes += _notes_of_series(file, series, by_page=by_page)
        notes += image_metadata.turned_notes(getattr(page.tags.get(274), "value", None))
        notes += [LOSSY] * (page.compression in PILLOWS and not as_shown)
        values = _as_meant(values, page, as_shown, notes)
        rows = values.shape[-2 - coloured] - bar
        known = _with_voxel(recorded.known, file)
        known |= _unread(file) if "pixel_size_nm" not in known else {}
        known |= {"bar_px": bar} if bar else {}
        known |= {"palette": _palette(file, series, values)} if page.photometric == 3 else {}
        known |= {"lossy": True} if page.compression in PILLOWS else {}
        return (
            values[..., :rows, :, :] if coloured else values[..., :rows, :],
            coloured,
            known,
            notes,
        )


def palette_of(colours: NDArray[Any], numbers: NDArray[Any]) -> dict[int, list[int]]:
    """Return the colour of each number that occurs: of the same pixels, (H, W, C) and (H, W)."""
    found, places = np.unique(numbers, return_index=True)
    shown = colours.reshape(-1, colours.shape[-1])[places]
    return dict(zip(found.tolist(), shown[:, :3].tolist(), strict=True))


def palette_notes(colours: NDArray[Any], numbers: NDArray[Any]) -> list[str]:
    """Return a sentence where numbers are taken for what is shown in other greys, or colours.

    Parameters
    ----------
    colours, numbers : of the same pixels, (H, W, C) and (H, W)
    """
    if all(np.array_equal(colours[..., channel], numbers) for channel in range(3)):
        return []
    return ["a palette shows other greys or colours: the numbers of its colours are taken"]


def _palette(file: Any, series: Any, values: NDArray[Any]) -> dict[int, list[int]]:
    """Return the colour of each number that occurs, which all pages must have in common."""
    pages = [page for page in (series.pages if len(series.pages) > 1 else file.pages) if page]
    maps = {np.asarray(page.colormap).tobytes() for page in pages if page.photometric == 3}
    if len(maps) > 1:
        raise FileFormatError(ONE_PALETTE.format(f"{len(maps)} that differ from page to page"))
    numbers = np.unique(values)
    colours = (np.asarray(series.pages[0].colormap)[:, numbers] >> 8).T
    return palette_of(colours[None], numbers[None])


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
    return inverted(values, page)


def _are_alike(pages: Any) -> bool:
    """Whether there are several pages of one shape, which tifffile may count as several series."""
    return len({page.shape for page in pages}) == 1 < len(pages)


def _notes_of_series(file: Any, series: Any, *, by_page: bool) -> list[str]:
    """Say that a file holds more than the stack that is read, or no slices by its own word."""
    others = [s for s in file.series if s is not series and not s.pages[0].is_reduced]
    notes = []
    if others and not by_page:
        shape = " × ".join(map(str, series.shape))
        notes.append(
            f"the file holds {len(others) + 1} images or stacks, of which the first ({shape}) is "
            "read; save another one by itself to have it read"
        )
    axes = outer_axes(series)
    for axis, what, one in (("C", "channels", "channel"), ("T", "time points", "time point")):
        if list(axes) == [axis]:
            notes.append(
                f"the file calls its {axes[axis]} planes {what}, and they are taken as slices in "
                f"depth: where they are not, save one {one} by itself"
            )
    return notes


def _refuse_mixed(file: Any) -> None:
    """Refuse pages of one shape and different types: tifffile leaves out those of another."""
    first = file.pages[0]
    for number, page in enumerate(file.pages):
        if page.shape == first.shape and page.dtype != first.dtype:
            raise FileFormatError(
                f"must hold pages of one type, got {page.dtype} in page {number} and {first.dtype} "
                "in page 0; save them alike"
            )


def _unread(file: Any) -> dict[str, str]:
    """Return the words of ImageJ's calibration where its unit is no known length."""
    about = file.imagej_metadata or {}
    unit = str(about.get("unit") or "")
    ratios: list[Any] = [
        getattr(file.pages[0].tags.get(code), "value", None) for code in (283, 282)
    ]
    if not unit or unit.lower() in NO_LENGTHS or unit.lower() in image_metadata.NM:
        return {}
    if not all(isinstance(ratio, tuple) and 0 not in ratio for ratio in ratios):
        return {}
    edges = [below / above for above, below in ratios]
    depth = [float(about["spacing"])] if about.get("spacing") else []
    return {"stated_voxel": unread_edges([*depth, *edges], unit)}


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
