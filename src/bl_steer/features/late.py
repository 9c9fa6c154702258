"""A feature that is built when the first frame has come: until then its shape is not known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.features.factory import make_feature
from bl_steer.features.memory import Masks, PatternMemory, memory_of
from bl_steer.features.roi import RoiFeature
from bl_steer.features.target import parse_target
from bl_steer.protocols import Array, Feature, LearnsNoise, RaisesAlarm

__all__ = ["LateFeature"]

logger = logging.getLogger(__name__)


class LateFeature:
    """The feature of `make_feature`, for a detector that tells the shape of its frames late.

    Parameters
    ----------
    target : the written form
    axes : called for the coordinates of the pixels once there is a pattern
    masks : as `make_feature` takes it
    build : makes the feature, where that is one of several; by default `make_feature` does
    """

    def __init__(
        self,
        target: str,
        axes: Callable[[], FrameAxes],
        *,
        masks: Masks = True,
        build: Callable[[], Feature] | None = None,
    ) -> None:
        self.target = str(parse_target(target))
        self._build = build or (lambda: make_feature(self.target, axes(), masks=masks))
        self._feature: Feature | None = None

    @property
    def version(self) -> int:
        """Of the basis; 0 while there is none."""
        return 0 if self._feature is None else self._feature.version

    @property
    def feature(self) -> Feature:
        """The feature itself.

        Raises
        ------
        ValueError
            When the target does not fit the frame.
        """
        if self._feature is None:
            self._feature = self._build()
            if isinstance(self._feature, RoiFeature) and self._feature.remark:
                logger.warning("%s", self._feature.remark)
        return self._feature

    @property
    def memory(self) -> PatternMemory | None:
        """What the patterns so far tell together; None before the first."""
        return memory_of(self._feature)

    def learn_noise(self, patterns: Array, variances: Array) -> None:
        """Take the variances of patterns, both (n_new, n_pixels)."""
        if isinstance(self.feature, LearnsNoise):
            self.feature.learn_noise(patterns, variances)

    def partial_fit(self, patterns: Array) -> Self:
        """Learn from newly measured patterns, shape (n_new, n_pixels)."""
        self.feature.partial_fit(patterns)
        return self

    def transform(self, patterns: Array) -> Array:
        """Return the outcomes: (n_points, n_pixels) to (n_points,)."""
        return self.feature.transform(patterns)

    def residual(self, patterns: Array) -> Array:
        """Return the unexplained shares: (n_points, n_pixels) to (n_points,)."""
        return self.feature.residual(patterns)

    def alarm(self, patterns: Array) -> NDArray[np.bool_]:
        """Return which patterns hold what the basis has not seen: (n_points,)."""
        if isinstance(self.feature, RaisesAlarm):
            return self.feature.alarm(patterns)
        return np.zeros(len(patterns), dtype=bool)
