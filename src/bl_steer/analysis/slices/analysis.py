"""The analysis ``align-slices``: a run of slices to one aligned, destriped, levelled stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from bl_steer.analysis.grey_levels import (
    clipped_shares,
    clipped_warnings,
    mean_and_deviation,
    on_pedestal,
    step_warnings,
)
from bl_steer.analysis.margins import strip_warnings
from bl_steer.analysis.provenance import provenance_of
from bl_steer.analysis.slices.checks import (
    bad_warnings,
    check_common_part,
    check_enough,
    drift_warnings,
    label_warnings,
    lean_warnings,
    mark_warnings,
    missing_warnings,
)
from bl_steer.analysis.slices.levels import gain_and_offset, phase_levels, stored_grey
from bl_steer.analysis.slices.preparation import SliceParams, prepare
from bl_steer.analysis.slices.prepared_slices import PreparedSlices, subset
from bl_steer.analysis.slices.recorded_slices import stack_of
from bl_steer.analysis.slices.trajectory import Trajectory, track
from bl_steer.files.volumes import planes_of
from bl_steer.protocols import AnalysisResult, Array, Inputs, Progress
from bl_steer.slicing.bad_slices import NOT_FINITE, find_bad_slices
from bl_steer.slicing.breaks import break_warnings
from bl_steer.slicing.grey_phases import grey_phase_warnings
from bl_steer.slicing.marks import TrackingMarks
from bl_steer.slicing.order import order_warnings
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
    version: ClassVar[str] = "21"
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
        result : array ``slices`` (n, H', W') of the images' type, floats as float32 unless an
            offset would swallow them, the part of the specimen that every slice shows; table
            ``slices``, a row for each number of a slice: the file that it came from, where slices
            came from files (empty where none has the number), its plane in the stack (-1 where it
            is missing), nominal and measured depth, spacing, correlation with the slice before,
            displacement, gain and offset

        Raises
        ------
        ValueError
            When there are no slices, drift has left nothing that all of them show, or the boxes of
            marks hold none.
        """
        began = perf_counter()
        given = inputs
        inputs = prepare(inputs, params)
        images: Any = inputs.arrays["slices"]
        bad = find_bad_slices(images)
        if params.keep_bad:
            bad = {place: what for place, what in bad.items() if what == NOT_FINITE}
        check_enough(len(images), bad)
        numbers, files = _numbers(inputs), _files(inputs)
        missing = list(missing_warnings(numbers, int(inputs.metadata.get("n_slices", 0))))
        kept = [place for place in range(len(numbers)) if place not in bad]
        names = [
            f"{numbers[place]} ({files[place]})" if files else str(numbers[place]) for place in kept
        ]
        if bad:
            inputs = subset(inputs, kept)
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
            specimen_from=_first_row(inputs, marks),
            corrections_px=None if shifts is None else -np.asarray(shifts) / size,
            missing_nm=_missing_nm(inputs),
            pitches=_pitches(inputs),
            progress=None if progress is None else lambda done, _: progress(done, 2 * n),
        )
        pitch_px = float(inputs.metadata["pitch_nm"]) / size
        used, of_used = _numbers(inputs), _files(inputs)
        doubts = list(mark_warnings(used, trajectory.likeness, of_used))
        doubts += lean_warnings(used, trajectory.leans_px, pitch_px, of_used)
        # Whole pixels: splines would smooth the noise and the edges that segmentation reads.
        whole = np.rint(trajectory.displacement_px).astype(int)
        window = _common(images.shape[1:], whole, _first_row(inputs, marks))
        stack = np.empty((n, *(w.stop - w.start for w in window)), dtype=_type_of(images))
        levels: list[tuple[float, float]] = []
        reference: Array | None = None
        clipped: dict[str, tuple[float, float]] = {}
        for number, moved in enumerate(whole):
            image = _moved_back(np.asarray(images[number]), moved, window)
            clipped[names[number]] = clipped_shares(image)
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
        of_files = dict(zip(numbers.tolist(), files, strict=True)) if files else {}
        of_files |= inputs.metadata.get("left_out_files", {})
        table = _table(inputs, trajectory, np.array(levels), of_files)
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
                slice_names=names,
                window=[[w.start, w.stop] for w in window],
                voxels_nm={"slices": [inputs.metadata["pitch_nm"], size, size]},
                planes={"slices": planes_of(depths, inputs.metadata["pitch_nm"])},
            ),
            warnings=(
                *inputs.notes,
                *bad_warnings(numbers, bad, files),
                *label_warnings(images),
                *_margin_warnings(images, _first_row(inputs, marks), names),
                *step_warnings([("slice 0", np.asarray(images[0]))]),
                *clipped_warnings(clipped),
                *grey_phase_warnings(stack, names),
                *order_warnings(stack, names, _pitches(inputs)),
                *break_warnings(stack, names, _pitches(inputs), trajectory.correlation),
                *doubts,
                *drift_warnings(
                    by_marks=trajectory.by_marks,
                    error_px=trajectory.error_px,
                    wander_px=trajectory.wander_px,
                    lean_px=trajectory.lean_px,
                ),
                *missing,
            ),
        )


