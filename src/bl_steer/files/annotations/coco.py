"""Outlines and runs of pixels in the JSON of COCO: one file for many images.

References
----------
T.-Y. Lin et al., Microsoft COCO: common objects in context (2014), arXiv:1405.0312; the form of
runs is that of ``maskApi.c`` in cocodataset/cocoapi: columns from the left, each from the top, the
first run empty, lengths that differ from the last but one in groups of five bits.
"""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.annotations.regions import MAX_PIXELS, Annotation, Patch, Region, ring
from bl_steer.files.errors import FileFormatError, listed

__all__ = ["coco_images", "read_coco"]


def coco_images(content: dict[str, Any]) -> list[str]:
    """Return the names of the images of a file, without their folders."""
    # The tool may have run on Windows.
    names = (str(image.get("file_name", "")) for image in content["images"])
    return [PureWindowsPath(PurePosixPath(name).name).name for name in names]


def read_coco(content: dict[str, Any], image_name: str) -> Annotation:
    """Return the objects of one image; later ones lie over earlier ones, as in its own maps.

    Parameters
    ----------
    image_name : of the image's file, which the file knows by its name or that without the ending

    Raises
    ------
    FileFormatError
        Where the file does not hold the image, or an object is broken.
    """
    image, notes = _image(content, image_name)
    shape = int(image["height"]), int(image["width"])
    if not 0 < shape[0] * shape[1] <= MAX_PIXELS:
        raise FileFormatError(
            f"must be of an image of at most {MAX_PIXELS} pixels, got {shape[0]} × {shape[1]}; "
            "split it"
        )
    names = {row["id"]: str(row["name"]) for row in content.get("categories", ())}
    regions, boxes = [], 0
    for row in content["annotations"]:
        if row.get("image_id") != image.get("id"):
            continue
        name = names.get(row.get("category_id"), f"category {row.get('category_id')}")
        outline = row.get("segmentation")
        if not outline:
            boxes += 1
        elif isinstance(outline, dict):
            regions.append(Region(name, patches=[_runs(outline, shape)]))
        else:
            flat = [np.asarray(part, dtype=np.float64) for part in outline]
            if any(part.ndim != 1 or part.size % 2 for part in flat):
                raise FileFormatError(
                    "must hold outlines as lists x, y, x, y, …, got one of another form; export "
                    "it anew"
                )
            regions.append(Region(name, [[ring(part.reshape(-1, 2))] for part in flat]))
    if boxes:
        notes.append(f"{boxes} objects that have a box and no outline are left out.")
    return Annotation("COCO", regions, shape, notes)


def _image(content: dict[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    images, known = content["images"], coco_images(content)
    for same in (lambda text: text, lambda text: PurePosixPath(text).stem):
        rows = [row for row, own in zip(images, known, strict=True) if same(own) == same(name)]
        if len(rows) == 1:
            return rows[0], []
    if len(images) == 1:
        return images[0], [f"Its outlines are those of the file's only image, {known[0]}."]
    raise FileFormatError(f"must hold the image {name} once, got {listed(known)}; name it so")


def _runs(runs: dict[str, Any], shape: tuple[int, int]) -> Patch:
    """Return the pixels of a run-length encoding of the whole image."""
    size, counts = tuple(runs.get("size", ())), runs.get("counts")
    if size != shape:
        raise FileFormatError(
            f"must hold runs of an image of {shape[0]} × {shape[1]} pixels (rows × columns), got "
            f"{' × '.join(map(str, size))}; export it anew"
        )
    lengths = _unpacked(counts) if isinstance(counts, str) else np.asarray(counts, dtype=np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != shape[0] * shape[1]:
        raise FileFormatError(
            f"must hold runs of {shape[0] * shape[1]} pixels in all, got {lengths.sum()}; export "
            "it anew"
        )
    values = np.arange(len(lengths)) % 2 == 1
    return Patch(0, 0, np.repeat(values, lengths).reshape(shape, order="F"))


def _unpacked(text: str) -> NDArray[np.int64]:
    """Return the lengths of compressed runs."""
    lengths: list[int] = []
    value = shift = 0
    for letter in text.encode():
        group = letter - 48
        if not 0 <= group < 64 or shift > 60:
            raise FileFormatError("must hold compressed runs, got other text; export it anew")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return np.array(lengths, dtype=np.int64)
