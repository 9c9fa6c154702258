"""The slices of stored runs of `plans.slice_and_view`, read one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Inputs
from bl_steer.runs import Run

__all__ = ["RecordedSlices", "slices_of", "stack_of"]


class RecordedSlices:
    """The images of one or several runs as if they were one array (n, H, W), read on access.

    Parameters
    ----------
    frames : of each run, ``Run.frames``: (n_points, 1, H, W)
    """

    def __init__(self, frames: Sequence[Any]) -> None:
        self._frames = list(frames)
        self._starts = np.cumsum([0, *(len(frames) for frames in self._frames)])
        self.shape = (int(self._starts[-1]), *self._frames[0].shape[2:])
        self.dtype = self._frames[0].dtype
        self.ndim = 3

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> NDArray[Any]:
        chosen = np.arange(len(self))[index]
        if np.ndim(chosen):
            return np.stack([self[int(number)] for number in chosen])
        run = int(np.searchsorted(self._starts, chosen, side="right")) - 1
        return np.asarray(self._frames[run][int(chosen) - int(self._starts[run])][0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


def stack_of(run: Any) -> Inputs:
    """Return the whole stack that a run ends: its slices, and those of the runs it carries on.

    Raises
    ------
    ValueError
        As `slices_of`, and where the record of a run that was carried on is not beside its own.
    """
    runs = [run]
    while before := runs[0].start.get("slices", {}).get("resumes"):
        record = None if run.record is None else run.record.with_name(f"{before}.jsonl")
        if record is None or not record.exists():
            raise ValueError(
                f"the run that {runs[0].uid} carries on must lie in the same store, got no record "
                f"of {before}; bring it there, or give all runs to slices_of"
            )
        earlier = Run.from_record(record)
        if not earlier.n_points:  # killed before its first slice; the plan resumes none but a first
            break
        runs.insert(0, earlier)
    return slices_of(*runs)


def slices_of(*runs: Any) -> Inputs:
    """Return the slices of a run, or of a run and those that carried it on, as inputs.

    Parameters
    ----------
    runs : `bl_steer.runs.Run`, in the order in which they were made

    Returns
    -------
    inputs : arrays ``slices`` (n, H, W), read one at a time; ``slice`` (n,), the number of each,
        in which missing ones leave gaps; ``z_nm`` (n,), measured depths; ``beam_shift_nm`` (n, 2).
        Metadata: of the acquisition, ``pitch_nm``, ``n_slices``, ``marks``

    Raises
    ------
    ValueError
        For runs without slices, or that do not carry each other on.
    """
    for run in runs:
        if "slices" not in run.start or run.frames is None or not run.n_points:
            raise ValueError(
                f"a run must hold slices, got run {run.uid} of plan "
                f"{run.start.get('plan_name')!r} with {run.n_points} points; take some with "
                "slice_and_view"
            )
    for before, after in pairwise(runs):
        if after.start["slices"]["resumes"] != before.uid:
            raise ValueError(
                f"runs of one stack must carry each other on, got {after.uid}, which does not "
                f"resume {before.uid}; give them in the order in which they were made"
            )
    start = runs[-1].start
    detector = str(start["detectors"][0])

    def column(key: str) -> NDArray[Any]:
        return np.concatenate([np.asarray(run.primary[key]) for run in runs])

    shifts = [column(f"{detector}_beam_shift_{axis}") for axis in "yx"]
    options = start["slices"]
    arrays: dict[str, Any] = {
        "slices": RecordedSlices([run.frames for run in runs]),
        "slice": column("slice").astype(int),
        "z_nm": column("z_nm").astype(float),
        "beam_shift_nm": np.stack(shifts, axis=1).astype(float),
    }
    known = {k: v for k, v in start.get("conditions", {}).items() if v is not None}
    metadata = {**known, **{k: options[k] for k in ("pitch_nm", "n_slices", "marks")}}
    return Inputs(arrays, metadata, {"runs": [run.uid for run in runs]})
