"""What a plan knows about its points: the devices, the start document, and each point's result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import bluesky.preprocessors as bpp
import numpy as np
from bluesky.protocols import Readable
from bluesky.utils import Msg, MsgGenerator

from bl_steer.agents import Space
from bl_steer.diffraction import FrameAxes, Reduction
from bl_steer.features import parse_target
from bl_steer.runs import LiveEvent, LiveRun, PointResult, Points, Readout, Run
from bl_steer.runs.readout import as_number
from bl_steer.steering import taking_over
from devices.frames_writer import FramesWriter
from plans.stubs.axes import axes_of, axes_to_read, check_place, check_zones, inspect_axes, units_of
from plans.stubs.detectors import (
    check_field,
    check_frames,
    check_keys,
    check_measured,
    check_readable,
    default_target,
    detectors_of,
    has_frames,
    hinted_keys,
    is_motor,
    keeps_frames,
    monitor_key,
    number_of,
)
from plans.stubs.inline import InlineFrames
from plans.stubs.messages import describe
from plans.stubs.misgivings import Misgivings
from plans.stubs.options import checked_timeout, least_counts, rules_of, versions
from plans.stubs.own_stubs import check_recorded, check_stub, saved_once, started
from plans.stubs.paths import go_round, within_bounds
from plans.stubs.per_point import PerPoint, angle_key_of, circles_of, described, expose_at
from plans.stubs.reductions import Reductions
from plans.stubs.rows import EventNumber
from plans.stubs.several_scans import SETTING
from plans.stubs.timeouts import bounded, exposure_s_of
from plans.stubs.timing import Timing
from plans.stubs.written import per_point_of

__all__ = ["PointReader"]


class PointReader:
    """Measure points with any devices, and turn their documents into results.

    Parameters
    ----------
    detectors : a Bluesky device or several; the first one's frames are steered on
    axes : a stage, an axis, or up to three of them
    monitor : beam monitor that counts are normalised by
    target : what is steered on; None for what the first detector has to offer
    per_point : measures a point, also written as `plans.stubs.written.per_point_of` takes it
    also_read : devices to read with every point
    min_monitor : least monitor counts of an exposure with beam
    reduction : frames to a pattern, see `plans.stubs.reductions`
    mask, resumes : of pixels, as the start document has it, and a run to carry on
    timeout_s : of each wait

    Attributes
    ----------
    result : of the latest point; None before the first, and where nobody answers
    n_invalid : points without a pattern
    timing : of the latest point, see `plans.stubs.timing`
    space : where is measured, with the forbidden zones
    nominal_seen : monitor counts that earlier runs say are nominal, where the monitor does not
    """

    def __init__(
        self,
        detectors: Any,
        axes: Any,
        *,
        monitor: Any = None,
        target: str | None = None,
        per_point: PerPoint | Mapping[str, Any] | Sequence[Any] | None = None,
        also_read: Sequence[Readable[Any]] = (),
        min_monitor: float | None = None,
        reduction: Reduction | Sequence[Reduction] | None = None,
        mask: Mapping[str, Any] | None = None,
        resumes: Run | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.detectors = detectors_of(detectors)
        self.detector = self.detectors[0]
        self.axes = axes_of(axes)
        self.monitor = monitor
        self.per_point: Any = per_point_of(per_point)
        self.timeout_s = checked_timeout(timeout_s)
        self.reductions = Reductions(reduction, self.per_point, self.detector, resumes, mask)
        self.reduction = self.reductions.first
        self.min_monitor = least_counts(min_monitor, monitor)
        self.target = target
        self.result: PointResult | None = None
        self.n_invalid = 0
        self.timing = Timing(self.detector)
        self._number = EventNumber("point")
        self.misgivings = Misgivings(self.detector, monitor)
        self._numbered = getattr(self.per_point, "several_events", self.per_point is not expose_at)
        writers = [FramesWriter(d) for d in self.detectors if keeps_frames(d)]
        self.devices: list[Any] = [
            *self.detectors,
            *axes_to_read(axes),
            *([] if monitor is None else [monitor]),
            *also_read,
            *writers,
        ]
        check_readable(self.devices)
        getattr(self.per_point, "check", lambda: check_stub(self.per_point))()
        self._live, self._readout, self._points = LiveRun(), Readout(), Points()
        self._inline, self._shape = InlineFrames(), ()
        self.nominal_seen: float | None = None
        self._nominal_counts: float | None = None
        self._monitor_key: str | None = None
        self.readbacks: list[str] = []
        self._pending, self._is_new = False, resumes is None
        self._tolerances: list[float] = []
        self.space: Space

    def inspect(
        self, space: Space, *, is_default: bool = False, prefer_frames: bool = False
    ) -> MsgGenerator[None]:
        """Find out which data keys hold what, before anything moves.

        Parameters
        ----------
        space : where will be measured
        is_default : whether nobody has named it
        prefer_frames : take the frames, where there are some and no target is named

        Raises
        ------
        ValueError
            When the target, the monitor or an axis has none that could be used.
        """
        described = {}
        for device in self.devices:
            described[device.name] = yield from describe(device)
        check_keys(self.devices, described)
        motors = filter(is_motor, self.devices)
        moved: dict[str, Any] = {key: motor for motor in motors for key in described[motor.name]}
        circles = circles_of(self.per_point)
        self.readbacks, turned = yield from inspect_axes(self.axes, circles, in_microns=is_default)
        moved |= turned
        if self.monitor is not None:
            self._monitor_key = monitor_key(self.monitor, described[self.monitor.name])
            self.misgivings.tell_monitor_key(self._monitor_key, hinted_keys(self.monitor))
        own = described[self.detector.name]
        keys = {key: entry for entries in described.values() for key, entry in entries.items()}
        self.units = units_of(self.readbacks, keys)
        if self._is_new:
            check_zones(space, self.units)
        if self.target is None:
            frames = prefer_frames and has_frames(self.detector, own)
            self.target = "total" if frames else default_target(self.detector, own, self.reduction)
            self.misgivings.tell_default(self.target, hinted_keys(self.detector))
        self.field = parse_target(self.target).key
        if self.target in ("total", "map") and not has_frames(self.detector, own):
            self.field = number_of(self.detector, own)  # a point detector has one pixel
        check_measured(self.field, self._monitor_key, moved)
        complete = all(described[d.name] for d in self.detectors)
        hinted = [field for d in self.detectors for field in hinted_keys(d)]
        if self.field in keys or (self.field is not None and complete and self.field not in hinted):
            check_field(self.field, keys)
        if self.field is None:
            if complete or not hinted:
                check_frames(self.detector, own, self.target)
            yield from self._inline.find(self.detector, own)
        self._tolerances = (0.5 * space.steps).tolist()
        if getattr(self.per_point, "is_flown", False):  # a flight judges where frames lie
            self._tolerances[0] = math.inf
        self.space = space

    def start_document(
        self,
        plan_name: str,
        settings: Mapping[str, Any],
        md: Mapping[str, Any] | None,
        resumes: Run | None = None,
    ) -> dict[str, Any]:
        """Return the run's start metadata: what a later reader needs to repeat every decision."""
        self._nominal_counts = (
            (self._nominal() or self.nominal_seen)
            if resumes is None
            else resumes.steering.get("nominal_counts")
        )
        rules = rules_of(resumes)
        self._points = Points(
            self.reduction if self.field is None else None,
            nominal_counts=self._nominal_counts,
            min_monitor=self.min_monitor,
            mask=self.reductions.mask,
            **rules,
        )
        source = {"kind": "frames", "detector": self.detector.name, **self._inline.to_dict()}
        if self.field is not None:
            source = {"kind": "field", "key": self.field}
        document = {
            "plan_name": plan_name,
            "detectors": [detector.name for detector in self.detectors],
            "motors": [axis.name for axis in self.axes],
            "num_points": settings["budget"],
            "hints": {"dimensions": [([key], "primary") for key in self.readbacks]},
            "steering": {
                **settings,
                **self.reductions.to_dict(),
                "source": source,
                "per_point": described(self.per_point),
                "angle_key": angle_key_of(self.per_point),
                **({"setting_key": SETTING} if hasattr(self.per_point, "scans") else {}),
                "monitor": None if self.monitor is None else self.monitor.name,
                "monitor_key": self._monitor_key,
                "min_monitor": self.min_monitor,
                "nominal_counts": self._nominal_counts,
                **rules,
                "resumes": None if resumes is None else resumes.uid,
            },
            "versions": versions(),
            **dict(md or {}),
        }
        self._readout = Readout.from_start(document)
        return document if resumes is None else taking_over(resumes, document)

    def recall(self, run: Run) -> list[PointResult]:
        """Return what the points of a run to carry on gave; later ones are judged in their line.

        Reads their frames, so off the RunEngine's loop.
        """
        results = run.results(judge=self._points)
        self.n_invalid = sum(result.pattern is None for result in results)
        return results

    def pixel_axes(self) -> FrameAxes:
        """Return the coordinates of the pattern's pixels; known once there is a pattern."""
        if self._points.reduction is None:
            raise RuntimeError("there must be a pattern before its axes are asked for, got none")
        return self._points.reduction.axes

    def axes_of_pattern(self) -> Any:
        """Return the axes of the pattern, or what gives them once there is one."""
        if self.field is not None:
            return FrameAxes.channels((1, 1))
        return self.pixel_axes if self.reduction is None else self.reduction.axes

    def prepared(self, run: Callable[[], MsgGenerator[Any]]) -> MsgGenerator[Any]:
        """Carry out a run with its documents followed and the devices set for its points."""

        def followed() -> MsgGenerator[Any]:
            token = yield Msg("subscribe", None, self._live, "all")
            # No plan of bluesky's: one that a halt leaves unused would warn.
            yield from bpp.finalize_wrapper(run(), lambda: (yield Msg("unsubscribe", None, token)))

        prepare = getattr(self.per_point, "prepare", None)
        plan = followed() if prepare is None else prepare(self.detectors, followed())
        yield from bounded(plan, self.timeout_s)

    def measure(self, position: Sequence[float], number: int) -> MsgGenerator[None]:
        """Measure one point; `take` then tells what it gave."""
        self._number.value = number
        where = dict(zip(self.axes, map(float, position), strict=True))
        devices = [*self.devices, *([self._number] if self._numbered else [])]
        stub = started(self.per_point, devices, where)
        if self.per_point is not expose_at and not hasattr(self.per_point, "several_events"):
            stub = saved_once(stub)
        stub = self.timing.followed(stub)
        beyond = getattr(self.per_point, "beyond", 0.0)
        yield from within_bounds(stub, self.space, self.axes, position, beyond=beyond)
        self._pending, self._asked = True, where

    def go_to(self, position: Sequence[float]) -> MsgGenerator[None]:
        """Move the axes past the forbidden zones."""
        yield from bounded(go_round(self.space, self.axes, position), self.timeout_s)

    def take(self) -> PointResult | None:
        """Return what the latest point gave, once: reads its frames, so off the RunEngine's loop.

        None before the first point, and where nobody answers, as in `bluesky.simulators`.

        Raises
        ------
        StageError
            When an axis says that it is elsewhere.
        ValueError
            When what is steered on is not in the events.
        bl_steer.store.StoreError
            When the frames cannot be read.
        """
        if not self._pending:
            return None
        self._pending, self.result = False, None
        events = self._live.take()
        if not events:
            check_recorded(self.per_point, has_begun=self._live.has_begun)
            return None
        keys = self._live.objects.get(self.detector.name, ())
        steered = self.field or self._inline.key
        told = self.timing.take(events, self.readbacks, keys, steered)
        self.misgivings.tell_times(told)
        self.misgivings.tell_events(len(events))
        if self._monitor_key in events[0].data:
            self.misgivings.tell_monitor(as_number(events[0].data[self._monitor_key]))
        for axis, key, tolerance in zip(self.axes, self.readbacks, self._tolerances, strict=True):
            off = check_place(axis, key, events[0].data, self._asked[axis], tolerance)
            self.misgivings.tell_place(axis.name, off, 2 * tolerance)
        self.result = self._points.take(
            [self._readout.exposure(self._data(e), partial(self._frames, e)) for e in events]
        )
        if self.result.pattern is None:
            self.n_invalid += 1
        self.misgivings.tell(self.result)
        return self.result

    def _data(self, event: LiveEvent) -> Mapping[str, Any]:
        """Return an event's data; a number that a detector keeps in its file is fetched there."""
        if self.field is None or not self._live.keys.get(self.field, {}).get("external"):
            return event.data
        value = event.frames(self.field)
        return {**event.data, self.field: np.nan if value is None else float(np.sum(value))}

    def _frames(self, event: LiveEvent) -> Any:
        frames = event.frames()
        if frames is None:
            keys = self._live.objects.get(self.detector.name, ())
            own = {key: event.data[key] for key in keys if key in event.data}
            frames = self._inline.of(own, target=str(self.target), detector=self.detector.name)
        self._shape = self._shape or frames.shape
        if frames.shape != self._shape:
            raise ValueError(
                f"the frames of all points must have one shape, got {frames.shape} after "
                f"{self._shape} from {self.detector.name}; set its region and number of frames "
                "back, and measure again"
            )
        return frames

    def _nominal(self) -> float | None:
        """Return what the nominal beam gives in one exposure, where the monitor knows it."""
        rate = getattr(self.monitor, "nominal_rate", None)
        seconds = exposure_s_of(self.detector)
        return None if rate is None or math.isnan(seconds) else float(rate.get()) * seconds