def _type_of(images: Any) -> np.dtype[Any]:
    """Return the type in which the grey levels of images are kept."""
    dtype, first = np.dtype(images.dtype), np.asarray(images[0], np.float64)
    wide = dtype.itemsize > 4 and on_pedestal(*mean_and_deviation(first))
    return dtype if dtype.kind in "iu" or wide else np.dtype(np.float32)


def _numbers(inputs: Inputs) -> NDArray[np.int_]:
    """Return the number of each slice, (n,), counted from 0 where none are recorded."""
    return np.asarray(inputs.arrays.get("slice", np.arange(len(inputs.arrays["slices"]))))


def _files(inputs: Inputs) -> Sequence[str]:
    """Return the file of each slice; none where they are not known."""
    files: Sequence[str] = inputs.metadata.get("slice_files", ())
    return files


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


def _first_row(inputs: Inputs, marks: TrackingMarks | None) -> int:
    """Return the first row of the specimen, in the first slice."""
    return int(inputs.metadata.get("specimen_from", 0)) if marks is None else marks.specimen_from


def _margin_warnings(images: Any, first_row: int, names: Sequence[str]) -> Iterator[str]:
    """Say what at the sides of the specimen is none, in rows as the files have them."""
    if isinstance(images, PreparedSlices):
        rows = first_row * images.rows // images.height
        stored = (image[rows:] for image in images.as_stored())
    else:
        stored = (np.asarray(image)[first_row:] for image in images)
    return strip_warnings(stored, len(images), names)


def _common(shape: tuple[int, int], moved: NDArray[np.int_], first_row: int) -> tuple[slice, slice]:
    """Return the rows and columns, of the first slice, that all slices show."""
    low, high = (
        np.maximum(-moved, 0).max(axis=0),
        np.array(shape) - np.maximum(moved, 0).max(axis=0),
    )
    top = max(int(low[0]), first_row)
    rows, columns = slice(top, int(high[0])), slice(int(low[1]), int(high[1]))
    drifts = moved.astype(np.float64)
    check_common_part(rows, columns, displacement_px=drifts, shape=shape, first_row=first_row)
    return rows, columns


def _moved_back(image: NDArray[Any], moved: NDArray[np.int_], window: tuple[slice, slice]) -> Array:
    """Return the window of an image whose content has moved (y, x) pixels."""
    shifted = tuple(
        slice(w.start + int(by), w.stop + int(by)) for w, by in zip(window, moved, strict=True)
    )
    return image[shifted].astype(np.float64)


def _table(
    inputs: Inputs, trajectory: Trajectory, levels: Array, files: Mapping[int, str]
) -> dict[str, NDArray[Any]]:
    """Return a row for each number of a slice.

    Parameters
    ----------
    files : by number, with those that were left out; empty where they are not known
    """
    n = len(trajectory.displacement_px)
    numbers = _numbers(inputs)
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
        **({"file": np.array([files.get(k, "") for k in every.tolist()])} if files else {}),
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
