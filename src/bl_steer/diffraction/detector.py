"""A detector as data: its pixels, and where they stand when the circles of its arm are at zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import permutations, product
from typing import Any, Self

import numpy as np

from bl_steer.diffraction.directions import unit_vector
from bl_steer.protocols import Array

__all__ = ["Detector", "check_keys"]

KINDS = ("point", "linear", "area")


@dataclass(frozen=True)
class Detector:
    """An area, linear or point detector, flat and at right angles to the arm.

    Parameters
    ----------
    shape : pixels: (H, W) of an area, (W,) of a linear, () of a point detector
    directions : laboratory direction in which the pixels' numbers grow, one for each axis of
        `shape`, with the arm at zero: ``("z-", "x+")`` for rows counted downwards, and columns to
        the right of who looks along the beam
    pixel_size_mm : of each axis of `shape`
    distance_mm : from the sample to the pixel `beam_centre`
    beam_centre : pixel (row, column) that the primary beam hits with the arm at zero, in pixels
        from the middle of the first one; not necessarily whole, nor on the detector
    proven : what proved the directions (`bl_steer.diffraction.find_orientation`); empty where
        nothing did, so that left and right may be exchanged

    Raises
    ------
    ValueError
        When these contradict each other, or a size or distance is not positive.

    Examples
    --------
    >>> Detector((512, 512), ("z-", "x+"), (0.055, 0.055), 600.0, (255.5, 255.5)).kind
    'area'
    >>> Detector().kind
    'point'
    """

    shape: tuple[int, ...] = ()
    directions: tuple[str, ...] = ()
    pixel_size_mm: tuple[float, ...] = ()
    distance_mm: float = 1000.0
    beam_centre: tuple[float, ...] = ()
    proven: str = ""

    def __post_init__(self) -> None:
        for name in ("shape", "directions", "pixel_size_mm", "beam_centre"):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, list | tuple):
                raise ValueError(
                    f"{name} of the detector must be a list with a value for each axis of its "
                    f"pixels, got {values!r}; an area detector has two, rows first"
                )
            object.__setattr__(self, name, tuple(values))
        n = len(self.shape)
        lengths = [len(v) for v in (self.directions, self.pixel_size_mm, self.beam_centre)]
        if n > 2 or lengths != [n] * 3:
            raise ValueError(
                "directions, pixel_size_mm and beam_centre must each have a value for every axis "
                f"of a detector of shape {self.shape}, got {self.directions}, "
                f"{self.pixel_size_mm}, {self.beam_centre}; an area detector has two, rows first"
            )
        sizes = (*self.shape, *self.pixel_size_mm, self.distance_mm)
        if not all(np.isfinite(size) and size > 0 for size in sizes):
            raise ValueError(
                "shape, pixel_size_mm and distance_mm must be positive, got "
                f"{self.shape}, {self.pixel_size_mm}, {self.distance_mm:g}; give them in pixels "
                "and mm"
            )
        if not np.isfinite(self.beam_centre).all():
            raise ValueError(
                f"beam_centre must be finite, got {self.beam_centre}; give the pixel that the "
                "primary beam hits with the arm at zero"
            )
        vectors = np.array([unit_vector(d, "a direction of pixels") for d in self.directions])
        if n == 2 and abs(vectors[0] @ vectors[1]) > 0:
            raise ValueError(
                f"rows and columns must run at right angles, got {self.directions}; give for "
                "example ('z-', 'x+')"
            )

    @property
    def kind(self) -> str:
        """``"area"``, ``"linear"`` or ``"point"``."""
        return KINDS[len(self.shape)]

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=int))

    def towards(self, beam: Array, pixels: Any = None) -> Array:
        """Return where the pixels lie seen from the sample, with the arm at zero.

        Parameters
        ----------
        beam : shape (3,), direction of the primary beam
        pixels : numbers along each axis of `shape`, all of one shape, not necessarily whole;
            by default every pixel

        Returns
        -------
        directions : shape (…, 3) with … the shape of the detector or of `pixels`; of length 1
        """
        if pixels is None:
            pixels = np.indices(self.shape, dtype=float)
        numbers = [np.asarray(p, dtype=float) for p in pixels]
        if len(numbers) != len(self.shape):
            raise ValueError(
                f"pixels of a {self.kind} detector must have {len(self.shape)} numbers each, got "
                f"{len(numbers)}; give rows and columns for an area, channels for a linear detector"
            )
        vectors = np.asarray(self.distance_mm * beam)
        for number, centre, size, axis in zip(
            numbers, self.beam_centre, self.pixel_size_mm, self.directions, strict=True
        ):
            vectors = vectors + ((number - centre) * size)[..., None] * unit_vector(axis)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))

    def oriented(self, *directions: str, proven: str = "") -> Self:
        """Return the detector with its pixels along other directions."""
        return replace(self, directions=directions, proven=proven)

    def orientations(self) -> list[tuple[str, ...]]:
        """Return the directions that the axes of the pixels could have: eight of an area detector.

        >>> len(Detector((2, 2), ("z-", "x+"), (1, 1), 1, (0, 0)).orientations())
        8
        """
        axes = [d[0] for d in self.directions]
        return [
            tuple(axis + sign for axis, sign in zip(order, signs, strict=True))
            for order in permutations(axes)
            for signs in product("+-", repeat=len(axes))
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-compatible data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the detector of `to_dict`."""
        check_keys(data, cls, "a detector")
        return cls(**data)


def check_keys(data: Mapping[str, Any], cls: type[Any], what: str) -> None:
    """Refuse what is no mapping, and keys that are no field of a dataclass, with a `ValueError`."""
    names = [field.name for field in fields(cls)]
    if not isinstance(data, Mapping) or (unknown := [key for key in data if key not in names]):
        problem = repr(unknown) if isinstance(data, Mapping) else type(data).__name__
        raise ValueError(
            f"{what} must be a mapping with keys among {', '.join(names)}, got {problem}; write "
            "it with to_dict"
        )
