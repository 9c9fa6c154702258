"""Images that share pixels: stored twice, cut from one another, shifted, mirrored or turned.

Noise is never recorded twice. Where the order of neighbouring grey levels is the same all over two
images, or all over what they share, they come from one recording, whatever gain, offset or type
they were saved with. Down to 0.6 times the contrast, enough of it is left in whole grey levels.
Places that were recorded anew are found by their phases
(`bl_steer.analysis.segmentation.same_place`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fingerprint", "SharedPixels", "chained", "orientations", "shared_pixels"]

WINDOW = 8
"""Edge of the windows whose order of grey levels is a key: 64 comparisons."""
FEWEST_SET, MOST_SET = 12, 52
"""Comparisons that rise, of 64: of slopes and flat parts nearly all are alike."""
KEPT, MOST_KEYS = 2**-6, 4096
"""Share of the keys that are compared, and their number in an image: those with the smallest hash,
which are the same places in all copies."""
LEAST_KEYS = 6
LEAST_SHARE = 0.5
"""Of the keys in what two images may share, that are in both: copies have all of them, but for
pixels that were painted over or cut off."""
LEAST_EVERYWHERE = 0.1
"""Of the keys in each quarter of it, where fewer are in both: in a copy with less contrast, some
grey levels fall together. Real micrographs have 0.15 at 0.6 times the contrast; neighbouring slices
whose noise was smoothed along the stack have 0.02 at an sd of 1.5 slices, and 0.15 at 3; a bar
below two images is in no upper quarter."""
STRIP = 1024
"""Rows at a time: bounds the memory."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Fingerprint:
    """Keys of an image, of windows that are the same in each of its copies.

    Parameters
    ----------
    shape : rows and columns of the image
    keys : (n,), each but once in the image
    hashes : (n,), by which keys were kept
    places : (n, 2), row and column of each
    digest : of the grey levels themselves
    """

    shape: tuple[int, int]
    keys: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    places: NDArray[np.int32]
    digest: bytes

    @classmethod
    def of(cls, image: NDArray[Any]) -> Self:
        """Return that of an image (H, W)."""
        content = np.ascontiguousarray(image)
        digest = hashlib.sha256(f"{image.dtype}{image.shape}".encode() + content.tobytes()).digest()
        kept: list[tuple[NDArray[np.uint64], NDArray[np.int32]]] = []
        for top in range(0, max(1, content.shape[0] - WINDOW + 1), STRIP):
            keys = _keys(content[top : top + STRIP + WINDOW - 1])
            rows, columns = np.nonzero(_hash(keys) < np.uint64(KEPT * 2**64))
            kept.append((keys[rows, columns], np.stack([rows + top, columns], 1).astype(np.int32)))
        keys = np.concatenate([part for part, _ in kept])
        places = np.concatenate([part for _, part in kept])
        # Before keys that repeat are left out: a sort of all takes long.
        some = np.bitwise_count(keys)
        textured = (some >= FEWEST_SET) & (some <= MOST_SET)
        keys, first, counts = np.unique(keys[textured], return_index=True, return_counts=True)
        keys, places = keys[counts == 1], places[textured][first[counts == 1]]
        hashes = _hash(keys)
        order = np.argsort(hashes)[:MOST_KEYS]
        return cls(
            (content.shape[0], content.shape[1]), keys[order], hashes[order], places[order], digest
        )


@dataclass(frozen=True)
class SharedPixels:
    """Two images that share pixels.

    Parameters
    ----------
    first, second : their names
    share : of the pixels of the smaller one
    same : whether they are one image, pixel by pixel, in one form
    turned : whether they do once one of them is mirrored or turned
    """

    first: str
    second: str
    share: float
    same: bool
    turned: bool = False


def shared_pixels(
    images: Mapping[str, Fingerprint], turned: Mapping[str, Sequence[Fingerprint]] | None = None
) -> list[SharedPixels]:
    """Return the pairs of images that share pixels; of many copies, each with the one before it.

    Parameters
    ----------
    turned : the other `orientations` of images, by their names; copies that were mirrored or turned
        are looked for among these
    """
    found = _pairs(images)
    if turned:
        forms = {(name, 0): image for name, image in images.items()}
        forms |= {(n, k): form for n, own in turned.items() for k, form in enumerate(own, start=1)}
        keys = {str(key): key for key in forms}
        for pair in _pairs({key: forms[form] for key, form in keys.items()}):
            (first, as_it_is), (second, form) = keys[pair.first], keys[pair.second]
            if as_it_is or not form or first == second:
                continue
            if not any({first, second} <= group for group in chained(found)):
                earlier, later = sorted((first, second), key=list(images).index)
                found.append(SharedPixels(earlier, later, pair.share, pair.same, turned=True))
    return found


