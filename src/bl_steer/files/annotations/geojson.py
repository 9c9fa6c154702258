"""Outlines in GeoJSON, as QuPath exports them: pixels of the full image, y down.

References
----------
RFC 7946 (2016) for the geometries; P. Bankhead et al., QuPath: open source software for digital
pathology image analysis, Sci. Rep. 7, 16878 (2017), doi:10.1038/s41598-017-17204-5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bl_steer.files.annotations.regions import Annotation, Region, Ring, ring
from bl_steer.files.errors import FileFormatError

__all__ = ["read_geojson"]

Polygon = list[Ring]


def read_geojson(content: Any) -> Annotation:
    """Return the features of a file; smaller ones lie over larger ones, as QuPath's do.

    Raises
    ------
    FileFormatError
        Where a geometry is broken, or several planes of a stack are outlined.
    """
    features = content if isinstance(content, list) else content.get("features", [content])
    regions, left_out, planes = [], 0, set()
    for feature in features:
        geometry = feature.get("geometry") or {}
        plane = geometry.get("plane") or {}
        planes.add(tuple(plane.get(axis, 0) for axis in "zt"))
        polygons = list(_polygons(geometry))
        if polygons:
            regions.append(Region(_name(feature.get("properties") or {}), polygons))
        else:
            left_out += 1
    if len(planes) > 1:
        raise FileFormatError(
            f"must hold the outlines of one plane, got those of {len(planes)}; export each plane"
        )
    notes = [f"{left_out} features without area are left out."] * bool(left_out)
    return Annotation("GeoJSON", sorted(regions, key=_area, reverse=True), None, notes)


def _name(properties: dict[str, Any]) -> str:
    """Return the class of a feature: QuPath's classification, else a name or label."""
    known = properties.get("classification")
    if isinstance(known, dict):
        known = known.get("name") or ": ".join(known.get("names") or ())
    named = (known, *(properties.get(key) for key in ("class", "label", "name")))
    return next((str(name) for name in named if name), "")


def _polygons(geometry: dict[str, Any]) -> Iterator[Polygon]:
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        for part in geometry.get("geometries", ()):
            yield from _polygons(part)
    elif kind == "Polygon":
        yield [ring(points) for points in geometry["coordinates"]]
    elif kind == "MultiPolygon":
        for polygon in geometry["coordinates"]:
            yield [ring(points) for points in polygon]


def _area(region: Region) -> float:
    """Return the area within the outer rings, pixels."""
    return sum(_within(polygon[0]) for polygon in region.polygons)


def _within(outline: Ring) -> float:
    x, y = outline.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
