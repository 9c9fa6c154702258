"""What `plans.slice_and_view` is asked for, and what of it cannot work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np

from bl_steer.slicing import TrackingMarks
from bl_steer.slicing.watch import SliceWatch
from plans.stubs.microscopes.micrographs import condition_problems
from plans.stubs.options import is_whole_number

__all__ = ["SliceOptions", "carry_on"]

PLAN = "slice_and_view"
SMALLEST_PITCH_PX = 4.0
"""Without marks: below, a face that was not cut looks like one that was."""


@dataclass(frozen=True)
class SliceOptions:
    """Numbers that the plan is asked for, as its start document carries them."""

    n_slices: int
    pitch_nm: float
    drift_tolerance_nm: float
    blur_tolerance_nm: float
    focus_step_um: float
    max_retakes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the options, JSON-compatible."""
        numbers = {"n_slices": int(self.n_slices), "max_retakes": int(self.max_retakes)}
        return asdict(self) | numbers

    def check(
        self,
        detector: Any,
        requested: Mapping[str, Any],
        marks: TrackingMarks | None,
        resumes: Any,
    ) -> None:
        """Raise `ValueError` naming everything that cannot work."""
        problems = self._wrong_numbers() + condition_problems(requested)
        if not problems:
            size = requested["pixel_size_nm"] or float(detector.pixel_size.get())
            problems += self._wrong_marks(detector, marks, size)
        problems += [] if resumes is None else self._wrong_run(resumes)
        if problems:
            raise ValueError("; ".join(problems))

    def _wrong_numbers(self) -> list[str]:
        problems = [
            f"{name} must be a whole number, {least} or more, got {value!r}; try {name}={example}"
            for name, least, example in (("n_slices", 1, 100), ("max_retakes", 0, 2))
            if not (is_whole_number(value := getattr(self, name)) and value >= least)
        ]
        return problems + [
            f"{name} must be positive and finite, got {value!r} {unit}; try {name}={example}"
            for name, unit, example in (
                ("pitch_nm", "nm", 100),
                ("drift_tolerance_nm", "nm", 50),
                ("blur_tolerance_nm", "nm", 10),
                ("focus_step_um", "µm", 4),
            )
            if not (isinstance(value := getattr(self, name), Real) and 0.0 < float(value) < np.inf)
        ]

    def _wrong_marks(self, detector: Any, marks: TrackingMarks | None, size: float) -> list[str]:
        if marks is None:
            if self.pitch_nm >= SMALLEST_PITCH_PX * size:
                return []
            return [
                f"pitch_nm without marks must be {SMALLEST_PITCH_PX:g} pixels at least, got "
                f"{self.pitch_nm:g} nm at {size:g} nm a pixel; cut tracking marks"
            ]
        try:
            marks.check((int(detector.n_rows.get()), int(detector.n_columns.get())))
        except ValueError as error:
            return [str(error)]
        return []

    def _wrong_run(self, run: Any) -> list[str]:
        if run.start.get("plan_name") != PLAN:
            return [f"resumes must be a run of {PLAN}, got one of {run.start.get('plan_name')!r}"]
        before = run.start["slices"]["pitch_nm"]
        problems = []
        if not run.n_points and run.start["slices"]["resumes"] is not None:
            problems.append(
                f"resumes must be a run that took slices, got {run.uid}, which ended before its "
                f"first; resume {run.start['slices']['resumes']} instead"
            )
        if before != self.pitch_nm:
            problems.append(
                f"pitch_nm must be that of the run to resume, {before:g} nm, "
                f"got {self.pitch_nm:g} nm"
            )
        if run.n_points and int(run.primary["slice"][-1]) + 1 >= self.n_slices:
            problems.append(
                f"n_slices must be more than the {int(run.primary['slice'][-1]) + 1} that the run "
                f"to resume has reached, got {self.n_slices}"
            )
        return problems


def carry_on(run: Any, watch: SliceWatch) -> tuple[int, float]:
    """Bring `watch` to where a broken run ended; return the next slice and the first depth, nm."""
    before = run.start["slices"]
    if not run.n_points:
        return int(before["first_slice"]), float(before["first_depth_nm"])
    rows, last = run.primary, run.n_points - 1
    watch.reference = np.asarray(run.frames[0][0])
    watch.reference_nm = np.array([rows["drift_y_nm"][0], rows["drift_x_nm"][0]])
    watch.previous = np.asarray(run.frames[last][0])
    watch.previous_nm = np.array([rows["drift_y_nm"][last], rows["drift_x_nm"][last]])
    watch.z_nm = float(rows["z_nm"][last])
    decided = run.decisions
    missing = decided["slice"][decided["step"] == "missing"] if decided else np.empty(0)
    return max(int(rows["slice"][last]), *missing.astype(int), 0) + 1, float(
        before["first_depth_nm"]
    )
