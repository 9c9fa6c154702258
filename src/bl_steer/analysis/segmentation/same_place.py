"""Fields that show the same place of a sample, wholly or in part, found by registration.

They are not independent measurements of it. Slices of a stack, which lie in place already, are
known by their blocks (`fractions`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from bl_steer.protocols import Array

__all__ = ["Thumbnail", "same_places"]

EDGE = 256, 128
"""Longest edge of the maps that are registered, blocks of pixels: for few and for many fields."""
LEAST_BLOCKS = 8
"""Along an edge: smaller fields are not compared."""
FEW = 6
"""Fields that are registered at the finer size."""
REACH = 2000
"""Over the number of fields: how far apart in order, 8 at least, two fields are compared."""
LEAST_OVERLAP = 0.25
"""Of the smaller field: of less, fields are nearly independent."""
IN_PLACE = 1 / 16
"""Displacement, of the longer edge, below which fields lie in place."""
LEAST_CORRELATION = 0.6
"""Of two label maps of one place, each with the errors of its own segmentation."""
LEAST_KEPT = 0.4
"""Of the variance of a map, without the means of rows and columns. Fields of a layer, of which less
is left, fit each other wherever they lie along it. Of textures more than half is left."""
NEARLY_ONE = 0.99
LEAST_SIGNIFICANCE = 6.0
"""Standard deviations of Fisher's z of the correlation at other displacements."""


