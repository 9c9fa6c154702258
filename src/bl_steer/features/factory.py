"""Build the feature that a target's text asks for."""

from __future__ import annotations

from bl_steer.diffraction import FrameAxes
from bl_steer.features.memory import Masks
from bl_steer.features.nmf import NMFFeature
from bl_steer.features.reference import ReferenceFeature
from bl_steer.features.roi import MapFeature, RoiFeature, TotalFeature
from bl_steer.features.target import parse_target
from bl_steer.protocols import Feature

__all__ = ["make_feature"]


def make_feature(target: str, axes: FrameAxes, *, seed: int = 0, masks: Masks = True) -> Feature:
    """Build the feature for a target on given frames.

    Parameters
    ----------
    target : the written form, see `bl_steer.features.target`
    axes : the frame's pixels
    seed : of features that learn
    masks : judge cells and spikes by all patterns together (`bl_steer.features.memory`); False for
        runs of earlier versions, which refused NaN and judged each pattern alone; "first" for those
        of the first version that judged all

    Raises
    ------
    ValueError
        If the text is no target, or the target does not fit the frame.

    Examples
    --------
    >>> import numpy as np
    >>> feature = make_feature("roi:1,2", FrameAxes.channels((1, 4)))
    >>> feature.transform(np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([5.])
    """
    parsed = parse_target(target)
    if parsed.roi is not None:
        return RoiFeature(parsed.roi, axes, masks=masks)
    if parsed.reference is None:
        if parsed.kind == "total":
            return TotalFeature(axes, masks=masks)
        return MapFeature(axes, parsed)
    if parsed.n_components is None:
        return ReferenceFeature(parsed.reference, axes, masks=masks)
    return NMFFeature(parsed.n_components, parsed.reference, axes, seed=seed, masks=masks)
