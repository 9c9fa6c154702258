"""Numbers of an HDF5 dataset as they are meant: scaled, and NaN where nothing was measured.

`bl_steer.files.maps.any_map` finds which dataset is what.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["read_numbers", "scaled", "text_of_attribute", "unit_of"]

MARKS = ("_FillValue", "missing_value")
RANGES = ("valid_min", "valid_max", "valid_range")
Mask = NDArray[np.bool_]


def read_numbers(group: h5py.Group, name: str) -> tuple[NDArray[Any], list[str]]:
    """Return a dataset's numbers, and what was done to them, one line each.

    Parameters
    ----------
    group, name : of the dataset

    Notes
    -----
    NaN stands where nothing was ever written, which HDF5 reads as its fill value, zero as a rule:
    chunks that were not allocated, and sources of a virtual dataset that are not there. So it does
    for the fill value and the marks that the file declares, and outside the range that it calls
    valid. Then the file's scale is applied, by NeXus (stored + offset) · scaling_factor, by
    netCDF stored · scale_factor + add_offset.

    References
    ----------
    NeXus definitions, NXdata, FIELDNAME_scaling_factor. NetCDF Climate and Forecast Metadata
    Conventions 1.11, sections 2.5.1 and 8.1.
    """
    dataset = group[name]
    stored = dataset[()]
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "fiub":
        return stored, []
    notes = []
    absent = np.zeros(stored.shape, dtype=bool)
    unwritten = _unwritten(dataset)
    if unwritten is not None and unwritten.any():
        absent |= unwritten
        share = 100.0 * unwritten.mean()
        notes.append(f"{name}: {share:.3g} % was never written and counts as not measured")
    for word, marked in _declared(dataset, stored):
        if (marked & ~absent).any():
            notes.append(
                f"{name}: {(marked & ~absent).sum()} of {marked.size} values are {word} and count "
                "as not measured"
            )
            absent |= marked
    values = stored
    if absent.any():
        wide = stored.astype(np.result_type(stored.dtype, np.float32))
        values = np.where(absent, np.nan, wide)
    meant, formula = scaled(group, name, values)
    return meant, [*notes, f"{name}: read as {formula}"] if formula else notes


def unit_of(dataset: h5py.Dataset) -> str | None:
    """Return a dataset's unit, None where it does not say."""
    for key in ("units", "unit"):
        if text := text_of_attribute(dataset.attrs.get(key)):
            return text
    return None


def text_of_attribute(value: Any) -> str | None:
    """Return an attribute as text, None where there is none."""
    if value is None:
        return None
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode() if isinstance(value, bytes) else str(value)


def _declared(dataset: h5py.Dataset, stored: NDArray[Any]) -> Iterator[tuple[str, Mask]]:
    """Yield what the file says of values that are none, and where they stand."""
    for key in MARKS:
        for mark in _floats(dataset.attrs.get(key)):
            yield f"its {key} {mark:g}", stored == np.asarray(mark).astype(stored.dtype)
    plist = dataset.id.get_create_plist()
    if plist.fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED:
        fill = np.asarray(dataset.fillvalue)
        if fill.size == 1 and fill != 0:
            yield f"its fill value {fill.item():g}", stored == fill
    low, high = -np.inf, np.inf
    for key, bounds in zip(RANGES, ((0, None), (None, 0), (0, 1)), strict=True):
        given = _floats(dataset.attrs.get(key))
        if bounds[0] is not None and len(given) > bounds[0]:
            low = given[bounds[0]]
        if bounds[1] is not None and len(given) > bounds[1]:
            high = given[bounds[1]]
    if np.isfinite([low, high]).any():
        yield f"outside its valid range {low:g} to {high:g}", (stored < low) | (stored > high)


