"""Write a volume so that other programs find its voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from bl_steer.files.atomic import draft_of
from bl_steer.files.formats import FORMS
from bl_steer.files.volumes.nrrd_files import write_nrrd
from bl_steer.files.volumes.ome_zarr import write_ome_zarr
from bl_steer.protocols import AnalysisResult

__all__ = ["Voxel", "check_form", "planes_of", "write_result_volume", "write_volume"]

Voxel = tuple[float | None, float | None, float | None]
"""Edges z, y, x, nm; None where one is not known."""

IMAGEJ_TYPES = (np.uint8, np.uint16, np.float32)
UNLABELLED = 255
"""Label of pixels that nobody has looked at."""
LARGEST_IMAGEJ = 2**32 - 2**20
"""Bytes that its form has offsets for."""


def check_form(form: str) -> None:
    """Raise `ValueError` that lists the forms, where there is none of that name."""
    if form not in FORMS:
        raise ValueError(f"a format must be one of {', '.join(FORMS)}, got {form!r}; give one")


def write_volume(
    stem: str | Path,
    volume: Any,
    voxel_nm: Voxel,
    form: str = "imagej",
    phases: Sequence[str] | Mapping[int, str] = (),
) -> Path:
    """Write a volume, whole or not at all, and return its path.

    Parameters
    ----------
    stem : path without its ending, which is that of the form
    volume : shape (Z, Y, X), numpy or Zarr; as TIFF also one image (Y, X), compressed
    voxel_nm : edges z, y, x, nm; None where one is not known
    form : ``imagej`` (TIFF), ``ome-tiff``, ``ome-zarr`` (0.5, Zarr 3), or ``nrrd``; what ImageJ's
        TIFF cannot hold exactly, or in 4 GiB, becomes OME-TIFF
    phases : names of labels 0, 1, …, also by label; OME-Zarr and NRRD keep them

    Raises
    ------
    ValueError
        If there is no such form, the values are of no type that it has, or phases are no names.
    UnwritableError
        Naming the file that cannot be written.
    """
    check_form(form)
    names = _names(phases)
    if form == "ome-zarr":
        return write_ome_zarr(_path(stem, form), volume, voxel_nm, names)
    values = _exact(np.asarray(volume))
    fits = values.dtype in IMAGEJ_TYPES and values.nbytes <= LARGEST_IMAGEJ
    form = "ome-tiff" if form == "imagej" and not fits else form
    path = _path(stem, form)
    with draft_of(path) as draft:
        if form == "nrrd":
            write_nrrd(draft, values, voxel_nm, names)
        elif form == "imagej":
            _write_imagej(draft, values, voxel_nm)
        else:
            _write_ome_tiff(draft, values, voxel_nm, path.name)
    return path


def _names(phases: Sequence[str] | Mapping[int, str]) -> list[str]:
    """Return the names of the labels 0, 1, …"""
    labels = phases.keys() if isinstance(phases, Mapping) else range(len(phases))
    names = [phases[label] for label in sorted(labels)]
    if sorted(labels) != list(range(len(phases))) or not all(
        isinstance(name, str) and name for name in names
    ):
        raise ValueError(
            f"phases must be the names of the labels 0, 1, …, got {phases!r}; give a list such as "
            '["oxide", "carbon", "void"]'
        )
    return names


def write_result_volume(
    stem: str | Path,
    result: AnalysisResult,
    name: str,
    form: str = "imagej",
    phases: Sequence[str] = (),
) -> Path:
    """Write an array of a result with the voxel that its provenance gives it, see `write_volume`.

    A file has planes at even depths: where slices are missing, theirs hold `UNLABELLED` in
    ``labels`` and 0 in all else.
    """
    stack = np.asarray(result.arrays[name])
    planes = result.provenance.get("planes", {}).get(name)
    if planes is not None:
        fill = UNLABELLED if name == "labels" else 0
        even = np.full((planes[-1] + 1, *stack.shape[1:]), fill, dtype=stack.dtype)
        even[planes] = stack
        stack = even
    return write_volume(stem, stack, result.provenance["voxels_nm"][name], form, phases)


def planes_of(depths_nm: NDArray[np.float64], pitch_nm: float) -> list[int] | None:
    """Return at which plane of even ones each slice lies, by its depth; None without gaps."""
    spacing = np.diff(depths_nm)
    if not len(spacing) or not np.isfinite(spacing).all():
        return None
    steps = np.maximum(np.round(spacing / pitch_nm), 1.0).astype(int)
    return None if (steps == 1).all() else [0, *np.cumsum(steps).tolist()]


def _path(stem: str | Path, form: str) -> Path:
    stem = Path(stem)
    return stem.with_name(stem.name + FORMS[form])


def _exact(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of a type that all forms have, without a change of any."""
    narrow = {"b": np.uint8, "f2": np.float32}
    for kind, dtype in narrow.items():
        if values.dtype.str.lstrip("<>|=").startswith(kind):
            return values.astype(dtype)
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        for dtype in (np.uint32, np.int32):
            if values.size == 0 or np.array_equal(values, converted := values.astype(dtype)):
                return converted if values.size else values.astype(dtype)
        raise ValueError(
            f"a volume must hold numbers of 32 bits at most, got {values.min()} … {values.max()}; "
            "number its objects anew"
        )
    return values


def _write_imagej(path: Path, values: NDArray[Any], voxel_nm: Voxel) -> None:
    z, y, x = voxel_nm
    known: dict[str, Any] = {"axes": "ZYX"[-values.ndim :]}
    # Of a stack ImageJ reads planes where they lie, which compression would prevent.
    options: dict[str, Any] = {"compression": "zlib"} if values.ndim == 2 else {}
    if x is not None:
        known["unit"] = "um"
        options["resolution"] = (1e3 / x, 1e3 / (y or x))
        if z is not None:
            known["spacing"] = 1e-3 * z
    tifffile.imwrite(path, values, imagej=True, metadata=known, **options)


def _write_ome_tiff(path: Path, values: NDArray[Any], voxel_nm: Voxel, name: str) -> None:
    axes = "ZYX"[-values.ndim :]
    known: dict[str, Any] = {"axes": axes, "Name": name}
    for axis, edge in zip("ZYX", voxel_nm, strict=True):
        if edge is not None and axis in axes:
            known |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "nm"}
    tifffile.imwrite(
        path, values, ome=True, photometric="minisblack", compression="zlib", metadata=known
    )
