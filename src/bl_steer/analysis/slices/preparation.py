"""Slices as an instrument wrote them, made ready to be aligned: bar off, squares, in order.

What a file does not say is asked for by `SliceParams`, which every analysis of slices has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from skimage.transform import resize

from bl_steer.analysis.data_bars import BEGINS_HIGHER, bar_below, rows_above
from bl_steer.files.pixel_size import contradictions
from bl_steer.protocols import Inputs
from bl_steer.slicing.marks import TrackingMarks

__all__ = ["PreparedSlices", "SliceParams", "prepare", "stored_grey"]

LEAST_COLUMNS_DEG = 30.0
"""Angle of the columns below which nothing is seen of a face."""
SQUARE = 0.01
"""Width and height of a pixel that differ by less are taken as equal."""


class SliceParams(BaseModel):
    """What slices from files may not say of themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pixel_size_nm: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="width of a pixel, nm; as recorded by default",
    )
    pitch_nm: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="distance from slice to slice, nm; as recorded by default",
    )
    columns_deg: float | None = Field(
        default=None,
        ge=LEAST_COLUMNS_DEG,
        le=90,
        description="angle between electron and ion column, such as 52: heights in the image are "
        "shortened by its sine; 90 where they are right already",
    )
    bar_px: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="rows of a data bar below each image; looked for by default",
    )
    reverse: bool = Field(default=False, description="the first slice is the deepest")
    keep_bad: bool = Field(
        default=False, description="use slices that are blank, broken off, blurred, stored twice"
    )


