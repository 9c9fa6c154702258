"""Regions of interest of ImageJ and Fiji: a ``.roi``, or the ``RoiSet.zip`` of the ROI manager."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import roifile

from bl_steer.files.annotations.regions import Annotation, Region, ellipse, rectangle, ring
from bl_steer.files.errors import FileFormatError, listed

__all__ = ["read_rois"]

MAX_ROIS, MAX_BYTES = 100_000, 2**26
"""Of a set, and of one ROI as it is stored."""
OUTLINED = {roifile.ROI_TYPE.POLYGON, roifile.ROI_TYPE.FREEHAND, roifile.ROI_TYPE.TRACED}
UNNAMED = re.compile(r"\d{4,5}-\d{4,5}(-\d{4,5})?(-\d+)?")
"""The ROI manager's own names: slice, y and x of the middle."""


def read_rois(path: Path) -> Annotation:
    """Return the ROIs of a file; later ones lie over earlier ones.

    Raises
    ------
    FileFormatError
        Where a ROI is broken, or several slices of a stack are outlined.
    """
    stored = _set(path) if zipfile.is_zipfile(path) else [(path.stem, path.read_bytes())]
    regions, left_out, slices = [], [], set()
    for own_name, content in stored:
        roi = roifile.ImagejRoi.frombytes(content)
        region = _region(roi, roi.name or own_name)
        if region is None:
            left_out.append(roi.roitype.name.lower())
            continue
        regions.append(region)
        slices.add((roi.position or roi.z_position, roi.t_position))
    if len(slices) > 1:
        raise FileFormatError(
            f"must hold the ROIs of one slice, got those of {len(slices)}; save each slice's set"
        )
    kinds = listed(dict.fromkeys(left_out))
    notes = [f"{len(left_out)} ROIs without area ({kinds}) are left out."] * bool(left_out)
    return Annotation("ImageJ", regions, None, notes)


def _set(path: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if m.filename.lower().endswith(".roi")]
        if not members or len(members) > MAX_ROIS:
            raise FileFormatError(
                f"must be a set of 1 to {MAX_ROIS} ROIs of ImageJ, got {len(members)} in a zip; "
                "save it with the ROI manager"
            )
        if any(member.file_size > MAX_BYTES for member in members):
            raise FileFormatError(f"must hold ROIs of {MAX_BYTES >> 20} MiB at most; draw it anew")
        return [(Path(m.filename).stem, archive.read(m)) for m in members]


def _region(roi: roifile.ImagejRoi, name: str) -> Region | None:
    """Return the area of a ROI; None for lines, points and angles."""
    name = "" if UNNAMED.fullmatch(name) else name
    # Of rectangles and ovals, ImageJ stores parts of pixels apart.
    if roi.subpixelrect:
        x0, y0 = roi.xd, roi.yd
        x1, y1 = x0 + roi.widthd, y0 + roi.heightd
    else:
        x0, y0, x1, y1 = (float(edge) for edge in (roi.left, roi.top, roi.right, roi.bottom))
    if roi.composite:
        return Region(name, [[ring(path) for path in roi.coordinates(multi=True)]])
    if roi.roitype == roifile.ROI_TYPE.RECT:
        return Region(name, [[rectangle(x0, y0, x1, y1)]])
    if roi.roitype == roifile.ROI_TYPE.OVAL:
        return Region(name, [[ellipse(x0, y0, x1, y1)]])
    return Region(name, [[ring(roi.coordinates())]]) if roi.roitype in OUTLINED else None
