"""The pixels of known areas from each annotation tool's form, to the very pixel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bl_steer.files.annotations import Annotation, Region, images_of, read_annotation
from tests.bl_steer.files.annotations import written as w

COMPRESSED = "k38`000JC1=OC1=OC1=OC1=5000000e<"
FLAT = [float(v) for point in w.OUTER for v in point]
RECT, OVAL = roifile.ROI_TYPE.RECT, roifile.ROI_TYPE.OVAL
DISC = np.hypot(*(np.mgrid[:24, :32] + 0.5 - np.array([12, 10])[:, None, None])) <= 6


def covered(annotation: Annotation, shape: tuple[int, int] = w.SHAPE) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    for region in annotation.regions:
        for patch in region.covered(shape):
            rows, columns = patch.pixels.shape
            mask[patch.row :, patch.column :][:rows, :columns] |= patch.pixels
    return mask


def rois(path: Path, *of: roifile.ImagejRoi) -> Path:
    roifile.roiwrite(path, of[0] if path.suffix == ".roi" else of)
    return path


WRITTEN: dict[str, tuple[Callable[[Path], Path], NDArray[np.bool_]]] = {
    "labelme, polygon": (
        lambda d: w.labelme(d / "a.json", [w.labelme_shape("pore", w.OUTER)]),
        w.SQUARE,
    ),
    "labelme, corners within pixels": (
        lambda d: w.labelme(
            d / "a.json",
            [w.labelme_shape("pore", [(x - 0.4, y + 0.3) for x, y in w.OUTER])],
        ),
        w.SQUARE,
    ),
    "labelme, rectangle from its lower right": (
        lambda d: w.labelme(
            d / "a.json", [w.labelme_shape("pore", [w.OUTER[2], w.OUTER[0]], "rectangle")]
        ),
        w.SQUARE,
    ),
    "labelme, circle": (
        lambda d: w.labelme(
            d / "a.json", [w.labelme_shape("pore", [(10, 12), (10, 18)], "circle")]
        ),
        DISC,
    ),
    "labelme, mask": (
        lambda d: w.labelme(d / "a.json", [w.labelme_mask("pore", w.HOLED)]),
        w.HOLED,
    ),
    "COCO, polygon": (lambda d: w.coco(d / "a.json", [("pore", [FLAT])]), w.SQUARE),
    "COCO, two parts": (
        lambda d: w.coco(
            d / "a.json",
            [("pore", [[5, 3, 9, 3, 9, 11, 5, 11], [9, 3, 15, 3, 15, 11, 9, 11]])],
        ),
        w.SQUARE,
    ),
    "COCO, runs": (lambda d: w.coco(d / "a.json", [("pore", w.runs(w.HOLED))]), w.HOLED),
    # Of pycocotools: mask.encode(numpy.asfortranarray(HOLED))["counts"].
    "COCO, compressed runs": (
        lambda d: w.coco(d / "a.json", [("pore", {"size": [24, 32], "counts": COMPRESSED})]),
        w.HOLED,
    ),
    "QuPath, polygon": (
        lambda d: w.qupath(d / "a.geojson", [("pore", "Polygon", [w.closed(w.OUTER)])]),
        w.SQUARE,
    ),
    "QuPath, with a hole": (
        lambda d: w.qupath(
            d / "a.geojson", [("pore", "Polygon", [w.closed(w.OUTER), w.closed(w.HOLE)])]
        ),
        w.HOLED,
    ),
    "QuPath, several polygons": (
        lambda d: w.qupath(
            d / "a.geojson",
            [
                (
                    "pore",
                    "MultiPolygon",
                    [
                        [w.closed([(5, 3), (9, 3), (9, 11), (5, 11)])],
                        [w.closed([(9, 3), (15, 3), (15, 11), (9, 11)])],
                    ],
                )
            ],
        ),
        w.SQUARE,
    ),
    "ImageJ, polygon": (
        lambda d: rois(d / "a.roi", w.polygon_roi("pore", w.OUTER)),
        w.SQUARE,
    ),
    "ImageJ, rectangle": (
        lambda d: rois(d / "a.zip", w.box_roi("pore", RECT, (3, 5, 11, 15))),
        w.SQUARE,
    ),
    "ImageJ, oval": (
        lambda d: rois(d / "a.zip", w.box_roi("pore", OVAL, (6, 4, 18, 16))),
        DISC,
    ),
    "ImageJ, with a hole": (
        lambda d: rois(d / "a.zip", w.composite_roi("pore", [w.OUTER, w.HOLE])),
        w.HOLED,
    ),
    "ImageJ, two halves": (
        lambda d: rois(
            d / "RoiSet.zip",
            w.polygon_roi("pore", [(5, 3), (9, 3), (9, 11), (5, 11)]),
            w.polygon_roi("pore-1", [(9, 3), (15, 3), (15, 11), (9, 11)]),
        ),
        w.SQUARE,
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_region_covers_the_pixels_whose_centres_it_holds(name: str, tmp_path: Path) -> None:
    write, expected = WRITTEN[name]
    annotation = read_annotation(write(tmp_path), "a.tif")
    assert {region.name.removesuffix("-1") for region in annotation.regions} == {"pore"}
    np.testing.assert_array_equal(covered(annotation), expected)
    assert annotation.shape in (None, w.SHAPE)


@given(st.lists(st.tuples(st.floats(-3, 30), st.floats(-3, 30)), min_size=3, max_size=9),
       st.floats(-3, 30))  # fmt: skip
def test_parts_on_both_sides_of_a_line_share_no_pixel_and_leave_none_out(
    points: list[tuple[float, float]], x: float
) -> None:
    inner = [(float(p), float(q)) for p, q in points]
    # Whatever its outline does, it and the rest of the image around it are the image.
    outside = [(-9.0, -9.0), (40.0, -9.0), (40.0, 40.0), (-9.0, 40.0)]
    one = covered(Annotation("", [Region("", [[np.array(inner)]])]))
    rest = covered(Annotation("", [Region("", [[np.array(outside), np.array(inner)]])]))
    np.testing.assert_array_equal(one, ~rest)
    left = [(-9.0, -9.0), (x, -9.0), (x + 5, 40.0), (-9.0, 40.0)]
    right = [(40.0, 40.0), (x + 5, 40.0), (x, -9.0), (40.0, -9.0)]
    halves = [covered(Annotation("", [Region("", [[np.array(h)]])])) for h in (left, right)]
    np.testing.assert_array_equal(halves[0], ~halves[1])


def test_what_has_no_area_is_told_and_left_out(tmp_path: Path) -> None:
    line = [(1, 1), (9, 9)]
    shapes = [w.labelme_shape("pore", w.OUTER), w.labelme_shape("pore", line, "line")]
    (note,) = read_annotation(w.labelme(tmp_path / "a.json", shapes), "a.tif").notes
    assert note == "1 shapes without area ('line') are left out."
    features = [("pore", "LineString", line), ("pore", "Polygon", [w.closed(w.OUTER)])]
    (note,) = read_annotation(w.qupath(tmp_path / "a.geojson", features), "a.tif").notes
    assert note == "1 features without area are left out."
    (note,) = read_annotation(w.coco(tmp_path / "b.json", [("pore", [])]), "a.tif").notes
    assert note == "1 objects that have a box and no outline are left out."
    point = w.polygon_roi("p", w.OUTER)
    point.roitype = roifile.ROI_TYPE.POINT
    (note,) = read_annotation(rois(tmp_path / "p.roi", point), "a.tif").notes
    assert note == "1 ROIs without area ('point') are left out."


def test_a_file_of_coco_holds_many_images_and_the_right_one_is_taken(tmp_path: Path) -> None:
    path = w.coco(tmp_path / "all.json", [("pore", [FLAT])], images=("x\\a.png", "dir/b.png"))
    assert images_of(path) == ["a.png", "b.png"]
    assert len(read_annotation(path, "a.tif").regions) == 1
    assert read_annotation(path, "b.png").regions == []
    with pytest.raises(ValueError, match=r"all.json must hold the image c.png once, got 'a.png'"):
        read_annotation(path, "c.png")
    only = w.coco(tmp_path / "one.json", [("pore", [FLAT])], images=("before.png",))
    assert "the file's only image, before.png" in read_annotation(only, "a.tif").notes[0]


def test_outlines_of_several_slices_are_refused(tmp_path: Path) -> None:
    first, second = (w.polygon_roi(f"pore-{k}", w.OUTER) for k in range(2))
    first.position, second.position = 1, 2
    with pytest.raises(ValueError, match="ROIs of one slice, got those of 2"):
        read_annotation(rois(tmp_path / "RoiSet.zip", first, second), "a.tif")


BROKEN: dict[str, tuple[str, Any, str]] = {
    "no JSON": ("a.json", "{", "got a broken one"),
    "another form": ("a.json", {"version": 1}, "got JSON of another form"),
    "two points": ("a.json", {"shapes": [{"label": "a", "points": [[1, 1], [2, 2]]}]}, "three"),
    "no numbers": ("a.json", {"shapes": [{"label": "a", "points": [["x", 1]] * 3}]}, "three"),
    "micrometres": ("a.json", {"shapes": [{"label": "a", "points": [[1e9, 1]] * 3}]}, "in pixels"),
    "an empty zip": ("a.zip", b"PK\5\6" + b"\0" * 18, "1 to 100000 ROIs of ImageJ, got 0"),
    "half a ROI": ("a.roi", b"Iout\0\xe3", "got a broken one"),
    "no mask": (
        "a.json",
        {"shapes": [{"label": "a", "points": [[0, 0]], "shape_type": "mask", "mask": "!"}]},
        "masks as PNG in base64",
    ),
    "short runs": (
        "a.json",
        {
            "images": [{"id": 1, "file_name": "a.tif", "height": 3, "width": 3}],
            "annotations": [{"image_id": 1, "segmentation": {"size": [3, 3], "counts": [4]}}],
        },
        "runs of 9 pixels in all, got 4",
    ),
    "a huge image": (
        "a.json",
        {
            "images": [{"id": 1, "file_name": "a.tif", "height": 10**6, "width": 10**6}],
            "annotations": [],
        },
        "an image of at most",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    file_name, content, message = BROKEN[name]
    path = tmp_path / file_name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        read_annotation(path, "a.tif")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(file_name)
