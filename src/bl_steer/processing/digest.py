"""One number for a result: equal wherever the same analysis saw the same data.

It tells whether a notebook, the command line, a callback and a server agree, and whether a stored
result is still what was computed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.canonical import canonical_json
from bl_steer.files.planes import some_planes
from bl_steer.protocols import AnalysisResult

__all__ = ["canonical_json", "digest_of", "json_values"]

FORM = "bl_steer analysis result, form 1"
IDENTITY = ("name", "version", "params", "weights")
NUMBERS = "biufc"


def digest_of(result: AnalysisResult) -> str:
    """Return the sha256 of a result's content, as 64 hexadecimal digits.

    It covers the analysis' name and version, its parameters, the hash of its weights, the tables
    and the arrays. Figures, warnings, times, the source of the inputs and the rest of the
    provenance are left out.

    Raises
    ------
    TypeError
        When a column or an array holds neither numbers nor text.

    Notes
    -----
    Names are sorted. An array is its kind and size in bytes, its shape, and its values in C order,
    little-endian; text is UTF-8. -0.0 counts as 0.0, and all NaNs as one. Each part is preceded by
    its length, so that no two contents read alike.
    """
    total = hashlib.sha256()
    _put(total, FORM.encode())
    identity = {key: result.provenance.get(key) for key in IDENTITY}
    _put(total, canonical_json(identity).encode())
    _put(total, str(len(result.tables)).encode())
    for name in sorted(result.tables):
        _put(total, name.encode())
        _put_arrays(total, result.tables[name])
    _put_arrays(total, result.arrays)
    return total.hexdigest()


def json_values(value: Any) -> Any:
    """Return a copy as JSON would give it back, with numbers and arrays of NumPy as Python's.

    `bl_steer.store.record` refuses what this turns into text: a document of a measurement must lose
    nothing unseen.

    >>> import pathlib
    >>> json_values({"steps": (np.int64(1), 2), "model": pathlib.PurePosixPath("a")})
    {'steps': [1, 2], 'model': 'a'}
    """
    return json.loads(json.dumps(value, default=_json_value))


def _json_value(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)


def _put_arrays(total: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    _put(total, str(len(arrays)).encode())
    for name in sorted(arrays):
        _put(total, name.encode())
        _put_array(total, name, arrays[name])


def _put_array(total: Any, name: str, array: Any) -> None:
    """Put an array in; one of numbers may be of any size, in memory or on disk."""
    if not isinstance(getattr(array, "dtype", None), np.dtype) or array.dtype.kind in "OUT":
        array = np.asarray(array)
    if _is_text(array):
        _put(total, f"text {array.shape}".encode())
        for text in array.ravel().tolist():
            _put(total, text.encode("utf-8", "surrogatepass"))
        return
    if array.dtype.kind not in NUMBERS or array.dtype.itemsize > 16 or array.dtype.char in "gG":
        raise TypeError(
            f"tables and arrays must hold numbers or text, got {array.dtype} in {name!r}; convert "
            "it, at most to float64 or complex128"
        )
    _put(total, f"{array.dtype.kind}{array.dtype.itemsize} {array.shape}".encode())
    n_bytes = math.prod(array.shape) * array.dtype.itemsize
    total.update(n_bytes.to_bytes(8, "little"))
    for planes in some_planes(array) if array.shape else [np.asarray(array)]:
        total.update(_canonical(planes).data)


def _canonical(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values as unsigned bytes in C order, little-endian, with one zero and one NaN."""
    values = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    if array.dtype.kind in "fc":
        parts = values.copy().reshape(-1).view(f"<f{_float_size(values.dtype)}")
        parts[parts == 0] = 0.0
        parts[np.isnan(parts)] = np.nan
        values = parts
    return values.reshape(-1).view(np.uint8)


def _float_size(dtype: np.dtype[Any]) -> int:
    return dtype.itemsize // (2 if dtype.kind == "c" else 1)


def _is_text(array: NDArray[Any]) -> bool:
    if array.dtype.kind == "O":
        return all(isinstance(value, str) for value in array.ravel())
    return array.dtype.kind in "UT"


def _put(total: Any, part: bytes | memoryview) -> None:
    total.update(len(part).to_bytes(8, "little"))
    total.update(part)
