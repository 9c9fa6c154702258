"""The grey levels of an image: few or many, on a pedestal or not, and what their type leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CLIPPED",
    "clipped_shares",
    "clipped_warnings",
    "few_levels",
    "less_mean",
    "mean_and_deviation",
    "on_pedestal",
    "step_warnings",
]

HANDFUL = 8
"""Different values up to which an image holds no more than a label map does."""
STRIDE = 16
PEDESTAL = 1000.0
"""Deviations that the mean of grey levels is away from 0, beyond which single precision would cost
them more than some 1e-4 of their deviation."""
CLIPPED, PILED = 0.4, 4.0
"""Share of the pixels in the smallest or the largest grey level, at least, and over that in the
level beside it, where more than one phase may have been cut off: of simulated micrographs, whose
contrast varies as in practice, up to .37 in one phase, which costs it nothing."""
LOOKED_AT = 2**20
"""Pixels of an image, about, by which that is judged."""
LISTED = 8
"""Images that are named."""
STEP = 0.05
"""Of the deviation, in which a type keeps grey levels: more is told."""


def few_levels(planes: Iterable[NDArray[Any]]) -> list[float]:
    """Return the values in images, sorted, where all together hold a handful; else nothing.

    Parameters
    ----------
    planes : each (H, W); most often the first is all that is looked at

    Examples
    --------
    >>> few_levels([np.array([[0, 2], [2, 1]])]), few_levels([np.arange(12.0).reshape(3, 4)])
    ([0, 1, 2], [])
    """
    levels: set[float] = set()
    for plane in planes:
        # The sort of all pixels takes long: of a micrograph some pixels are enough.
        for some in (plane[::STRIDE, ::STRIDE], plane):
            levels |= set(np.unique(some).tolist())
            if len(levels) > HANDFUL:
                return []
    return sorted(levels)


def mean_and_deviation(grey: NDArray[Any]) -> tuple[float, float]:
    """Return mean and standard deviation of grey levels, taken in double precision.

    The deviation of equal levels is 0, and not what the rounding of their mean leaves of it.

    Examples
    --------
    >>> mean_and_deviation(np.array([1.0, 3.0])), mean_and_deviation(np.full(180, 1.00001))
    ((2.0, 1.0), (1.00001, 0.0))
    """
    least, most = grey.min(), grey.max()
    if least == most:
        return float(least), 0.0
    return float(grey.mean(dtype=np.float64)), float(grey.std(dtype=np.float64))


def on_pedestal(mean: float, deviation: float) -> bool:
    """Return whether grey levels must be taken less their mean before they lose precision."""
    return abs(mean) > PEDESTAL * deviation > 0


def less_mean(grey: NDArray[Any], mean: float, deviation: float) -> NDArray[np.float32]:
    """Return grey levels less their mean, in units of their deviation.

    In double precision where the mean would swallow them in single.

    Examples
    --------
    >>> less_mean(np.array([1e9 - 3.0, 1e9 + 3.0]), 1e9, 3.0)
    array([-1.,  1.], dtype=float32)
    """
    if on_pedestal(mean, deviation):
        return ((np.asarray(grey, np.float64) - mean) / deviation).astype(np.float32)
    return (np.asarray(grey, np.float32) - np.float32(mean)) / np.float32(deviation)


def step_warnings(images: Iterable[tuple[str, NDArray[Any]]]) -> Iterator[str]:
    """Name the first image whose real numbers stand on so large an offset that few steps are left.

    Parameters
    ----------
    images : (H, W), by the names under which they are known
    """
    for name, image in images:
        if image.dtype.kind != "f":
            continue
        some = np.asarray(image[::STRIDE, ::STRIDE], np.float64)
        some = some[np.isfinite(some)]
        if not some.size:
            continue
        mean, deviation = mean_and_deviation(some)
        step = float(np.spacing(image.dtype.type(np.abs(some).max())))
        if deviation > 0 and step > STEP * deviation:
            yield (
                f"grey levels of {name} are {mean:.10g} in the mean, where {image.dtype} has steps "
                f"of {step:.3g}, and vary by {deviation:.3g}: what is finer was lost when they "
                "were saved, and what is found in them may be the steps; save them less their "
                "offset"
            )
            return


def clipped_shares(
    image: NDArray[Any], least: Sequence[float] = (CLIPPED, CLIPPED)
) -> tuple[float, float]:
    """Return the shares of pixels that were cut off at the smallest and the largest grey level.

    0 where fewer lie there than asked for, or hardly more than in the level beside. Rows and
    columns of that level alone do not count: nothing was recorded there.

    Parameters
    ----------
    image : shape (H, W)
    least : shares that count, of the smallest and the largest level

    Examples
    --------
    >>> grey = np.random.default_rng(0).normal(size=(50, 50))
    >>> clipped_shares(grey), clipped_shares(np.maximum(grey, 0.0))
    ((0.0, 0.0), (0.5192, 0.0))
    """
    stride = max(1, int((image.size / LOOKED_AT) ** 0.5))
    some = np.asarray(image[::stride, ::stride])
    shares = []
    for end, beyond, more in zip((np.min, np.max), (np.greater, np.less), least, strict=True):
        at_end = some == end(some)
        left = ~at_end.all(axis=1)[:, None] & ~at_end.all(axis=0)
        rest = some[beyond(some, end(some))]
        n, of = int((at_end & left).sum()), int(left.sum())
        cut = rest.size > 0 and n > more * of and n > PILED * int((some == end(rest)).sum())
        shares.append(n / of if cut else 0.0)
    return shares[0], shares[1]


def clipped_warnings(
    shares: Mapping[str, tuple[float, float]], usual: Sequence[float] = ()
) -> Iterator[str]:
    """Name the images in which grey levels were cut off, above or below.

    Parameters
    ----------
    shares : `clipped_shares` of each image, by the name under which it is known
    usual : the same in the training of a model; empty where that is not known
    """
    for end, level in enumerate(("smallest", "largest")):
        named = {name: both[end] for name, both in shares.items() if both[end]}
        if named:
            more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
            up_to = "up to " if len(named) > 1 else ""
            of_usual = f" (up to {usual[end]:.0%} in training)" if usual else ""
            yield (
                f"in {', '.join(list(named)[:LISTED])}{more} {up_to}{max(named.values()):.0%} of "
                f"the pixels hold the {level} grey level{of_usual}: brightness or contrast went "
                "beyond what is kept, and what differs there is lost, phases too; take such images "
                "anew with less contrast, or look at their labels"
            )
