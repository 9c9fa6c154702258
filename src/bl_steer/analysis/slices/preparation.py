"""Slices as an instrument wrote them, made ready to be aligned: bar off, squares, in order.

What a file does not say is asked for by `SliceParams`, which every analysis of slices has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bl_steer.analysis.data_bars import BEGINS_HIGHER, EDGE_ROWS, bar_below, rows_above
from bl_steer.analysis.margins import flat_foot
from bl_steer.analysis.slices.prepared_slices import PreparedSlices
from bl_steer.analysis.slices.tilt import TILT, height_of_pixels
from bl_steer.analysis.structure.checks import voxel_warnings
from bl_steer.files.pixel_size import contradictions
from bl_steer.protocols import Inputs
from bl_steer.slicing.marks import LEAST_ROWS, TrackingMarks

__all__ = ["SliceParams", "prepare"]

LEAST_COLUMNS_DEG = 30.0
"""Angle of the columns below which nothing is seen of a face."""
ROUNDED_NAMES = 0.03
"""Of a pitch, by which depths in names are off at the most, where they are rounded."""
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
    marks: tuple[int, int, int, int] | None = Field(
        default=None,
        description="box around straight tracking marks, as Fiji tells a rectangle: left column, "
        "upper row, width, height, in pixels of the slice nearest the surface as its file has it; "
        "as recorded by default",
        json_schema_extra={"metavar": "X,Y,WIDTH,HEIGHT"},
    )
    specimen_from: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="first row of the specimen, below protective layer and marks, in the same "
        "slice; below the marks by default",
    )
    reverse: bool = Field(default=False, description="the first slice is the deepest")
    keep_bad: bool = Field(
        default=False, description="use slices that are blank, broken off, blurred, stored twice"
    )

    @field_validator("marks")
    @classmethod
    def _is_box(cls, box: tuple[int, int, int, int] | None) -> Any:
        if box is not None:
            TrackingMarks.of_box(box)
        return box


def prepare(inputs: Inputs, params: SliceParams) -> Inputs:
    """Return slices without data bar, of square pixels, in order of depth.

    Parameters
    ----------
    inputs : as of ``align-slices``; metadata ``pixel_height_nm`` where pixels are no squares;
        boxes of ``marks`` in pixels as recorded, or ``specimen_from``, a row, without marks

    Raises
    ------
    ValueError
        When pixel size or pitch are not known, the bar leaves nothing, or marks lie outside.
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
        if pitch is None and (named := inputs.metadata.get("named_pitch_nm")):
            said = f" (their names tell depths {named:g} nm apart)"
        raise ValueError(
            f"slices must have {' and '.join(missing)}, which their files do not state{said}; give "
            f"{'it' if len(missing) == 1 else 'both'} in nm, as the instrument had it"
        )
    _check_shape(images)
    rows, bar_notes = _above_bar(images, params.bar_px, int(inputs.metadata.get("bar_px", 0)))
    stretch, height_notes = height_of_pixels(inputs, params.columns_deg, float(size))
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
    resolved = ("pixel_height_nm", "bar_px", "named_pitch_nm", *TILT)
    known = {k: v for k, v in inputs.metadata.items() if k not in resolved}
    if params.reverse and "slice_files" in known:
        known["slice_files"] = known["slice_files"][::-1]
    if params.reverse and (left_out := known.get("left_out_files")):
        ends = int(arrays["slice"][0] + arrays["slice"][-1])
        known["left_out_files"] = {ends - number: name for number, name in left_out.items()}
    tracked, mark_notes = _tracked(params, known, (rows, int(images.shape[2])), height / rows)
    return replace(
        inputs,
        arrays=arrays,
        metadata={**known, **tracked, "pixel_size_nm": float(size), "pitch_nm": float(pitch)},
        notes=[
            *inputs.notes,
            *contradictions("a pixel", params.pixel_size_nm, inputs.metadata.get("pixel_size_nm")),
            *contradictions("a pitch", params.pitch_nm, inputs.metadata.get("pitch_nm")),
            *_named_otherwise(float(pitch), inputs.metadata.get("named_pitch_nm")),
            *voxel_warnings((float(pitch), float(size), float(size)), by_hand=False),
            *bar_notes,
            *height_notes,
            *mark_notes,
            *order_notes,
        ],
    )


