"""From the exposures of a point to its pattern, and whether it can be used.

A plan asks while it measures, `bl_steer.runs.Run` of the stored run: both get the same answers, bit
for bit, as these depend on nothing but the events in their order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes, MeasuresNoise, Pattern, Reduction, SummedFrames
from bl_steer.diffraction.recorded import mask_of_record
from bl_steer.protocols import Array
from bl_steer.runs.pixels import (
    Contrast,
    DeadPixels,
    Overflows,
    likeness,
    share_of_counts,
    split_gaps,
)
from bl_steer.runs.raw_frames import RawFrames
from bl_steer.runs.readout import Exposure, is_saturated
from bl_steer.single_thread import single_thread

__all__ = ["PointResult", "Points"]

LOW_BEAM = 0.1
"""Share of the usual monitor count below which there was no beam."""
NO_BEAM = 0.01
"""Share of the nominal beam that an ion chamber's dark current stays below."""
PART_OF_BEAM = 0.7
"""Share of the usual count below which the beam may have been lost during a series of frames."""
RECENT = 5
"""Points whose median monitor count is the usual one: it follows a beam that decays or returns."""
STEADY_BEAM = 0.1
"""Relative change of the monitor count that leaves a point's noise as it is."""


@dataclass(frozen=True)
class PointResult:
    """What a point gave.

    Parameters
    ----------
    pattern : shape (n_pixels,), counts at the nominal beam; None where the point cannot be used.
        With masks, NaN in cells that were not measured
    variance : shape (n_pixels,), of the pattern; None where the reduction does not know it
    unit : of the pattern, as `bl_steer.diffraction.Pattern` has it
    problem : why it cannot: "frames" (the detector says so, or they are not finite; with masks, a
        frame, or more than half of the cells that there were, not measured), "beam" (none, or, the
        first time, far more, or too little for a series), or, the first time, "empty" (no counts),
        "repeated" or "torn" (all or some rows are those of the exposure before); "" where it can
    noise_ratio : variance of the outcome's noise, in units of that of a full exposure as usual
    withdrawn : earlier points, by number, that had no beam after all, or pixels that overflowed
    n_empty, n_repeated : points in a row, up to this one, the one measured again included, without
        any count, and whose frames are, to the bit, those of the exposure before
    saturated : some pixels seem to count no further
    n_overflowed, n_dead_pixels : pixels whose counter was full, and that counted before
    masked_share : of the point's counts, in masked pixels, hot ones and rays of raw frames, 0 … 1
    count : what one count is worth in the pattern; NaN where frames hold no whole numbers
    unverified : all points so far may be without beam: no number says what the monitor counts with
        it, and their counts differ no more than by chance
    """

    pattern: Array | None
    problem: str = ""
    noise_ratio: float = 1.0
    withdrawn: tuple[int, ...] = ()
    n_empty: int = 0
    n_repeated: int = 0
    saturated: bool = False
    n_dead_pixels: int = 0
    unverified: bool = False
    variance: Array | None = None
    unit: str = "arbitrary"
    masked_share: float = 0.0
    n_overflowed: int = 0
    count: float = math.nan

    @property
    def alarm(self) -> bool:
        """Whether something is wrong with the measurement that the pattern does not lose."""
        return self.saturated or max(self.n_overflowed, self.n_dead_pixels) > 0 or self.unverified


