"""A reduction to a grid, and a mask of pixels, as a run's start document holds them, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bl_steer.diffraction.corrections import pack_mask, unpack_flat, unpack_mask
from bl_steer.diffraction.geometry import Goniometer
from bl_steer.diffraction.grid import QGrid
from bl_steer.diffraction.gridded import GriddedFrames

__all__ = ["mask_of_record", "mask_record", "record_of", "reduction_of_record"]


def record_of(gridded: GriddedFrames) -> dict[str, Any]:
    """Return `GriddedFrames.to_dict` with its digest and the mask itself, JSON-compatible."""
    return {
        **gridded.to_dict(),
        "mask_bits": gridded.weights.mask_bits,
        "flat_bits": gridded.weights.flat_bits,
        "digest": gridded.digest,
        "empty": gridded.empty if np.isfinite(gridded.empty) else None,
        "sentinels": gridded.sentinels,
    }


def reduction_of_record(
    record: Mapping[str, Any], *, flat: ArrayLike | None = None
) -> GriddedFrames:
    """Return the reduction of `record_of`; records of earlier versions need the flat field.

    Raises
    ------
    ValueError
        When it is not the one that was recorded.
    """
    goniometer, bits = Goniometer.from_dict(record["goniometer"]), record["mask_bits"]
    if flat is None and (packed := record.get("flat_bits")) is not None:
        flat = unpack_flat(packed, goniometer.detector.shape)
    gridded = GriddedFrames(
        goniometer,
        QGrid.from_dict(record["grid"]),
        angles=record["angles"],
        mask=None if bits is None else unpack_mask(bits, goniometer.detector.shape),
        flat=flat,
        solid_angle=record["solid_angle"],
        polarisation=record["polarisation"],
        empty=np.nan if record.get("empty") is None else record["empty"],
        sentinels=bool(record.get("sentinels", False)),
    )
    if gridded.digest != record["digest"]:
        raise ValueError(
            f"a reduction must be the recorded one, of digest {record['digest'][:8]}, got "
            f"{gridded.digest[:8]}; give the flat field that the run was reduced with"
        )
    return gridded


def mask_record(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask, (H, W), True where a pixel is not used, JSON-compatible."""
    return {
        "n_masked": int(mask.sum()),
        "shape": list(mask.shape),
        "sha256": hashlib.sha256(np.ascontiguousarray(mask).tobytes()).hexdigest(),
        "bits": pack_mask(mask),
    }


def mask_of_record(record: Mapping[str, Any] | None) -> NDArray[np.bool_] | None:
    """Return the mask of `mask_record`; None of None.

    Raises
    ------
    ValueError
        When it is not the one that was recorded.
    """
    if record is None:
        return None
    mask = unpack_mask(record["bits"], tuple(record["shape"]))
    if mask_record(mask)["sha256"] != record["sha256"]:
        raise ValueError(
            f"a recorded mask must have the sha256 of its record, {record['sha256'][:8]}, got "
            f"{mask_record(mask)['sha256'][:8]}: the record is damaged; give the mask"
        )
    return mask