@dataclass(frozen=True)
class Thumbnail:
    """Shares of the phases in blocks of pixels.

    Parameters
    ----------
    shares : (n_phases, rows, columns), 0 … 255
    step : edge of a block, px; a power of two
    """

    shares: NDArray[np.uint8]
    step: int

    @classmethod
    def of(cls, labels: NDArray[np.uint8], n_phases: int) -> Self:
        """Return that of a label map (H, W)."""
        finest = math.log2(max(labels.shape) / EDGE[0])
        coarsest = math.log2(max(1.0, min(labels.shape) / LEAST_BLOCKS))
        step = 2 ** max(0, min(math.ceil(finest), math.floor(coarsest)))
        height, width = (n // step * step for n in labels.shape)
        blocks = labels[:height, :width].reshape(height // step, step, width // step, step)
        shares = [255 * (blocks == phase).mean(axis=(1, 3)) for phase in range(n_phases)]
        return cls(np.round(shares).astype(np.uint8), step)

    def coarser(self, step: int) -> Array:
        """Return the shares in blocks of so many pixels, (n_phases, rows, columns)."""
        k = step // self.step
        n_phases, height, width = self.shares.shape
        cut = self.shares[:, : height // k * k, : width // k * k]
        return np.asarray(cut.reshape(n_phases, height // k, k, width // k, k).mean(axis=(2, 4)))


def same_places(
    fields: Sequence[Thumbnail],
    pixel_nm: Sequence[float | None],
    *,
    displaced: bool = False,
    copies: Sequence[Sequence[int]] = (),
) -> list[tuple[int, ...]]:
    """Return the groups of fields that show the same place, two or more in each.

    Parameters
    ----------
    pixel_nm : of each field; those of one size are compared, of any shape
    displaced : leave out fields of one shape that lie in place, as slices of a stack do
    copies : fields that are known to share pixels, the numbers of each group

    Notes
    -----
    The share of the phase that varies most, less the means of rows and columns (fields of layers
    share these; those of which little else is left are not compared), is correlated at all
    displacements at which a quarter of the smaller field overlaps (Padfield (2012), IEEE Trans.
    Image Process. 21, 2706, doi 10.1109/TIP.2011.2181402).
    Two fields show one place where the correlation is large, and larger than others at other
    displacements let expect: independent fields of a periodic structure are not taken for copies.
    What joins fields joins the groups that they are in. Of more than 44 fields, those far apart in
    order are not compared.
    """
    group = list(range(len(fields)))
    for known in copies:
        for number in known:
            group[number] = min(known)
    step = max((field.step for field in fields), default=1)
    if len(fields) > FEW:
        edge = max(max(field.shares.shape[1:]) * field.step for field in fields)
        step = max(step, 2 ** math.ceil(math.log2(edge / EDGE[1])))
    shares = [field.coarser(step) for field in fields]
    variances = np.sum([maps.var(axis=(1, 2)) for maps in shares if maps.size], axis=0)
    maps = [_without_layers(of_field[int(np.argmax(variances))]) for of_field in shares]
    compared = [min(m.shape) >= LEAST_BLOCKS and bool(m.any()) for m in maps]

    @lru_cache(maxsize=128)
    def transforms(number: int, padded: tuple[int, int]) -> tuple[Array, Array, Array]:
        own = maps[number]
        return (rfft2(own, padded), rfft2(own**2, padded), rfft2(np.ones_like(own), padded))

    for a in range(len(fields)):
        for b in range(max(0, a - max(8, REACH // len(fields))), a):
            if pixel_nm[a] != pixel_nm[b] or group[a] == group[b]:
                continue
            if not (compared[a] and compared[b]):
                continue
            height, width = (m + n for m, n in zip(maps[a].shape, maps[b].shape, strict=True))
            padded = next_fast_len(height, real=True), next_fast_len(width, real=True)
            smaller = min(maps[a].size, maps[b].size)
            least = 0.0
            if displaced and maps[a].shape == maps[b].shape:
                least = IN_PLACE * max(maps[a].shape)
            pair = transforms(a, padded), transforms(b, padded)
            if _is_one_place(*pair, padded, smaller, least):
                joined, other = group[b], group[a]
                group = [joined if own == other else own for own in group]
    members = [tuple(np.flatnonzero(np.array(group) == own).tolist()) for own in sorted(set(group))]
    return [together for together in members if len(together) > 1]


def _without_layers(share: Array) -> Array:
    if not share.size:
        return np.zeros((1, 1))
    rest = share - share.mean(axis=0)
    rest -= rest.mean(axis=1, keepdims=True)
    return np.asarray(rest if rest.var() >= LEAST_KEPT * share.var() else np.zeros_like(rest))


def _is_one_place(
    first: tuple[Array, Array, Array],
    second: tuple[Array, Array, Array],
    padded: tuple[int, int],
    smaller: int,
    least: float,
) -> bool:
    """Return whether two maps, given by transforms of them, their squares and ones, fit.

    They fit if they are displaced by so many blocks at least.

    Each is as good as of mean 0 in the overlap, so that sums of products and squares tell.
    """
    products, of_first, of_second, overlap = (
        irfft2(one * np.conj(other), padded)
        for one, other in (
            (first[0], second[0]),
            (first[1], second[2]),
            (first[2], second[1]),
            (first[2], second[2]),
        )
    )
    counted = overlap > LEAST_OVERLAP * smaller
    energy = np.sqrt(np.maximum(of_first * of_second, 0))
    floor = 1e-3 * energy[counted].max(initial=0.0)
    if not floor:
        return False
    counted &= energy > floor
    correlation = np.where(counted, products / np.maximum(energy, floor), 0.0)
    z = np.arctanh(np.clip(correlation, -NEARLY_ONE, NEARLY_ONE))
    row, column = divmod(int(correlation.argmax()), correlation.shape[1])
    if max(min(row, padded[0] - row), min(column, padded[1] - column)) < least:
        return False
    # Beside the displacements of the plane, those along one axis: layers fit wherever they lie.
    along = (z[row], counted[row], column), (z[:, column], counted[:, column], row)
    spread = max(_spread(z, counted), *(_spread_beyond(*line) for line in along))
    return bool(
        correlation[row, column] > LEAST_CORRELATION
        and z[row, column] > LEAST_SIGNIFICANCE * spread
    )


def _spread(z: Array, counted: NDArray[np.bool_]) -> float:
    return float(np.sqrt((z**2).sum() / max(1, counted.sum())))


def _spread_beyond(line: Array, counted: NDArray[np.bool_], peak: int) -> float:
    """Return the spread along a closed line without the peak, as far as it is positive."""
    from_peak, counted_from = np.roll(line, -peak), np.roll(counted, -peak)
    below = np.flatnonzero(from_peak <= 0)
    beyond = slice(below[0], below[-1] + 1) if len(below) else slice(0, 0)
    return _spread(from_peak[beyond], counted_from[beyond])
