"""Known areas as annotation tools save them: 10 × 8 pixels, once with a hole of 4 × 3."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import roifile
from numpy.typing import NDArray
from PIL import Image

SHAPE = (24, 32)
OUTER = [(5, 3), (15, 3), (15, 11), (5, 11)]
HOLE = [(7, 5), (11, 5), (11, 8), (7, 8)]
SQUARE = np.zeros(SHAPE, bool)
SQUARE[3:11, 5:15] = True
HOLED = SQUARE.copy()
HOLED[5:8, 7:11] = False
OUTLINE, BOTH = "outline", "with a hole"


def labelme(path: Path, shapes: Sequence[dict[str, Any]], shape: tuple[int, int] = SHAPE) -> Path:
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.tif",
        "imageData": None,
        "imageHeight": shape[0],
        "imageWidth": shape[1],
    }
    path.write_text(json.dumps(content))
    return path


def labelme_shape(label: str, points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, **more}


def labelme_mask(label: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a shape of labelme's AI tools: a PNG of the box around it."""
    rows, columns = np.nonzero(mask)
    top, left, bottom, right = (
        int(v) for v in (rows.min(), columns.min(), rows.max(), columns.max())
    )
    place = io.BytesIO()
    Image.fromarray(mask[top : bottom + 1, left : right + 1]).save(place, "PNG")
    text = base64.b64encode(place.getvalue()).decode()
    return labelme_shape(label, [[left, top], [right, bottom]], "mask", mask=text)


def coco(
    path: Path,
    segmentations: Sequence[tuple[str, Any]],
    *,
    shape: tuple[int, int] = SHAPE,
    images: Sequence[str] = ("a.tif",),
) -> Path:
    """Write objects of the first image, as (class, segmentation)."""
    names = list(dict.fromkeys(name for name, _ in segmentations))
    content = {
        "images": [
            {"id": k, "file_name": name, "height": shape[0], "width": shape[1]}
            for k, name in enumerate(images, 7)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, 3)],
        "annotations": [
            {"id": k, "image_id": 7, "category_id": names.index(name) + 3, "segmentation": outline}
            for k, (name, outline) in enumerate(segmentations)
        ],
    }
    path.write_text(json.dumps(content))
    return path


def runs(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an uncompressed run-length encoding of COCO."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def qupath(path: Path, features: Sequence[tuple[str, str, Any]]) -> Path:
    """Write features, as (class, type of the geometry, coordinates)."""
    content = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": str(k),
                "geometry": {"type": kind, "coordinates": coordinates},
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": name, "color": [1, 2, 3]},
                },
            }
            for k, (name, kind, coordinates) in enumerate(features)
        ],
    }
    path.write_text(json.dumps(content))
    return path


def closed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [*points, points[0]]


def polygon_roi(name: str, points: Any) -> roifile.ImagejRoi:
    return roifile.ImagejRoi.frompoints(np.asarray(points, np.int32), name=name)


def box_roi(name: str, kind: roifile.ROI_TYPE, box: tuple[int, int, int, int]) -> Any:
    """Return a rectangle or an oval: top, left, bottom, right."""
    top, left, bottom, right = box
    return roifile.ImagejRoi(
        roitype=kind, name=name, top=top, left=left, bottom=bottom, right=right
    )


def composite_roi(name: str, rings: Sequence[Any]) -> roifile.ImagejRoi:
    """Return what ImageJ makes of a selection with holes: moves, lines and closings of a path."""
    path: list[float] = []
    for ring in rings:
        for number, (x, y) in enumerate(ring):
            path += [0.0 if number == 0 else 1.0, x, y]
        path.append(4.0)
    points = np.concatenate([np.asarray(ring) for ring in rings])
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    roi = box_roi(name, roifile.ROI_TYPE.RECT, (int(top), int(left), int(bottom), int(right)))
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi
