"""The frames that a detector puts into its own readings, as those of `ophyd.sim` and waveforms do.

Frames in files, which the documents refer to, are found by `bl_steer.runs.LiveRun`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
from bluesky.utils import Msg, MsgGenerator
from numpy.typing import NDArray

from bl_steer.runs.frames import as_frames
from plans.stubs.detectors import hinted_keys, inline_keys, keeps_frames

__all__ = ["InlineFrames"]


class InlineFrames:
    """Which array of a detector's readings holds its frames, and of which type they are.

    The documents' JSON does not keep the type of an array, by which a full counter is known: the
    start document does.

    Attributes
    ----------
    key : data key of the array; empty where there is none
    dtype : of its numbers, as NumPy writes it; empty where the detector cannot be read yet
    """

    def __init__(self) -> None:
        self.key = self.dtype = ""

    def find(self, detector: Any, description: Mapping[str, Any]) -> MsgGenerator[None]:
        """Choose the array: of several a hinted one, or that with the most axes and numbers."""
        in_files = keeps_frames(detector) or any(d.get("external") for d in description.values())
        keys = [] if in_files else inline_keys(description)
        shapes = {key: description[key]["shape"] for key in keys}
        hinted = hinted_keys(detector)

        def rank(key: str) -> tuple[bool, int, int]:
            return key in hinted, len(shapes[key]), prod(n or 1 for n in shapes[key])

        self.key = max(shapes, key=rank, default="")
        if self.key:
            with suppress(Exception):  # what is wrong with the device is told when it is measured
                readings = yield Msg("read", detector)
                dtype = np.asarray(readings[self.key]["value"]).dtype
                self.dtype = dtype.str if dtype.kind in "biuf" else ""

    def to_dict(self) -> dict[str, str]:
        """Return what the start document says of them."""
        return {name: value for name, value in vars(self).items() if value and self.key}

    def of(self, data: Mapping[str, Any], *, target: str, detector: str) -> NDArray[Any]:
        """Return the frames of an event, shape (n_frames, H, W).

        Raises
        ------
        ValueError
            When the event holds no array of numbers.
        """
        first = next((key for key, value in data.items() if np.ndim(value)), "")
        array = np.asarray(data.get(self.key or first))
        if array.dtype.kind == "O":  # None among the numbers
            with suppress(TypeError, ValueError):
                array = array.astype(float)
        if not array.ndim or array.dtype.kind not in "biuf":
            raise ValueError(
                f"target {target} must have frames, got events of {detector} with "
                f"{', '.join(map(repr, data))} alone; steer on one of these with "
                "target='field:KEY'"
            )
        return as_frames(array.astype(self.dtype) if self.dtype else np.array(array.tolist()))
