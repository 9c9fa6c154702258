"""The analysis ``align-slices``: a run of slices to one aligned, destriped, levelled stack."""

from __future__ import annotations

from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.ndimage import shift

from bl_steer.analysis.provenance import provenance_of
from bl_steer.analysis.slices.checks import check_common_part, drift_warnings, missing_warnings
from bl_steer.analysis.slices.levels import gain_and_offset, phase_levels
from bl_steer.analysis.slices.recorded_slices import stack_of
from bl_steer.analysis.slices.trajectory import Trajectory, track
from bl_steer.protocols import AnalysisResult, Array, Inputs, Progress
from bl_steer.slicing.marks import TrackingMarks
from bl_steer.slicing.stripes import remove_stripes

__all__ = ["AlignParams", "AlignSlices"]


class AlignParams(BaseModel):
    """Parameters of the analysis ``align-slices``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    destripe: bool = Field(default=True, description="remove the curtains of the ion beam")
    level: bool = Field(default=True, description="make brightness and contrast alike")
    n_phases: int = Field(default=3, ge=2, le=5, description="phases that grey levels tell apart")
    smoothness_px: float = Field(
        default=1.0, gt=0, description="without marks: change of the drift between slices, px"
    )


class AlignSlices:
    """Align the slices of a run, and say how far apart they really are."""

    name: ClassVar[str] = "align-slices"
    version: ClassVar[str] = "1"
    Params: ClassVar[type[BaseModel]] = AlignParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return the slices of a stored run and of those that it carries on, read one at a time."""
        return stack_of(run)

    def run(
        self, inputs: Inputs, params: AlignParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Align the slices.

        Returns
        -------
        result : array ``slices`` (n, H', W') of the images' type, floats as float32, the part of
            the specimen that every slice shows; table ``slices``, a row for each number of a
            slice: its plane in the stack (-1 where it is missing), nominal and measured depth,
            spacing, correlation with the slice before, displacement, gain and offset

        Raises
        ------
        ValueError
            When there are no slices, or drift has left nothing that all of them show.
        """
        began = perf_counter()
        images: Any = inputs.arrays["slices"]
        if not len(images):
            raise ValueError("there must be slices to align, got none; give a run that has some")
        size = float(inputs.metadata["pixel_size_nm"])
        recorded = inputs.metadata.get("marks")
        marks = None if recorded is None else TrackingMarks.from_dict(recorded)
        shifts = inputs.arrays.get("beam_shift_nm")
        n = len(images)
        trajectory = track(
            images,
            pixel_size_nm=size,
            marks=marks,
            corrections_px=None if shifts is None else -np.asarray(shifts) / size,
            smoothness_px=params.smoothness_px,
            missing_nm=_missing_nm(inputs),
            progress=None if progress is None else lambda done, _: progress(done, 2 * n),
        )
        window = _common(images.shape[1:], trajectory.displacement_px, marks)
        stack = np.empty((n, *(w.stop - w.start for w in window)), dtype=_type_of(images))
        levels: list[tuple[float, float]] = []
        reference: Array | None = None
        for number, moved in enumerate(trajectory.displacement_px):
            image = _moved_back(np.asarray(images[number]), moved, window)
            image = remove_stripes(image) if params.destripe else image
            gain, offset = 1.0, 0.0
            if params.level:
                own = phase_levels(image, n_phases=params.n_phases)
                reference = own if reference is None else reference
                gain, offset = gain_and_offset(own, reference)
            levels.append((gain, offset))
            stack[number] = _stored(gain * image + offset, stack.dtype)
            if progress is not None:
                progress(n + number + 1, 2 * n)
        return AnalysisResult(
            tables={"slices": _table(inputs, trajectory, np.array(levels))},
            arrays={"slices": stack},
            provenance=provenance_of(
                self,
                params,
                inputs,
                began,
                pixel_size_nm=size,
                pitch_nm=inputs.metadata.get("pitch_nm"),
                window=[[w.start, w.stop] for w in window],
            ),
            warnings=(
                *inputs.notes,
                *drift_warnings(by_marks=trajectory.by_marks),
                *missing_warnings(
                    np.asarray(inputs.arrays.get("slice", ())),
                    int(inputs.metadata.get("n_slices", 0)),
                ),
            ),
        )


def _type_of(images: Any) -> np.dtype[Any]:
    """Return the type in which the grey levels of images are kept."""
    dtype = np.dtype(images.dtype)
    return dtype if dtype.kind in "iu" else np.dtype(np.float32)


def _stored(grey: Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return grey levels in a type, those beyond its range at its ends."""
    if dtype.kind == "f":
        return grey.astype(dtype)
    ends = np.iinfo(dtype)
    return np.clip(np.rint(grey), ends.min, ends.max).astype(dtype)


def _missing_nm(inputs: Inputs) -> Array | None:
    """Return the depth of the slices that are missing before each, (n,); None if not known."""
    numbers, pitch = inputs.arrays.get("slice"), inputs.metadata.get("pitch_nm")
    if numbers is None or pitch is None:
        return None
    first = np.asarray(numbers[:1]) - 1
    return np.asarray((np.diff(numbers, prepend=first) - 1) * float(pitch))


def _common(
    shape: tuple[int, int], moved: Array, marks: TrackingMarks | None
) -> tuple[slice, slice]:
    """Return the rows and columns, of the first slice, that all slices show.

    And a pixel less on each side, where splines would see beyond the image.
    """
    low = np.ceil(np.maximum(-moved, 0.0).max(axis=0)).astype(int) + 1
    high = np.array(shape) - np.ceil(np.maximum(moved, 0.0).max(axis=0)).astype(int) - 1
    top = max(int(low[0]), 0 if marks is None else marks.specimen_from)
    rows, columns = slice(top, int(high[0])), slice(int(low[1]), int(high[1]))
    check_common_part(rows, columns, displacement_px=moved, shape=shape)
    return rows, columns


def _moved_back(image: NDArray[Any], moved: Array, window: tuple[slice, slice]) -> Array:
    """Return the window of an image whose content has moved (y, x) pixels; cubic splines."""
    return np.asarray(shift(image.astype(np.float64), -moved, order=3, mode="nearest")[window])


def _table(inputs: Inputs, trajectory: Trajectory, levels: Array) -> dict[str, NDArray[Any]]:
    n = len(trajectory.displacement_px)
    numbers = np.asarray(inputs.arrays.get("slice", np.arange(n)))
    first = int(numbers[0])
    every = np.arange(first, max(int(numbers[-1]) + 1, int(inputs.metadata.get("n_slices", 0))))
    rows = numbers - first
    pitch = float(inputs.metadata.get("pitch_nm", np.nan))

    def spread(values: NDArray[Any]) -> Array:
        column = np.full(len(every), np.nan)
        column[rows] = values
        return column

    planes = np.full(len(every), -1)
    planes[rows] = np.arange(n)
    measured = inputs.arrays.get("z_nm", pitch * numbers)
    dy, dx = trajectory.displacement_px.T
    return {
        "slice": every,
        "plane": planes,
        "nominal_z_nm": pitch * every,
        "z_nm": spread(measured),
        "spacing_nm": spread(trajectory.spacing_nm),
        "correlation": spread(trajectory.correlation),
        "displacement_y_px": spread(dy),
        "displacement_x_px": spread(dx),
        "gain": spread(levels[:, 0]),
        "offset": spread(levels[:, 1]),
    }