def _named_otherwise(pitch_nm: float, named_nm: float | None) -> list[str]:
    """Say that the depths in the names of slices tell another pitch than that which is used."""
    if named_nm is None or math.isclose(pitch_nm, named_nm, rel_tol=ROUNDED_NAMES):
        return []
    return [
        f"the names of the slices tell depths {named_nm:g} nm apart, and a pitch of {pitch_nm:g} "
        f"nm is used: volumes and lengths in depth are {pitch_nm / named_nm:.3g} times those of "
        "the names; check which is right"
    ]


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
    height, n = int(images.shape[1]), len(images)
    rows, notes = (height, []) if bar_px is None else rows_above(height, bar_px, stated)
    if bar_px == 0:  # somebody has looked
        return rows, notes
    looked_at = sorted({0, n // 4, n // 2, (3 * n) // 4, n - 1})
    seen = [np.asarray(images[number])[:rows] for number in looked_at]
    found = [bar_below(image) for image in seen]
    # A slice that is blank or dark at its foot has no bar; a bar stands below most.
    bars = [rows for rows, _ in found if rows]
    if 2 * len(bars) <= len(found):
        return rows, notes
    bar = max(bars)
    if bar_px is not None:
        return rows, [
            *notes,
            f"the last {bar} of the {rows} rows above the data bar of {bar_px} rows look like a "
            f"data bar, too, and are taken as specimen; give bar_px as {bar_px + bar} if they are",
        ]
    if bar - min(bars) > EDGE_ROWS and not any(sharp for rows, sharp in found if rows):
        return height, [
            f"the last {min(bars)} to {bar} of {height} rows are much of one grey level in "
            f"{len(bars)} of {len(found)} slices; a data bar has an edge and as many rows in all, "
            "and they are taken as specimen: give bar_px if they are a bar"
        ]
    # The lower rim of a bar that may begin higher is as flat, and the same in all slices.
    may_begin_higher = len(set(bars)) == 1 and not all(sharp for _, sharp in found)
    if not may_begin_higher and all(
        own <= flat_foot(image) for image, (own, _) in zip(seen, found, strict=True)
    ):
        return height - bar, [
            f"the last {bar} of {height} rows hold one grey level alone, in some slices fewer of "
            "them, as where an alignment left them empty, or in an empty data bar, and are cut "
            "off; give bar_px if they are specimen, or if more is none"
        ]
    remedy = "give bar_px if they are not"
    if len(set(bars)) > 1 or not all(sharp for _, sharp in found):
        remedy = f"{BEGINS_HIGHER}, and give their number as bar_px, 0 for none"
    return height - bar, [
        f"the last {bar} of {height} rows look like a data bar and are cut off; {remedy}"
    ]


def _tracked(
    params: SliceParams, known: Mapping[str, Any], shape: tuple[int, int], stretch: float
) -> tuple[dict[str, Any], list[str]]:
    """Return the marks, or the specimen's first row, in resampled images, and what to say of it.

    Parameters
    ----------
    shape : of the images above their bar, before they are resampled
    """
    first = params.specimen_from
    if params.marks is not None:
        marks = TrackingMarks.of_box(params.marks, first)
    elif known.get("marks") is not None:
        marks = TrackingMarks.from_dict(known["marks"])
        marks = marks if first is None else replace(marks, specimen_from=first)
    else:
        first = int(known.get("specimen_from", 0)) if first is None else first
        if first and first > shape[0] - LEAST_ROWS:
            raise ValueError(
                f"specimen_from must leave {LEAST_ROWS} of the {shape[0]} rows above the data bar "
                f"at least, counted from 0, got {first}; give less"
            )
        return ({"specimen_from": math.ceil(stretch * first)} if first else {}), []
    marks.check(shape)
    notes = []
    if params.marks is not None and first is None:
        notes.append(
            f"what lies below the box of marks, from row {marks.specimen_from} on, is taken as the "
            "specimen; give specimen_from where the protective layer goes further"
        )
    if marks.specimen_from < marks.rows[1]:
        notes.append(
            f"the specimen is said to begin at row {marks.specimen_from}, above the lower edge of "
            f"the marks, {marks.rows[1]}: marks and layer below that row are measured as specimen; "
            "give specimen_from below them where they are none"
        )
    return {"marks": marks.stretched(stretch).to_dict()}, notes