def scaled(group: h5py.Group, name: str, values: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """Return values in their unit, and by which formula, empty where they are in it already.

    Parameters
    ----------
    group, name : of the dataset that says its scale, by NeXus or by netCDF
    values : as stored, of any shape
    """
    attributes = group[name].attrs
    if "scale_factor" in attributes or "add_offset" in attributes:
        factor = _one(attributes.get("scale_factor"), 1.0)
        offset = _one(attributes.get("add_offset"), 0.0)
        if (factor, offset) == (1.0, 0.0):
            return values, ""
        return values * factor + offset, f"stored * {factor:g} + {offset:g}"
    signal = text_of_attribute(group.attrs.get("signal"))
    factor, offset = (
        _one(_nexus(group, name, key, is_signal=signal == name), neutral)
        for key, neutral in (("scaling_factor", 1.0), ("offset", 0.0))
    )
    if (factor, offset) == (1.0, 0.0):
        return values, ""
    return (values + offset) * factor, f"(stored + {offset:g}) * {factor:g}"


def _nexus(group: h5py.Group, name: str, key: str, *, is_signal: bool) -> Any:
    """Return scaling factor or offset of a field: beside it, or as its attribute."""
    for beside in (f"{name}_{key}", *([key] if is_signal else [])):
        if isinstance(group.get(beside), h5py.Dataset):
            return group[beside][()]
    return group[name].attrs.get(key)


def _one(value: Any, neutral: float) -> float:
    numbers = _floats(value)
    return numbers[0] if len(numbers) == 1 else neutral


def _floats(value: Any) -> list[float]:
    try:
        return [] if value is None else np.atleast_1d(np.asarray(value, dtype=float)).tolist()
    except (TypeError, ValueError):
        return []


def _unwritten(dataset: h5py.Dataset) -> Mask | None:
    """Return where nothing was ever written, None where all was."""
    if dataset.size == 0:
        return None
    if dataset.is_virtual:
        return _unmapped(dataset)
    if dataset.chunks is None:
        is_empty = dataset.id.get_storage_size() == 0 and not dataset.external
        return np.ones(dataset.shape, dtype=bool) if is_empty else None
    counts = [-(-n // chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    if dataset.id.get_num_chunks() == prod(counts):
        return None
    is_written = np.zeros(counts, dtype=bool)

    def note(chunk: Any) -> None:
        place = [n // c for n, c in zip(chunk.chunk_offset, dataset.chunks, strict=True)]
        is_written[tuple(place)] = True

    dataset.id.chunk_iter(note)
    for axis, (chunk, n) in enumerate(zip(dataset.chunks, dataset.shape, strict=True)):
        is_written = np.repeat(is_written, chunk, axis=axis)
        is_written = is_written[(slice(None),) * axis + (slice(n),)]
    return ~is_written


def _unmapped(dataset: h5py.Dataset) -> Mask | None:
    """Return where a virtual dataset has no source, or one where nothing was written."""
    absent = np.ones(dataset.shape, dtype=bool)
    folder = Path(dataset.file.filename).parent
    for source in dataset.virtual_sources():
        target = _selected(source.vspace, dataset.shape)
        if target is None or "%" in source.file_name:
            return None
        file = dataset.file.filename if source.file_name == "." else folder / source.file_name
        if not Path(file).exists():
            continue
        with h5py.File(file, "r") as opened:
            if source.dset_name not in opened:
                continue
            origin = opened[source.dset_name]
            lost = _unwritten(origin)
            taken = _selected(source.src_space, origin.shape)
            if lost is not None and taken is not None:
                absent[np.ix_(*target)] = lost[np.ix_(*taken)].reshape([len(t) for t in target])
            else:
                absent[np.ix_(*target)] = False
    return absent


def _selected(space: Any, shape: tuple[int, ...]) -> list[NDArray[np.intp]] | None:
    """Return the indices along each axis that a selection takes; None of a ragged one."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return [np.arange(n) for n in shape]
    if not space.is_regular_hyperslab():
        return None
    start, stride, count, block = space.get_regular_hyperslab()
    if any(n == h5py.h5s.UNLIMITED for n in (*count, *block)):
        return None
    return [
        np.add.outer(first + step * np.arange(n), np.arange(width)).ravel()
        for first, step, n, width in zip(start, stride, count, block, strict=True)
    ]
