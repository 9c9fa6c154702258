"""Outlines in the JSON of labelme, which AnyLabeling writes too: one file an image.

References
----------
K. Wada, labelme: image polygonal annotation with Python, doi:10.5281/zenodo.5711226.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import PngImagePlugin

from bl_steer.files.annotations.regions import (
    MAX_PIXELS,
    Annotation,
    Patch,
    Region,
    ellipse,
    rectangle,
    ring,
)
from bl_steer.files.errors import FileFormatError, listed

__all__ = ["read_labelme"]

WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(content: dict[str, Any]) -> Annotation:
    """Return the shapes of a file of labelme; later ones lie over earlier ones, as it draws them.

    Raises
    ------
    FileFormatError
        Where a shape is broken.
    """
    shapes = content["shapes"]
    left_out = [s["shape_type"] for s in shapes if s.get("shape_type") in WITHOUT_AREA]
    notes = [
        f"{len(left_out)} shapes without area ({listed(dict.fromkeys(left_out))}) are left out."
    ] * bool(left_out)
    height, width = content.get("imageHeight"), content.get("imageWidth")
    return Annotation(
        "labelme",
        [_region(shape) for shape in shapes if shape.get("shape_type") not in WITHOUT_AREA],
        (int(height), int(width)) if height and width else None,
        notes,
    )


def _region(shape: dict[str, Any]) -> Region:
    name, points = str(shape.get("label") or ""), shape.get("points") or []
    kind = shape.get("shape_type") or "polygon"
    if kind == "mask":
        return Region(name, patches=[_patch(shape, points)])
    if kind == "circle" and len(points) == 2:
        (x, y), on_it = points
        radius = float(np.hypot(on_it[0] - x, on_it[1] - y))
        return Region(name, [[ellipse(x - radius, y - radius, x + radius, y + radius)]])
    if kind == "rectangle" and len(points) == 2:
        return Region(name, [[rectangle(*points[0], *points[1])]])
    return Region(name, [[ring(points)]])


def _patch(shape: dict[str, Any], points: Any) -> Patch:
    """Return a mask that is stored as a PNG, from its upper left pixel on."""
    try:
        stream = io.BytesIO(base64.b64decode(shape["mask"], validate=True))
        image = PngImagePlugin.PngImageFile(stream)
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} × {image.height} pixels")
        pixels = np.array(image.convert("L")) > 0
        column, row = (round(edge) for edge in points[0])
    except (KeyError, IndexError, TypeError, ValueError, OSError, SyntaxError) as error:
        raise FileFormatError(
            f"must hold its masks as PNG in base64, got one that cannot be read ({error}); save it "
            "anew"
        ) from error
    return Patch(row, column, pixels)
