"""Slices one after the other, with all that may go wrong: the inside of a slice-and-view run.

`plans.slice_and_view` opens the run around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.protocols import Readable
from bluesky.utils import FailedStatus, MsgGenerator
from numpy.typing import NDArray

from bl_steer.protocols import Array
from bl_steer.slicing import best_focus
from bl_steer.slicing.watch import Judgement, SliceDecision, SliceRow, SliceWatch
from plans.stubs.messages import record, think
from plans.stubs.microscopes.milling import Column, Mill, SlicingError, declare_depth, mill_to
from plans.stubs.microscopes.slice_options import SliceOptions
from plans.stubs.rows import Row

__all__ = ["SlicesTaken", "Slicing"]

FOCUS_STEPS = (-2, -1, 0, 1, 2)
MAX_CUTS = 4
"""Of one slice, before the ion beam is thought to be off."""
UNITS = {
    name: "mm" if name.endswith("_mm") else "nm"
    for kind in (SliceDecision, SliceRow)
    for name in kind.__dataclass_fields__
    if name.endswith(("_nm", "_mm"))
}


@dataclass(frozen=True)
class SlicesTaken:
    """What a run reports, the one row of its stream ``result``."""

    n_recorded: int
    n_missing: int
    n_milled_again: int
    depth_nm: float
    """That the mill reports at the end."""
    z_nm: float
    """Of the last slice, below the first one."""
    stop_reason: str
    """``"done"``, or ``"interrupted"``, by the user or by a failure."""
    missing: Array = field(repr=False)
    """Numbers of the slices without an image, shape (n_missing,)."""


class Slicing:
    """The state of a run: which slice is next, which are missing.

    Parameters
    ----------
    detector, mill : the two beams
    devices : to read with every slice
    options : what was asked for
    watch : judges the images
    executor : where it does so
    first : number of the first slice
    first_depth_nm : depth of slice 0, as the mill reports it
    """

    def __init__(
        self,
        detector: Column,
        mill: Mill,
        devices: Sequence[Readable[Any]],
        options: SliceOptions,
        watch: SliceWatch,
        executor: Executor,
        first: int,
        first_depth_nm: float,
    ) -> None:
        self.detector, self.mill, self.devices = detector, mill, devices
        self.options, self.watch, self.executor = options, watch, executor
        self.next = first
        self.gap = 1
        self.first_depth_nm = first_depth_nm
        self.n_recorded = self.n_milled_again = 0
        self.missing: list[int] = []
        self._decision = Row("decision", UNITS)
        self._slice = Row("slice", UNITS)

    def result(self, depth_nm: float) -> SlicesTaken:
        """Return what was done so far."""
        return SlicesTaken(
            n_recorded=self.n_recorded,
            n_missing=len(self.missing),
            n_milled_again=self.n_milled_again,
            depth_nm=depth_nm,
            z_nm=self.watch.z_nm,
            stop_reason="done" if self.next >= self.options.n_slices else "interrupted",
            missing=np.array(self.missing, dtype=float),
        )

    def take_all(self) -> MsgGenerator[None]:
        """Take slice after slice until all are there."""
        yield from self._pass_over()
        while self.next < self.options.n_slices:
            yield from self._take()

    def _pass_over(self) -> MsgGenerator[None]:
        """Record as missing what was milled away before this run began."""
        depth = float((yield from bps.rd(self.mill.depth)))
        reached = round((depth - self.first_depth_nm) / self.options.pitch_nm)
        while self.next < min(reached, self.options.n_slices):
            yield from self._miss(f"the mill was at {depth:g} nm already when the run began")

    def _target(self, number: int) -> float:
        return self.first_depth_nm + number * self.options.pitch_nm

    def _take(self) -> MsgGenerator[None]:
        """Mill to the next slice, look at it, and record it, or that it is missing."""
        number, judgement, reason = self.next, Judgement(), "the next slice"
        for _ in range(MAX_CUTS):
            target = self._target(number)
            yield from self._decide("mill", reason, judgement)
            yield from mill_to(self.mill, target)
            image, judgement = yield from self._look()
            if judgement.blank:
                yield from self._miss("no image could be taken of it", judgement)
                return
            if self.watch.previous is None or not self.watch.uncut(judgement):
                break
            reason = "nothing was removed by the cut before"
            yield from self._decide(
                "mill_again", f"the face has not changed: {_seen(judgement)}", judgement
            )
            self.n_milled_again += 1
            yield from declare_depth(self.mill, target - self.options.pitch_nm)
        else:
            raise SlicingError(
                f"slice {number} must show a new face, got the same one after {MAX_CUTS} cuts; "
                "check the ion beam, then resume the run"
            )
        for _ in range(self.watch.lost_between(judgement, self.gap)):
            if self.next < self.options.n_slices - 1:
                yield from self._miss(f"two slices went in one cut: {_seen(judgement)}", judgement)
                yield from declare_depth(self.mill, self._target(self.next))
        yield from self._decide("take", "sharp and in its place", judgement)
        self._slice.value = self.watch.accept(image, judgement, self.next, self.gap)
        yield from record([*self.devices, self._slice], "primary")
        self.n_recorded += 1
        self.next += 1
        self.gap = 1

    def _miss(self, reason: str, judgement: Judgement | None = None) -> MsgGenerator[None]:
        yield from self._decide("missing", reason, judgement or Judgement())
        self.missing.append(self.next)
        self.next += 1
        self.gap += 1

    def _look(self) -> MsgGenerator[tuple[NDArray[Any], Judgement]]:
        """Take an image; correct focus and drift, and take it again, where they are off."""
        tolerance, retakes = self.options, {"retake": 0, "refocus": 0, "correct_drift": 0}
        if np.isnan(self.watch.best):
            yield from self._decide("refocus", "the first image of the run", Judgement())
            yield from self._refocus()
        while True:
            image, judgement = yield from self._expose()
            drift = float(np.hypot(judgement.drift_y_nm, judgement.drift_x_nm))
            if judgement.blank:
                step, reason = "retake", "the image is blank"
            elif self.watch.previous is not None and self.watch.uncut(judgement):
                return image, judgement
            elif np.isnan(judgement.blur_nm) or judgement.blur_nm > tolerance.blur_tolerance_nm:
                step, reason = "refocus", f"blurred by {judgement.blur_nm:.1f} nm"
            elif drift > tolerance.drift_tolerance_nm:
                step, reason = "correct_drift", f"displaced by {drift:.1f} nm"
            else:
                return image, judgement
            if retakes[step] >= self.options.max_retakes:
                if step != "retake":
                    yield from self._decide("keep", f"still {reason}", judgement)
                return image, judgement
            retakes[step] += 1
            yield from self._decide(step, reason, judgement)
            if step == "refocus":
                yield from self._refocus()
            elif step == "correct_drift":
                yield from self._shift_beam(judgement)

    def _expose(self) -> MsgGenerator[tuple[NDArray[Any], Judgement]]:
        image = yield from self._image()
        judgement = yield from think(self.executor, lambda: self.watch.judge(image, self.gap))
        if np.isnan(self.watch.best) and not judgement.blank:
            self.watch.best = judgement.log_sharpness
            judgement = yield from think(self.executor, lambda: self.watch.judge(image, self.gap))
        return image, judgement

    def _image(self) -> MsgGenerator[NDArray[Any]]:
        yield from bps.checkpoint()
        try:
            yield from bps.trigger(self.detector, group="look")
            yield from bps.wait("look")
        except FailedStatus as failure:
            raise failure.__cause__ or failure from None
        return np.array(self.detector.frames()[0])

    def _refocus(self) -> MsgGenerator[None]:
        """Set the lens to where five images say that the focus is."""
        lens = self.detector.working_distance
        now = float((yield from bps.rd(lens)))
        settings = now + 1e-3 * self.options.focus_step_um * np.array(FOCUS_STEPS)
        sharpness = []
        for setting in settings.tolist():
            yield from bps.checkpoint()
            yield from bps.mv(lens, setting)
            image = yield from self._image()
            sharpness.append((yield from think(self.executor, partial(self._sharp, image))))
        try:
            focus = best_focus(settings, np.array(sharpness))
        except ValueError:  # nothing to be seen: the judgement that follows says so
            focus = now
        yield from bps.checkpoint()
        yield from bps.mv(lens, focus)
        self.watch.best = np.nan

    def _sharp(self, image: NDArray[Any]) -> float:
        return self.watch.sharpness(image) if image.min() < image.max() else np.nan

    def _shift_beam(self, judgement: Judgement) -> MsgGenerator[None]:
        """Move the field after the specimen."""
        sem = self.detector
        reach = float((yield from bps.rd(sem.beam_shift_range)))
        y = float((yield from bps.rd(sem.beam_shift_y))) + judgement.drift_y_nm
        x = float((yield from bps.rd(sem.beam_shift_x))) + judgement.drift_x_nm
        if max(abs(y), abs(x)) > reach:
            raise SlicingError(
                f"the beam shift must stay within ±{reach:g} nm, got y = {y:.0f}, x = {x:.0f} nm "
                "to follow the drift; move the stage back, set the shift to 0, resume the run"
            )
        yield from bps.checkpoint()
        yield from bps.mv(sem.beam_shift_y, y, sem.beam_shift_x, x)

    def _decide(self, step: str, reason: str, judgement: Judgement) -> MsgGenerator[None]:
        """Put a decision on record."""
        sem = self.detector
        self._decision.value = SliceDecision(
            slice=self.next,
            step=step,
            reason=reason,
            target_nm=self._target(self.next),
            correlation=judgement.correlation,
            spacing_nm=judgement.spacing_nm,
            drift_y_nm=judgement.drift_y_nm,
            drift_x_nm=judgement.drift_x_nm,
            blur_nm=judgement.blur_nm,
            working_distance_mm=float((yield from bps.rd(sem.working_distance))),
            beam_shift_y_nm=float((yield from bps.rd(sem.beam_shift_y))),
            beam_shift_x_nm=float((yield from bps.rd(sem.beam_shift_x))),
        )
        yield from record([self._decision], "decisions")


def _seen(judgement: Judgement) -> str:
    return f"correlation {judgement.correlation:.2f}, spacing {judgement.spacing_nm:.0f} nm"
