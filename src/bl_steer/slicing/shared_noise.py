"""Slices that hold the noise of another: stored once more displaced, in part, or further on.

Two recordings never share their noise, however alike the faces are. `bad_slices` compares faces
with those before without their noise, and finds those that are whole and in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import scipy  # imports scipy.fft when it is needed
from numpy.typing import NDArray

__all__ = ["NoiseOfSlices", "SharedNoise", "copy_warnings", "noise_warnings"]

MIDDLE_PX = 1024
"""Edge of the part in which the displacement is looked for."""
TILE_PX, FEWEST = 32, 8
"""Edge of the tiles that are compared, and how many must show noise of their own."""
CLIP = 2.5
"""Standard deviations of the noise to which the residue is cut: edges must not outweigh it."""
SAME_NOISE = 0.5
"""Correlation of the residues of a tile from which on they are one noise. Of simulated neighbours
10 and 50 nm apart no tile had it with noise, of those without 4 % at most, JPEG too; copies had 1,
displaced ones that were then resampled, or saved as JPEG of quality 85, .6 and more. What JPEG
leaves no noise of (a third of the usual at quality 85) is not found where it is displaced."""
LEAST_SHARE = 0.15
"""Of the tiles, with one noise: a quarter of a slice that is stored twice has .22 and more."""
USUAL = 0.3
"""Correlation that a quarter of the pairs may not exceed in a tile that is judged: a burnt-in text,
a bar, and grey levels that were smoothed or interpolated along z are alike in all slices."""
LISTED = 8
"""Slices that are named."""
IN_PLACE = 0.9
"""Share of the tiles from which on the whole slice is meant."""


@dataclass(frozen=True)
class SharedNoise:
    """What a slice shares with the one before.

    Parameters
    ----------
    share : of its tiles
    moved : by which its content is displaced, pixels (y, x)
    """

    share: float
    moved: tuple[int, int]

    @property
    def in_place(self) -> bool:
        """Whether it is the slice before as a whole, where it was."""
        return self.share >= IN_PLACE and self.moved == (0, 0)


@dataclass
class NoiseOfSlices:
    """Compares the noise of each slice with that of the slice before, as they are read.

    Attributes
    ----------
    copies : place of each slice that is an earlier one, pixel for pixel, and the place of that
    """

    copies: dict[int, int] = field(default_factory=dict)
    _first: dict[bytes, int] = field(default_factory=dict)
    _before: NDArray[np.float32] | None = None
    _tiles: list[NDArray[np.float32]] = field(default_factory=list)
    _moved: list[tuple[int, int]] = field(default_factory=list)

    def through(self, images: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """Yield images (H, W) of one shape, in order of depth, and look at each."""
        for place, image in enumerate(map(np.asarray, images)):
            residue = _residue(image)
            if residue.any():
                seen = blake2b(np.ascontiguousarray(image).tobytes()).digest()
                if (first := self._first.setdefault(seen, place)) != place:
                    self.copies[place] = first
            if self._before is not None:
                moved = _displacement(self._before, residue)
                self._moved.append(moved)
                self._tiles.append(_correlations(self._before, residue, moved))
            self._before = residue
            yield image

    def shared(self) -> dict[int, SharedNoise]:
        """Return what slices share with the one before, by their places in the stack."""
        if not self._tiles:
            return {}
        tiles = np.stack(self._tiles)
        usual = np.quantile(tiles, 0.25, axis=0, method="lower")
        judged = tiles[:, usual < USUAL]
        if judged.shape[1] < FEWEST:
            return {}
        shares = (judged > SAME_NOISE).mean(axis=1)
        return {
            place: SharedNoise(float(share), moved)
            for place, (share, moved) in enumerate(zip(shares, self._moved, strict=True), 1)
            if share >= LEAST_SHARE
        }


def noise_warnings(shared: Mapping[str, SharedNoise]) -> Iterator[str]:
    """Name the slices that share noise with the one before, by what the user knows them by."""
    in_part = {n: f"{n} ({own.share:.0%})" for n, own in shared.items() if own.moved == (0, 0)}
    displaced = {
        name: f"{name} (by {own.moved[0]}, {own.moved[1]} px)"
        for name, own in shared.items()
        if name not in in_part
    }
    for how, named in (("displaced", displaced), ("in part", in_part)):
        if named:
            shown = ", ".join(list(named.values())[:LISTED])
            more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
            yield (
                f"slice{'s' if len(named) > 1 else ''} {shown}{more} "
                f"{'hold' if len(named) > 1 else 'holds'} the noise of the slice before, {how}: "
                "what no recording repeats was stored twice; bl-steer slices takes such a slice as "
                "missing, and keeps the depths of the others"
            )


def copy_warnings(copies: Mapping[int, int], names: Sequence[str] = ()) -> Iterator[str]:
    """Name the slices that are one before the last once more, of `NoiseOfSlices.copies`."""
    for place, first in copies.items():
        if place - first > 1:
            copy, original = (names[k] if names else k for k in (place, first))
            yield (
                f"slice {copy} is slice {original} once more, pixel for pixel: bl-steer slices "
                "takes it as missing, and keeps the depths of the others"
            )


def _residue(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return what is left of an image (H, W) without what varies slowly along rows or columns.

    Curtains vanish, and most of the structure (the mask of Immerkær, 1996). In units of its
    deviation; 0 where there is no noise.
    """
    grey = np.asarray(image, np.float64)
    if min(grey.shape) < TILE_PX + 2 or not np.isfinite(grey).all():
        return np.zeros((max(0, len(grey) - 2), max(0, grey.shape[1] - 2)), np.float32)
    rows = grey[:-2] - 2 * grey[1:-1] + grey[2:]
    residue: NDArray[Any] = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    deviation = 1.4826 * float(np.median(np.abs(residue)))
    if deviation == 0:
        return np.zeros(residue.shape, np.float32)
    return np.asarray(np.clip(residue / deviation, -CLIP, CLIP), np.float32)


