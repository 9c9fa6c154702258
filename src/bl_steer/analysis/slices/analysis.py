"""The analysis ``align-slices``: a run of slices to one aligned, destriped, levelled stack."""

from __future__ import annotations

from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from bl_steer.analysis.provenance import provenance_of
from bl_steer.analysis.slices.checks import (
    bad_warnings,
    check_common_part,
    check_enough,
    drift_warnings,
    label_warnings,
    missing_warnings,
)
from bl_steer.analysis.slices.levels import gain_and_offset, phase_levels
from bl_steer.analysis.slices.preparation import SliceParams, prepare, stored_grey, subset
from bl_steer.analysis.slices.recorded_slices import stack_of
from bl_steer.analysis.slices.trajectory import Trajectory, track
from bl_steer.files.volumes import planes_of
from bl_steer.protocols import AnalysisResult, Array, Inputs, Progress
from bl_steer.slicing.bad_slices import NOT_FINITE, find_bad_slices
from bl_steer.slicing.grey_phases import grey_phase_warnings
from bl_steer.slicing.marks import TrackingMarks
from bl_steer.slicing.stripes import remove_stripes

__all__ = ["AlignParams", "AlignSlices"]


class AlignParams(SliceParams):
    """Parameters of the analysis ``align-slices``."""

    destripe: bool = Field(default=True, description="remove the curtains of the ion beam")
    level: bool = Field(default=True, description="make brightness and contrast alike")
    n_phases: int = Field(default=3, ge=2, le=5, description="phases that grey levels tell apart")


class AlignSlices:
    """Align the slices of a run, and say how far apart they really are."""

    name: ClassVar[str] = "align-slices"
    version: ClassVar[str] = "4"
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
        given = inputs
        inputs = prepare(inputs, params)
        images: Any = inputs.arrays["slices"]
        bad = find_bad_slices(images)
        if params.keep_bad:
            bad = {place: what for place, what in bad.items() if what == NOT_FINITE}
        check_enough(len(images), bad)
        numbers, files = _numbers(inputs), inputs.metadata.get("slice_files", ())
        missing = list(missing_warnings(numbers, int(inputs.metadata.get("n_slices", 0))))
        if bad:
            inputs = subset(inputs, [k for k in range(len(numbers)) if k not in bad])
        images = inputs.arrays["slices"]
        size = float(inputs.metadata["pixel_size_nm"])
        recorded = inputs.metadata.get("marks")
        marks = None if recorded is None else TrackingMarks.from_dict(recorded)
        shifts = inputs.arrays.get("beam_shift_nm")
        n = len(images)
        trajectory = track(
            images,
            pixel_size_nm=size,
            pitch_nm=float(inputs.metadata["pitch_nm"]),
            marks=marks,
            corrections_px=None if shifts is None else -np.asarray(shifts) / size,
            missing_nm=_missing_nm(inputs),
            pitches=_pitches(inputs),
            progress=None if progress is None else lambda done, _: progress(done, 2 * n),
        )
        # Whole pixels: splines would smooth the noise and the edges that segmentation reads.
        whole = np.rint(trajectory.displacement_px).astype(int)
        window = _common(images.shape[1:], whole, marks)
        stack = np.empty((n, *(w.stop - w.start for w in window)), dtype=_type_of(images))
        levels: list[tuple[float, float]] = []
        reference: Array | None = None
        for number, moved in enumerate(whole):
            image = _moved_back(np.asarray(images[number]), moved, window)
            image = remove_stripes(image) if params.destripe else image
            gain, offset = 1.0, 0.0
            if params.level:
                own = phase_levels(image, n_phases=params.n_phases)
                reference = own if reference is None else reference
                gain, offset = gain_and_offset(own, reference)
            levels.append((gain, offset))
            stack[number] = stored_grey(gain * image + offset, stack.dtype)
            if progress is not None:
                progress(n + number + 1, 2 * n)
        table = _table(inputs, trajectory, np.array(levels))
        depths = table["z_nm"][table["plane"] >= 0]
        return AnalysisResult(
            tables={"slices": table},
            arrays={"slices": stack},
            provenance=provenance_of(
                self,
                params,
                given,
                began,
                pixel_size_nm=size,
                pitch_nm=inputs.metadata["pitch_nm"],
                window=[[w.start, w.stop] for w in window],
                voxels_nm={"slices": [inputs.metadata["pitch_nm"], size, size]},
                planes={"slices": planes_of(depths, inputs.metadata["pitch_nm"])},
            ),
            warnings=(
                *inputs.notes,
                *bad_warnings(numbers, bad, files),
                *label_warnings(images),
                *grey_phase_warnings(stack),
                *drift_warnings(
                    by_marks=trajectory.by_marks,
                    error_px=trajectory.error_px,
                    wander_px=trajectory.wander_px,
                ),
                *missing,
            ),
        )


def _type_of(images: Any) -> np.dtype[Any]:
    """Return the type in which the grey levels of images are kept."""
    dtype = np.dtype(images.dtype)
    return dtype if dtype.kind in "iu" else np.dtype(np.float32)


def _numbers(inputs: Inputs) -> NDArray[np.int_]:
    """Return the number of each slice, (n,), counted from 0 where none are recorded."""
    return np.asarray(inputs.arrays.get("slice", np.arange(len(inputs.arrays["slices"]))))


def _pitches(inputs: Inputs) -> Array | None:
    """Return the pitches from the slice before to each, (n,); None if not known."""
    numbers = inputs.arrays.get("slice")
    if numbers is None:
        return None
    return np.diff(numbers, prepend=np.asarray(numbers[:1]) - 1).astype(np.float64)


def _missing_nm(inputs: Inputs) -> Array | None:
    """Return the depth of the slices that are missing before each, (n,); None if not known."""
    pitches, pitch = _pitches(inputs), inputs.metadata.get("pitch_nm")
    return None if pitches is None or pitch is None else (pitches - 1.0) * float(pitch)


def _common(
    shape: tuple[int, int], moved: NDArray[np.int_], marks: TrackingMarks | None
) -> tuple[slice, slice]:
    """Return the rows and columns, of the first slice, that all slices show."""
    low, high = (
        np.maximum(-moved, 0).max(axis=0),
        np.array(shape) - np.maximum(moved, 0).max(axis=0),
    )
    top = max(int(low[0]), 0 if marks is None else marks.specimen_from)
    rows, columns = slice(top, int(high[0])), slice(int(low[1]), int(high[1]))
    check_common_part(rows, columns, displacement_px=moved.astype(np.float64), shape=shape)
    return rows, columns


def _moved_back(image: NDArray[Any], moved: NDArray[np.int_], window: tuple[slice, slice]) -> Array:
    """Return the window of an image whose content has moved (y, x) pixels."""
    shifted = tuple(
        slice(w.start + int(by), w.stop + int(by)) for w, by in zip(window, moved, strict=True)
    )
    return image[shifted].astype(np.float64)


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
    nominal = pitch * (every - int(inputs.metadata.get("first_slice", 0)))
    measured = inputs.arrays.get("z_nm", nominal[rows])
    dy, dx = trajectory.displacement_px.T
    return {
        "slice": every,
        "plane": planes,
        "nominal_z_nm": nominal,
        "z_nm": spread(measured),
        "spacing_nm": spread(trajectory.spacing_nm),
        "correlation": spread(trajectory.correlation),
        "displacement_y_px": spread(dy),
        "displacement_x_px": spread(dx),
        "gain": spread(levels[:, 0]),
        "offset": spread(levels[:, 1]),
    }