@dataclass(frozen=True)
class PreparedSlices:
    """Images (n, H, W), each read, cut and resampled when it is asked for.

    Parameters
    ----------
    images : (n, h, w), whatever is indexed alike
    order : of the images, (n,)
    rows : that are left of each, from the top
    height : rows after resampling
    """

    images: Any
    order: NDArray[np.intp]
    rows: int
    height: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the stack."""
        return len(self.order), self.height, int(self.images.shape[2])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the grey levels, which resampling keeps."""
        dtype: np.dtype[Any] = np.dtype(self.images.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        chosen = self.order[index]
        if np.ndim(chosen):
            return np.stack([self._image(int(number)) for number in chosen])
        return self._image(int(chosen))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _image(self, number: int) -> NDArray[Any]:
        image = np.asarray(self.images[number])[: self.rows]
        if self.height == self.rows:
            return image
        shape = (self.height, image.shape[1])
        grey = resize(
            image.astype(np.float64),
            shape,
            order=3,
            mode="edge",
            anti_aliasing=self.height < self.rows,
            preserve_range=True,
        )
        return stored_grey(grey, self.dtype)


def prepare(inputs: Inputs, params: SliceParams) -> Inputs:
    """Return slices without data bar, of square pixels, in order of depth.

    Parameters
    ----------
    inputs : as of ``align-slices``; metadata ``pixel_height_nm`` where pixels are no squares;
        boxes of ``marks`` in pixels as recorded

    Raises
    ------
    ValueError
        When pixel size or pitch are not known, or the bar leaves nothing.
    """
    if "slices" not in inputs.arrays:
        raise ValueError(
            f"there must be an array slices, got {sorted(inputs.arrays)}; give the stack under "
            "that name"
        )
    images: Any = inputs.arrays["slices"]
    size = params.pixel_size_nm or inputs.metadata.get("pixel_size_nm")
    pitch = params.pitch_nm or inputs.metadata.get("pitch_nm")
    if size is None or pitch is None:
        missing = [k for k, v in (("pixel_size_nm", size), ("pitch_nm", pitch)) if v is None]
        said = f" ({stated})" if (stated := inputs.metadata.get("stated_voxel")) else ""
        raise ValueError(
            f"slices must have {' and '.join(missing)}, which their files do not state{said}; give "
            f"{'it' if len(missing) == 1 else 'both'} as the instrument had it"
        )
    _check_shape(images)
    rows, bar_notes = _above_bar(images, params.bar_px, int(inputs.metadata.get("bar_px", 0)))
    stretch, height_notes = _stretch(inputs, params, float(size))
    height = max(1, round(rows * stretch)) if abs(stretch - 1.0) > SQUARE else rows
    n = len(images)
    order = np.arange(n)[::-1] if params.reverse else np.arange(n)
    arrays: dict[str, Any] = dict(inputs.arrays)
    order_notes = []
    if "slice" in arrays and params.reverse:
        numbers = np.asarray(arrays["slice"])
        arrays["slice"] = numbers[0] + numbers[-1] - numbers[::-1]
        order_notes.append(
            f"the slices are taken in reverse, and numbered from the last: {numbers[-1]} is "
            f"{numbers[0]}"
        )
    for name in ("z_nm", "beam_shift_nm") if params.reverse else ():
        if name in arrays:
            raise ValueError(
                f"reverse=True must be left out for slices whose {name} is recorded: their depths "
                "tell their order"
            )
    if rows != images.shape[1] or height != rows or params.reverse:
        arrays["slices"] = PreparedSlices(images, order.astype(np.intp), rows, height)
    known = {k: v for k, v in inputs.metadata.items() if k != "pixel_height_nm"}
    if params.reverse and "slice_files" in known:
        known["slice_files"] = known["slice_files"][::-1]
    if height != rows and known.get("marks") is not None:
        marks = TrackingMarks.from_dict(known["marks"])
        known["marks"] = marks.stretched(height / rows).to_dict()
    return replace(
        inputs,
        arrays=arrays,
        metadata={**known, "pixel_size_nm": float(size), "pitch_nm": float(pitch)},
        notes=[
            *inputs.notes,
            *contradictions("a pixel", params.pixel_size_nm, inputs.metadata.get("pixel_size_nm")),
            *contradictions("a pitch", params.pitch_nm, inputs.metadata.get("pitch_nm")),
            *bar_notes,
            *height_notes,
            *order_notes,
        ],
    )


def stored_grey(grey: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return grey levels in a type, those beyond its range at its ends."""
    if dtype.kind == "f":
        return grey.astype(dtype)
    ends = np.iinfo(dtype)
    return np.clip(np.rint(grey), ends.min, ends.max).astype(dtype)


def _check_shape(images: Any) -> None:
    if len(images.shape) != 3 or not len(images):
        got = "none" if not len(images) else f"an array of shape {images.shape}"
        raise ValueError(
            f"there must be slices (n, H, W) to align, got {got}; give a run or a folder that has "
            "some"
        )


def _above_bar(images: Any, bar_px: int | None, stated: int) -> tuple[int, list[str]]:
    """Return how many rows lie above the data bar, and a sentence where one was found.

    Parameters
    ----------
    stated : rows of a bar that the reader left out, as the files say
    """
    height = int(images.shape[1])
    if bar_px is not None:
        return rows_above(height, bar_px, stated)
    n = len(images)
    looked_at = sorted({0, n // 4, n // 2, (3 * n) // 4, n - 1})
    found = [bar_below(np.asarray(images[number])) for number in looked_at]
    # A slice that is blank or dark at its foot has no bar; a bar stands below most.
    bars = [rows for rows, _ in found if rows]
    if 2 * len(bars) <= len(found):
        return height, []
    bar = max(bars)
    remedy = "give bar_px if they are not"
    if len(set(bars)) > 1 or not all(sharp for _, sharp in found):
        remedy = f"{BEGINS_HIGHER}, and give their number as bar_px, 0 for none"
    return height - bar, [
        f"the last {bar} of {height} rows look like a data bar and are cut off; {remedy}"
    ]


def _stretch(inputs: Inputs, params: SliceParams, width: float) -> tuple[float, list[str]]:
    """Return the height of a pixel on the face over its width, and what to say of it."""
    stated = inputs.metadata.get("pixel_height_nm")
    corrected = inputs.metadata.get("tilt_corrected")
    if params.columns_deg is not None:
        height = width / math.sin(math.radians(params.columns_deg))
        notes = list(contradictions("a pixel's height", height, stated))
        if corrected and params.columns_deg < 90.0:
            notes.append(
                f"the files say that heights are corrected for the tilt already; columns_deg "
                f"{params.columns_deg:g} was given and they are stretched once more: check which "
                "is right"
            )
        return height / width, notes
    if stated is not None:
        ratio = float(stated) / float(inputs.metadata["pixel_size_nm"])
        return ratio, [
            f"pixels of {inputs.metadata['pixel_size_nm']:g} × {stated:g} nm (width, height) are "
            "resampled to squares of their width"
        ]
    if "files" in inputs.source and not corrected:
        return 1.0, [
            "the files do not say whether heights in the images are corrected for the tilt, and "
            "they are taken as they are: where the columns stand 52° apart, uncorrected heights "
            "are .79 of the true ones; give columns_deg, 90 if they are right"
        ]
    return 1.0, []


def subset(inputs: Inputs, kept: Sequence[int]) -> Inputs:
    """Return some of the slices, with what belongs to each."""
    arrays: dict[str, Any] = dict(inputs.arrays)
    images: Any = arrays["slices"]
    of_each = {k: v for k, v in arrays.items() if k != "slices" and len(v) == len(images)}
    chosen = np.asarray(kept, dtype=np.intp)
    numbers = arrays.get("slice", np.arange(len(images)))
    arrays |= {k: np.asarray(v)[chosen] for k, v in of_each.items()}
    arrays["slice"] = np.asarray(numbers)[chosen]
    whole = images if isinstance(images, PreparedSlices) else None
    if whole is not None:
        arrays["slices"] = replace(whole, order=whole.order[chosen])
    else:
        rows = int(images.shape[1])
        arrays["slices"] = PreparedSlices(images, chosen, rows, rows)
    n_slices = int(inputs.metadata.get("n_slices", 0)) or int(np.max(numbers)) + 1
    known = {**inputs.metadata, "n_slices": n_slices}
    if "slice_files" in known:
        known["slice_files"] = [known["slice_files"][number] for number in chosen]
    return replace(inputs, arrays=arrays, metadata=known)