class Points:
    """The points of one run, judged one after the other.

    Parameters
    ----------
    reduction : frames to a pattern; by default the sum of the frames
    nominal_counts : monitor counts of an exposure at the nominal beam, to which patterns are
        scaled; by default those of the first usable exposure
    min_monitor : least monitor counts of a full exposure with beam; by default a tenth of the
        median over the latest `RECENT` points, and a hundredth of what is nominal
    suspicious : ask for a second measurement where frames are those of the exposure before
    watchful : look for pixels that die, and for a beam that has been away all the time
    rays : look for bad pixels and cosmic rays in the raw frames of rocking scans, before a grid
    overflows : tell full counters from gaps
    careful : flags in floating-point frames are gaps, noise of few counts is no hot pixel, and full
        counters do not show what a pixel does that stands alone
    even : bring points with more or fewer frames to as many as the first had, where they are summed
    mask : shape (H, W), True where a pixel is not to be used, as if it measured nothing
    setting : number of the scan whose frames are reduced, where a point has several; all are judged
    masks : take sentinels and pixels that never change for cells that were not measured, and look
        for blocks of pixels that die

    Notes
    -----
    An ion chamber keeps a dark current without beam, so that a count is no sign of it. The median
    of the points that passed says what is usual; those before the beam came are withdrawn.

    What a detector in order gives now and then, and one out of order too, is measured once more,
    and then taken at its word, as are the like that follow it at once: frames without any count,
    frames that are those of the exposure before in whole or in part (those of a simulated
    detector without noise may be), a series with much less beam than usual, and ten times more
    beam, after which the points before it are known to have had none.
    """

    def __init__(
        self,
        reduction: Reduction | None = None,
        *,
        nominal_counts: float | None = None,
        min_monitor: float | None = None,
        suspicious: bool = True,
        watchful: bool = True,
        masks: bool = True,
        rays: bool = True,
        overflows: bool = True,
        careful: bool = True,
        even: bool = True,
        mask: NDArray[np.bool_] | None = None,
        setting: int = 0,
    ) -> None:
        self._mask = mask
        self._careful, self._even = careful, even
        self._raw = RawFrames(steps=careful) if rays else None
        self._setting = setting
        self.reduction = reduction
        self.nominal_counts = nominal_counts
        self.min_monitor = min_monitor
        self._suspicious = suspicious
        self._watchful = watchful
        self._masks = masks
        self._most_cells = 0
        self._pixels = DeadPixels(blocks=masks)
        self._overflows = Overflows(alone=not careful) if overflows else None
        self._contrast = Contrast()
        self._beam_came = False
        self._in_a_row = dict.fromkeys(("empty", "repeated", "torn", "beam"), 0)
        self._before: Array | None = None
        self._nominal_is_own = nominal_counts is None
        self._n, self._n_frames, self._to_first = 0, 0, 1.0
        self._monitor_of: dict[int, float] = {}

    @classmethod
    def from_start(
        cls,
        start: Mapping[str, Any],
        reduction: Reduction | None = None,
        *,
        suspicious: bool = True,
        setting: int = 0,
    ) -> Self:
        """Judge as the plan did that wrote this start document."""
        settings = start.get("steering", {})
        # Earlier versions took any count above 0 for beam, and frames as they came.
        is_old = "source" not in settings
        return cls(
            reduction,
            nominal_counts=settings.get("nominal_counts"),
            min_monitor=0.0 if is_old else settings.get("min_monitor"),
            suspicious=suspicious and not is_old,
            watchful=bool(settings.get("watchful", False)),
            masks=bool(settings.get("masks", False)),
            rays=bool(settings.get("rays", False)),
            overflows=bool(settings.get("overflows", False)),
            careful=bool(settings.get("careful", False)),
            even=bool(settings.get("even", False)),
            mask=mask_of_record(settings.get("mask")),
            setting=setting,
        )

    def take(self, exposures: Sequence[Exposure]) -> PointResult:
        """Judge the next point by all its exposures, one at least."""
        number, self._n = self._n, self._n + 1
        share, n_overflowed, measured = 0.0, 0, exposures
        if self._masks and exposures[0].is_image:
            if self._mask is not None:
                share = self._masked_share(exposures)
            if self._overflows is not None:
                exposures, overflowed = self._overflows.take(number, exposures, self._mask)
                n_overflowed = int(overflowed.sum())
            exposures, measured = split_gaps(exposures, self._mask, flags=self._careful)
        alike = self._compare(exposures)
        is_sound = all(e.sound and np.isfinite(e.frames).all() for e in exposures)
        if not is_sound or not all(self._has_beam(e.beam) for e in exposures):
            return PointResult(None, "beam" if is_sound else "frames")
        seen = {
            "empty": exposures[0].is_image and not any(e.frames.any() for e in exposures),
            "repeated": alike == "repeated",
            "torn": alike == "torn",
            "beam": any(self._is_odd(e) for e in exposures),
        }
        for problem, is_so in seen.items():
            self._in_a_row[problem] = self._in_a_row[problem] + 1 if is_so else 0
        n_empty, n_repeated = self._in_a_row["empty"], self._in_a_row["repeated"]
        for problem in seen:
            if self._in_a_row[problem] == 1:
                return PointResult(None, problem, n_empty=n_empty, n_repeated=n_repeated)
        beams = [e.beam for e in exposures if e.beam is not None]
        noise_ratio, withdrawn = self._beam(number, min(beams)) if beams else (1.0, ())
        noise_ratio /= exposures[0].share
        watched = self._watch(exposures) if self._watchful else {}
        measured = [e for e in measured if e.setting == self._setting]
        if not measured:
            return PointResult(None, "frames")  # the run ended before this scan
        noise_ratio *= self._evened(sum(len(e.frames) for e in measured))
        pattern, left_out = self._pattern(measured)
        n_cells = int(np.isfinite(pattern.values).sum())
        self._most_cells = max(self._most_cells, n_cells)
        is_torso = self._masks and 2 * n_cells < self._most_cells
        return PointResult(
            None if is_torso else pattern.values,
            "frames" if is_torso else "",
            variance=pattern.variance,
            unit=pattern.unit,
            masked_share=share + (1.0 - share) * left_out,
            count=self._count(measured),
            noise_ratio=noise_ratio,
            withdrawn=withdrawn + (self._overflows.seen_late() if self._overflows else ()),
            n_overflowed=n_overflowed,
            n_empty=n_empty,
            n_repeated=n_repeated,
            saturated=any(is_saturated(frame) for e in exposures for frame in e.frames),
            **watched,
        )

    def _masked_share(self, exposures: Sequence[Exposure]) -> float:
        mask, shape = self._mask, exposures[0].frames.shape[1:]
        if mask is None or mask.shape != shape:
            raise ValueError(
                f"the mask must have the shape {shape} of the frames, got "
                f"{mask if mask is None else mask.shape}; cut it to the detector's region"
            )
        return share_of_counts(exposures, mask)

    def _watch(self, exposures: Sequence[Exposure]) -> dict[str, Any]:
        """Return what the point's counts say together with those of the points before."""
        if not exposures[0].is_image:
            return {}
        counts = sum(np.asarray(e.frames, dtype=float).sum(axis=0) for e in exposures)
        is_blind = self._nominal_is_own and self.min_monitor is None and not self._beam_came
        unverified = is_blind and exposures[0].monitor is not None
        return {
            "n_dead_pixels": self._pixels.take(np.asarray(counts), exposures[0].share),
            "unverified": self._contrast.is_chance(np.asarray(counts)) and unverified,
        }

    def _compare(self, exposures: Sequence[Exposure]) -> str:
        """Return how the frames of any exposure are like those of the exposure before."""
        answer = ""
        if not (self._suspicious and exposures[0].is_image):
            return answer
        for exposure in exposures:
            if self._before is not None and self._before.shape == exposure.frames.shape:
                answer = answer or likeness(exposure.frames, self._before)
            self._before = exposure.frames
        return answer

    def _is_odd(self, exposure: Exposure) -> bool:
        """Return whether the beam seems to have come only now, or to have gone in a series."""
        if exposure.beam is None or self.min_monitor is not None or not self._monitor_of:
            return False
        share = exposure.beam / self._usual()
        return share > 1.0 / LOW_BEAM or (len(exposure.frames) > 1 and share < PART_OF_BEAM)

    def _has_beam(self, monitor: float | None) -> bool:
        if monitor is None:
            return True
        return math.isfinite(monitor) and monitor > 0 and monitor >= self._floor()

    def _floor(self) -> float:
        if self.min_monitor is not None:
            return self.min_monitor
        if self._monitor_of:
            return LOW_BEAM * self._usual()
        if self._nominal_is_own or self.nominal_counts is None:
            return 0.0
        return NO_BEAM * self.nominal_counts

    def _usual(self) -> float:
        return float(np.median(list(self._monitor_of.values())[-RECENT:]))

    def _beam(self, number: int, monitor: float) -> tuple[float, tuple[int, ...]]:
        """Note a point's monitor counts; return its noise ratio and which points are withdrawn."""
        self._monitor_of[number] = monitor
        floor = max(self._floor(), 0.0 if self.min_monitor is not None else LOW_BEAM * monitor)
        withdrawn = tuple(n for n, counts in self._monitor_of.items() if counts < floor)
        for n in withdrawn:
            del self._monitor_of[n]
        if withdrawn and len(self._monitor_of) == 1 and self._nominal_is_own:
            self.nominal_counts = monitor  # until now there was no beam that could be nominal
        self._beam_came |= bool(withdrawn)
        usual = self._usual()
        steady = abs(monitor - usual) <= STEADY_BEAM * usual
        return 1.0 if steady else usual / monitor, withdrawn

    @single_thread()
    def _pattern(self, exposures: Sequence[Exposure]) -> tuple[Pattern, float]:
        """Return the pattern of exposures, and the share of their counts that was left out."""
        if self.nominal_counts is None:
            self.nominal_counts = exposures[0].beam
        scales = np.concatenate([np.full(len(e.frames), self._scale(e)) for e in exposures])
        frames = np.concatenate([np.asarray(e.frames, dtype=float) for e in exposures])
        angles = [e.angles for e in exposures if e.angles is not None]
        if self.reduction is None:
            self.reduction = SummedFrames(FrameAxes.channels((frames.shape[1], frames.shape[2])))
        turned = np.concatenate(angles) if len(angles) == len(exposures) else None
        if self._masks and (stuck := self._pixels.stuck) is not None:
            frames[:, stuck] = np.nan
        left_out = 0.0
        if self._raw is not None and getattr(self.reduction, "takes_raw_frames", False):
            left_out = self._raw.clean(frames)
        if self._masks and isinstance(self.reduction, MeasuresNoise):
            return self.reduction.measure(frames, scales=scales, angles=turned), left_out
        return Pattern(self.reduction.reduce(frames, scales=scales, angles=turned)), left_out

    def _count(self, exposures: Sequence[Exposure]) -> float:
        frames = np.concatenate([np.nan_to_num(e.frames).ravel() for e in exposures])
        are_counts = bool((frames >= 0).all() and (frames == np.round(frames)).all())
        return float(np.median([self._scale(e) for e in exposures])) if are_counts else math.nan

    def _evened(self, n_frames: int) -> float:
        """Return what brings a sum of so many frames to that of the first point."""
        self._n_frames = self._n_frames or n_frames
        is_sum = isinstance(self.reduction, SummedFrames | None)
        self._to_first = self._n_frames / n_frames if self._even and is_sum else 1.0
        return self._to_first

    def _scale(self, exposure: Exposure) -> float:
        return self._to_first * exposure.scale_to(self.nominal_counts)