def _displacement(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[int, int]:
    """Return by how much the content of one residue is displaced against another's, (y, x)."""
    middles = [_middle(residue) for residue in (before, after)]
    shape = middles[0].shape
    if shape != middles[1].shape or min(shape) < 1:
        return 0, 0
    first, second = (scipy.fft.rfft2(middle) for middle in middles)
    fit = scipy.fft.irfft2(np.conj(first) * second, shape)
    row, column = (int(k) for k in np.unravel_index(int(fit.argmax()), shape))
    return (
        row - shape[0] * (row > shape[0] // 2),
        column - shape[1] * (column > shape[1] // 2),
    )


def _middle(residue: NDArray[np.float32]) -> NDArray[np.float32]:
    top, left = (max(0, (edge - MIDDLE_PX) // 2) for edge in residue.shape)
    return residue[top : top + MIDDLE_PX, left : left + MIDDLE_PX]


def _correlations(
    before: NDArray[np.float32], after: NDArray[np.float32], moved: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the correlation of two residues in each tile of the second, 0 where there is none."""
    earlier = np.zeros_like(after)
    here, there = (
        tuple(
            slice(max(0, sign * by), edge - max(0, -sign * by))
            for by, edge in zip(moved, after.shape, strict=True)
        )
        for sign in (1, -1)
    )
    earlier[here] = before[there]

    def in_tiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = (edge // TILE_PX for edge in values.shape)
        cut = values[: rows * TILE_PX, : columns * TILE_PX]
        return np.asarray(cut.reshape(rows, TILE_PX, columns, TILE_PX).sum(axis=(1, 3)))

    scale = np.sqrt(in_tiles(earlier**2) * in_tiles(after**2))
    products = in_tiles(earlier * after)
    return np.asarray(np.divide(products, scale, out=np.zeros_like(products), where=scale > 0))
