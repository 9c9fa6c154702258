"""What the counts of a pixel are multiplied by, and which pixels are left out."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bl_steer.diffraction.directions import unit_vector
from bl_steer.diffraction.geometry import Goniometer
from bl_steer.protocols import Array

__all__ = ["UNPOLARISED", "PixelWeights", "unpack_mask"]

UNPOLARISED = "unpolarised"


class PixelWeights:
    """Mask, flat field, solid angle and polarisation of the pixels of a detector.

    Parameters
    ----------
    goniometer : it stands on
    mask : shape of a frame, True where a pixel is not to be used
    flat : shape of a frame, relative efficiency of the pixels
    solid_angle : divide by the solid angle of a pixel, in units of that at the beam centre
    polarisation : axis of the electric field, `UNPOLARISED`, or None to leave it

    Attributes
    ----------
    used : shape (n_pixels,), False where a pixel is left out; None where none is
    mask_bits : the mask as text, which `unpack_mask` reads; None without one
    flat_bits : the flat field as text, which `unpack_flat` reads; None without one

    Notes
    -----
    A flat pixel seen at an angle a from the detector's normal covers ``cos³ a`` of the solid angle
    of the one in the middle. The polarisation factor is ``1 - (e · k_f)²`` for a field along e,
    and ``(1 + cos² 2θ) / 2`` without polarisation.

    References
    ----------
    J. Als-Nielsen, D. McMorrow, Elements of Modern X-ray Physics, 2nd ed. (2011),
    doi:10.1002/9781119998365, equation (1.8).
    """

    def __init__(
        self,
        goniometer: Goniometer,
        *,
        mask: ArrayLike | None = None,
        flat: ArrayLike | None = None,
        solid_angle: bool = False,
        polarisation: str | None = None,
    ) -> None:
        shape = self._shape = goniometer.detector.shape
        self.used: NDArray[np.bool_] | None = None
        self.mask_bits: str | None = None
        self.flat_bits: str | None = None
        self._fixed: Array | None = None
        self._beam = unit_vector(goniometer.beam)
        self._settings: dict[str, Any] = {
            "mask": None,
            "flat": None,
            "solid_angle": bool(solid_angle),
            "polarisation": polarisation,
        }
        self._field = None
        if polarisation not in (None, UNPOLARISED):
            self._field = unit_vector(str(polarisation), "polarisation")
        if mask is not None:
            masked = _of_shape(mask, shape, "mask")
            if masked.dtype != bool and not np.isin(masked, (0, 1)).all():
                raise ValueError(
                    f"the mask must hold True where a pixel is not to be used, got {masked.dtype} "
                    f"up to {masked.max()}; compare it with a number"
                )
            self.used = ~masked.astype(bool).ravel()
            self._settings["mask"] = _sha256(self.used)
            self.mask_bits = pack_mask(masked.astype(bool))
        if flat is not None:
            efficiency = _of_shape(flat, shape, "flat field").astype(float).ravel()
            good = np.isfinite(efficiency) & (efficiency > 0)
            self.used = good if self.used is None else self.used & good
            self._fixed = 1.0 / np.where(good, efficiency, 1.0)
            self._settings["flat"] = _sha256(efficiency)
            self.flat_bits = _pack_numbers(efficiency)
        if solid_angle:
            cosine = (goniometer.directions() @ self._beam).ravel()
            self._fixed = (1.0 if self._fixed is None else self._fixed) / cosine**3

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels that are not used, shape of a frame."""
        used = np.ones(self._shape, dtype=bool) if self.used is None else self.used
        return np.asarray(~used.reshape(self._shape))

    def of(self, pixels: NDArray[np.intp], arm: Array, directions: Array) -> Array | None:
        """Return the weights of pixels; None where all are 1.

        Parameters
        ----------
        pixels : shape (n,), numbers in a block of frames
        arm : shape (n_frames, 3, 3), rotations of the detector's arm
        directions : shape (3, n_pixels), of the pixels with the arm at zero
        """
        n_pixels = directions.shape[1]
        fixed = None if self._fixed is None else self._fixed[pixels % n_pixels]
        if self._settings["polarisation"] is None:
            return fixed
        axis = self._beam if self._field is None else self._field
        squared = ((axis @ arm) @ directions).ravel()[pixels] ** 2
        factor = 1.0 - squared if self._field is not None else 0.5 * (1.0 + squared)
        return np.asarray((1.0 if fixed is None else fixed) / factor)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-compatible data; mask and flat field by their sha256."""
        return dict(self._settings)


def pack_mask(mask: NDArray[np.bool_]) -> str:
    """Return a mask as text, which `unpack_mask` reads."""
    return base64.b64encode(zlib.compress(np.packbits(mask.ravel()).tobytes())).decode()


def unpack_mask(text: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask that `PixelWeights.mask_bits` holds, True where a pixel is not used.

    Raises
    ------
    ValueError
        When the text holds no mask of this shape.
    """
    n = int(np.prod(shape, dtype=int))
    try:
        bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    except (ValueError, zlib.error) as error:
        raise ValueError(
            f"a recorded mask must be packed as text, got {text[:40]!r} ({error}); give the mask"
        ) from error
    if len(bits) != -(-n // 8):
        raise ValueError(
            f"a recorded mask must have the shape {shape} of the detector, got {8 * len(bits)} "
            "pixels; give the mask"
        )
    return np.unpackbits(bits, count=n).astype(bool).reshape(shape)


def _pack_numbers(values: Array) -> str:
    small = values.astype(np.float32)  # half as much, where nothing is lost
    numbers = small if np.array_equal(small, values, equal_nan=True) else values
    return base64.b64encode(zlib.compress(numbers.tobytes())).decode()


def unpack_flat(text: str, shape: tuple[int, ...]) -> Array:
    """Return the flat field that `PixelWeights.flat_bits` holds.

    Raises
    ------
    ValueError
        When the text holds none of this shape.
    """
    n = int(np.prod(shape, dtype=int))
    try:
        content = zlib.decompress(base64.b64decode(text))
        kind = {4 * n: np.float32, 8 * n: np.float64}[len(content)]
    except (ValueError, zlib.error, KeyError) as error:
        raise ValueError(
            f"a recorded flat field must be packed as text and have the shape {shape} of the "
            f"detector, got {text[:40]!r} ({error}); give the flat field"
        ) from error
    return np.frombuffer(content, dtype=kind).astype(float).reshape(shape)


def _of_shape(values: ArrayLike, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != shape:
        raise ValueError(
            f"the {what} must have the shape {shape} of the detector's frames, got {array.shape}; "
            "cut both to the same region"
        )
    return array


def _sha256(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
