"""The features of several targets on the same patterns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from bl_steer.diffraction import FrameAxes
from bl_steer.features.factory import make_feature
from bl_steer.features.late import LateFeature
from bl_steer.features.memory import Masks
from bl_steer.features.nmf import NMFFeature
from bl_steer.features.target import parse_target
from bl_steer.protocols import Feature

__all__ = ["make_features"]


def make_features(
    targets: Sequence[str],
    axes: FrameAxes | Callable[[], FrameAxes],
    *,
    seed: int = 0,
    masks: Masks = True,
) -> list[Feature]:
    """Build the features for several targets, each of which is given every pattern in this order.

    Those that learn as many components share one factorisation, to which each target gives its
    reference, as long as there are components for all of them.

    Parameters
    ----------
    targets : in their written form
    axes : the frame's pixels, or a function that gives them once there is a pattern
    seed, masks : as `make_feature` takes them

    Raises
    ------
    ValueError
        If a text is no target, or a target does not fit the frame.
    """
    if not callable(axes):
        return _features(targets, axes, seed, masks)
    made = cache(lambda: _features(targets, axes(), seed, masks))

    def late(number: int) -> Feature:
        return LateFeature(targets[number], axes, masks=masks, build=lambda: made()[number])

    return [late(number) for number in range(len(targets))]


def _features(targets: Sequence[str], axes: FrameAxes, seed: int, masks: Masks) -> list[Feature]:
    made: list[Feature] = []
    first: dict[int, NMFFeature] = {}
    counts = [parse_target(target).n_components for target in targets]
    for target, count in zip(targets, counts, strict=True):
        feature = make_feature(target, axes, seed=seed, masks=masks)
        reference = parse_target(target).reference
        if isinstance(feature, NMFFeature) and count is not None and reference is not None:
            if count in first:
                feature = NMFFeature(
                    count, reference, axes, seed=seed, masks=masks, beside=first[count]
                )
            elif count >= counts.count(count):
                first[count] = feature
        made.append(feature)
    return made
