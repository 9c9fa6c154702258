"""Know an annotation by its content, and read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bl_steer.files.annotations.coco import coco_images, read_coco
from bl_steer.files.annotations.geojson import read_geojson
from bl_steer.files.annotations.imagej_rois import read_rois
from bl_steer.files.annotations.labelme import read_labelme
from bl_steer.files.annotations.regions import Annotation
from bl_steer.files.errors import FileFormatError

__all__ = ["ANNOTATIONS", "images_of", "is_annotation", "read_annotation"]

ANNOTATIONS = (".json", ".geojson", ".roi", ".zip")
"""Endings of the names of such files."""
MAX_BYTES = 2**28
"""Of JSON, which is read whole."""
WANTED = "must be JSON of labelme or COCO, GeoJSON of QuPath, or ROIs of ImageJ (.roi, RoiSet.zip)"


def is_annotation(path: Path) -> bool:
    """Whether a file may hold outlines, by its name."""
    return path.suffix.lower() in ANNOTATIONS


def read_annotation(path: Path, image_name: str) -> Annotation:
    """Return the regions of an image.

    Parameters
    ----------
    image_name : of the image's file: one file of COCO holds many

    Raises
    ------
    ValueError
        If the file is of no such form, broken, or of other images.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if head.startswith((b"Iout", b"PK")):
            return read_rois(path)
        content = _json(path)
        if isinstance(content, dict) and isinstance(content.get("shapes"), list):
            return read_labelme(content)
        if _is_coco(content):
            return read_coco(content, image_name)
        if isinstance(content, list) or content.get("type") in ("FeatureCollection", "Feature"):
            return read_geojson(content)
        raise FileFormatError(f"{WANTED}, got JSON of another form; export it so")
    except FileFormatError as error:
        raise ValueError(f"{path.name} {error}") from None
    except OSError as error:
        raise ValueError(
            f"{path.name} must be readable, got {error.strerror or error}; give another"
        ) from error
    except Exception as error:  # a broken file fails in any way it likes
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"{path.name} {WANTED}, got a broken one ({reason})") from error


def images_of(path: Path) -> list[str]:
    """Return the names of the images that a file of COCO lists; of any other file, none."""
    if path.suffix.lower() != ".json":
        return []
    try:
        content = _json(path)
        return coco_images(content) if _is_coco(content) else []
    except (FileFormatError, OSError, ValueError, AttributeError):
        return []


def _is_coco(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    )


def _json(path: Path) -> Any:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise FileFormatError(
            f"must be {MAX_BYTES >> 20} MiB at most, got {size / 2**20:.0f} MiB; split it"
        )
    return json.loads(path.read_bytes())