def _pairs(images: Mapping[str, Fingerprint]) -> list[SharedPixels]:
    names, each = list(images), list(images.values())
    found: dict[tuple[int, int], SharedPixels] = {}
    last: dict[bytes, int] = {}
    for number, image in enumerate(each):
        if image.digest in last:
            first = last[image.digest]
            found[first, number] = SharedPixels(names[first], names[number], 1.0, True)
        last[image.digest] = number
    for first, second in _with_common_keys(each):
        if (first, second) not in found and (share := _share(each[first], each[second])):
            found[first, second] = SharedPixels(names[first], names[second], share, False)
    return [found[pair] for pair in sorted(found, key=lambda pair: (pair[1], pair[0]))]


def chained(pairs: Sequence[SharedPixels]) -> list[set[str]]:
    """Return the groups of images that share pixels with one another, in one step or more."""
    groups: list[set[str]] = []
    for pair in pairs:
        both = {pair.first, pair.second}
        joined = both.union(*(group for group in groups if group & both))
        groups = [group for group in groups if not group & both] + [joined]
    return groups


def orientations(image: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an image mirrored and turned, in the seven ways beside its own."""
    for turns in range(4):
        turned = np.rot90(image, turns)
        if turns:
            yield turned
        yield turned[:, ::-1]


def _keys(image: NDArray[Any]) -> NDArray[np.uint64]:
    """Return the order of neighbours along the rows, in the window at each place."""
    rows, columns = (max(0, n) for n in (image.shape[0] - WINDOW + 1, image.shape[1] - WINDOW))
    keys = np.zeros((rows, columns), np.uint64)
    if not keys.size:
        return keys
    rises = (image[:, 1:] > image[:, :-1]).astype(np.uint8)
    in_row = np.zeros((image.shape[0], columns), np.uint8)
    for place in range(WINDOW):
        in_row |= rises[:, place : place + columns] << np.uint8(place)
    for place in range(WINDOW):
        keys |= in_row[place : place + rows].astype(np.uint64) << np.uint64(WINDOW * place)
    return keys


def _hash(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (keys ^ (keys >> np.uint64(29))) * _MIX
    return np.asarray((mixed ^ (mixed >> np.uint64(32))) * _MIX, np.uint64)


def _with_common_keys(images: Sequence[Fingerprint]) -> Iterator[tuple[int, int]]:
    """Yield the pairs that have keys in common; of the images with a key, those in sequence."""
    owners = np.repeat(np.arange(len(images)), [len(image.keys) for image in images])
    keys = np.concatenate([image.keys for image in images]) if images else np.empty(0, np.uint64)
    order = np.lexsort((owners, keys))
    keys, owners = keys[order], owners[order]
    same = keys[1:] == keys[:-1]
    pairs = np.stack([owners[:-1][same], owners[1:][same]], 1)
    pairs, counts = np.unique(pairs, axis=0, return_counts=True)
    for (first, second), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        if count >= LEAST_KEYS:
            yield first, second


def _share(first: Fingerprint, second: Fingerprint) -> float:
    """Return the share of the smaller image that two images have in common; 0 where none is."""
    _, own, other = np.intersect1d(first.keys, second.keys, return_indices=True)
    moved = second.places[other] - first.places[own]
    shifts, counts = np.unique(moved, axis=0, return_counts=True)
    shift, count = shifts[counts.argmax()], int(counts.max())
    # Of an image with more keys than are kept, those above its largest hash are not known.
    known = min(
        image.hashes[-1] if len(image.hashes) == MOST_KEYS else np.uint64(2**64 - 1)
        for image in (first, second)
    )
    top = np.maximum(0, -shift)
    bottom = np.minimum(first.shape, np.asarray(second.shape) - shift)
    if (bottom - top < WINDOW + 1).any():
        return 0.0
    inside = ((first.places >= top) & (first.places <= bottom - (WINDOW, WINDOW + 1))).all(
        axis=1
    ) & (first.hashes <= known)
    if count < max(LEAST_KEYS, LEAST_SHARE * inside.sum()):
        fitting = first.places[own[(moved == shift).all(axis=1)]]
        each, of_all = (
            np.bincount((places >= (top + bottom) / 2) @ [2, 1], minlength=4)
            for places in (fitting, first.places[inside])
        )
        if (each < np.maximum(LEAST_KEYS, LEAST_EVERYWHERE * of_all)).any():
            return 0.0
    area = float(np.prod(bottom - top))
    return area / float(min(np.prod(first.shape), np.prod(second.shape)))
