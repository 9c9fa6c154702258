"""Values of an image or stack, decoded in the sandbox, since files may be hostile.

``python -m bl_steer.server.viewing.decoding`` is what runs inside: it reads a `Request` as JSON
from standard input, and leaves ``values.bin`` (all planes one after another, little-endian) and
``info.json`` in its folder. `bl_steer.server.viewing.planes` reads them outside, trusting neither.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from bl_steer import files
from bl_steer.analysis import segmentation
from bl_steer.analysis.segmentation.masks import read_mask
from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.files.formats import SUFFIXES
from bl_steer.processing.input_files import are_exact_inputs, read_exact_inputs
from bl_steer.server.jobs.inputs import unpacked
from bl_steer.server.sizes import MIB, amount

__all__ = ["INFO", "MAX_LEVELS", "READY", "VALUES", "Request", "decode", "main"]

INFO, VALUES = "info.json", "values.bin"
READY = "ready"
"""Said when all is imported and the request may come."""
MAX_BYTES = 1024 * MIB
"""Of the values of one file; larger ones are not shown."""
MAX_LEVELS = 12
"""An array of so few whole numbers is shown as a label map."""
STRETCH = (0.5, 99.5)
"""Percentiles between which grey values are shown."""
SAMPLE = 2**20
KNOWN = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")


@dataclass(frozen=True)
class Request:
    """What is to be decoded.

    Parameters
    ----------
    path : the file
    out : folder to write into
    result : whether it is an array of a result, which has no data bar and no microscope
    phases : of a painted mask, as `Phases.to_list` has them
    image : micrograph of a mask, or of a result whose data bar was left out
    called : name of that micrograph, by which annotations know it
    """

    path: str
    out: str
    result: bool = False
    phases: Sequence[dict[str, Any]] = ()
    image: str = ""
    called: str = ""


def main() -> None:
    """Decode the file of standard input, which may be long in coming."""
    _import_readers()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    request = Request(**json.loads(sys.stdin.read()))
    info: dict[str, Any]
    try:
        info = decode(request)
    except (ValueError, OSError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        info = {"problem": reason.replace(f"{Path(request.path).parent}/", "")[:500]}
    (Path(request.out) / INFO).write_text(json.dumps(info), encoding="utf-8")


def _import_readers() -> None:
    """Import what readers import when they are first used, by using them."""
    small = np.zeros((16, 16), np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, small, compression="zlib", photometric="minisblack")
    buffer.seek(0)
    tifffile.imread(buffer)
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(small).save(image := Path(folder) / "small.png")
        files.read_micrographs(image)


def decode(request: Request) -> dict[str, Any]:
    """Write the values of a file; return what `bl_steer.server.viewing.planes.Info` describes.

    Raises
    ------
    ValueError
        When there is nothing to be seen in it, or too much.
    """
    planes, pixel_size_nm = _read(request)
    if not planes or not all(plane.ndim == 2 and plane.size for plane in planes):
        shapes = sorted({plane.shape for plane in planes})
        raise ValueError(f"an image must have the axes y and x, got shapes {shapes}; save it so")
    kind = _stored_type(planes)
    total = sum(plane.size for plane in planes) * kind.itemsize
    if total > MAX_BYTES:
        raise ValueError(
            f"a file that is shown must hold at most {amount(MAX_BYTES)} of values, got "
            f"{amount(total)}; look at a part of it"
        )
    with (Path(request.out) / VALUES).open("wb") as file:
        for plane in planes:
            file.write(np.ascontiguousarray(plane, dtype=kind).tobytes())
    low, high = _shown_range(planes)
    return {
        "shapes": [list(plane.shape) for plane in planes],
        "dtype": kind.name,
        "low": low,
        "high": high,
        "levels": _levels(planes),
        "pixel_size_nm": pixel_size_nm,
    }


def _read(request: Request) -> tuple[list[NDArray[Any]], float | None]:
    """Return the planes (H, W) of a file, and its pixel size where it states one."""
    path = Path(request.path)
    if request.result:
        planes = _planes_of(tifffile.imread(path))
        if request.image:
            planes = [_over(plane, Path(request.image)) for plane in planes]
        return planes, None
    if request.phases:
        return [_labels_of_mask(path, request)], None
    path = unpacked(path, Path(request.out))
    if are_exact_inputs(path):
        inputs = read_exact_inputs(path)
        return [plane for a in inputs.arrays.values() for plane in _planes_of(np.asarray(a))], None
    if path.suffix.lower() in SUFFIXES:
        try:
            read = files.read_micrographs(path)
            return list(read.fields), read.pixel_size_nm
        except ValueError as error:
            try:
                return _stack(path)
            except ValueError:
                raise error from None
    return _stack(path)


def _stack(path: Path) -> tuple[list[NDArray[Any]], float | None]:
    stack = files.open_stack(path)
    sizes = stack.known.get("voxel_size_nm")
    return list(_planes_of(np.asarray(stack.array[:]))), sizes[-1] if sizes else None


def _planes_of(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the planes of (H, W), or of (n, H, W)."""
    return list(array) if array.ndim == 3 else [array]


def _labels_of_mask(path: Path, request: Request) -> NDArray[np.uint8]:
    """Return the labels of a mask, as a training reads them."""
    known = segmentation.Phases.from_list(request.phases)
    micrograph = files.read_micrographs(request.image)
    return read_mask(path, known, micrograph, called=request.called or None).labels


def _over(plane: NDArray[Any], image: Path) -> NDArray[Any]:
    """Return an array of a result as high as its image: labels below it are of no phase."""
    below = max(0, len(files.read_micrographs(image).fields[0]) - len(plane))
    nothing = UNLABELLED if plane.dtype == np.uint8 else 0
    return np.pad(plane, ((0, below), (0, 0)), constant_values=nothing)


def _stored_type(planes: Sequence[NDArray[Any]]) -> np.dtype[Any]:
    """Return a type that browsers know, and that holds the values."""
    kind = np.result_type(*{plane.dtype for plane in planes})
    if kind.kind == "b":
        kind = np.dtype(np.uint8)
    return np.dtype(kind.name if kind.name in KNOWN else "float32").newbyteorder("<")


def _shown_range(planes: Sequence[NDArray[Any]]) -> tuple[float, float]:
    share = max(1, SAMPLE // len(planes))
    seen = [plane.ravel()[:: max(1, plane.size // share)].astype(np.float32) for plane in planes]
    values = np.concatenate(seen)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, STRETCH)
    return float(low), float(high)


def _levels(planes: Sequence[NDArray[Any]]) -> list[int] | None:
    """Return the values of a label map, None of what is none."""
    found: set[int] = set()
    for values in _distinct(planes):
        found.update(values)
        if len(found) > MAX_LEVELS or min(found) < 0:
            return None
    return sorted(found)


def _distinct(planes: Sequence[NDArray[Any]]) -> Iterator[list[int]]:
    for plane in planes:
        if plane.dtype.kind not in "bui":
            yield [-1]
        else:
            yield np.unique(plane).astype(int).tolist()


if __name__ == "__main__":
    main()
    os._exit(0)  # somebody waits, and to take all modules apart takes ten times as long as a file
