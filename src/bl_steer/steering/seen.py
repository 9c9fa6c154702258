"""The points of earlier runs, read as a new run reads its own: a search may start from them.

`points_of_runs` gives them to a plan before its first decision, and to whoever decides a stored
run again; `runs_seen_by` finds the runs that a stored one was told of.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from bl_steer.agents import Space
from bl_steer.diffraction import GriddedFrames, Reduction, SummedFrames
from bl_steer.protocols import Array
from bl_steer.runs.judging import judge_points, usable
from bl_steer.runs.points import PointResult, Points
from bl_steer.runs.readout import Readout
from bl_steer.runs.references import image_key
from bl_steer.runs.run import Run
from bl_steer.runs.signal import is_readable
from bl_steer.runs.tables import PRIMARY, as_numbers, inline_frames
from bl_steer.store import StoreError

__all__ = [
    "EarlierPoints",
    "Exposed",
    "check_samples",
    "exposure_of_run",
    "points_of_runs",
    "runs_seen_by",
    "sample_name",
]

logger = logging.getLogger(__name__)

SNAP = 0.1
"""Share of a step within which a readback is that of the candidate."""
EXPOSURES = (
    "exposure_time",
    "cam_acquire_time",
    "driver_acquire_time",
    "preset_time",
    "count_time",
)
NUMBERS = ("n_frames", "cam_num_images", "driver_num_images")
"""How the configuration of a detector may name the time of a frame, s, and their number."""


@dataclass(frozen=True)
class EarlierPoints:
    """Points of earlier runs, invalid ones left out.

    Parameters
    ----------
    positions : shape (n, n_axes), in the axes' units
    results : of the points, at the exposure of their own run
    reduction : that made the patterns
    nominal_counts : of the monitor in an exposure, by run; None without a monitor
    runs : number of the run of each point
    """

    positions: Array
    results: list[PointResult]
    reduction: Reduction | None
    nominal_counts: list[float | None]
    runs: list[int]

    def scaled(self, scales: Sequence[float]) -> list[PointResult]:
        """Return the results at the exposure of the run that is told of them.

        Parameters
        ----------
        scales : factor of the patterns of each run
        """
        pairs = zip(self.results, self.runs, strict=True)
        return [_scaled(result, float(scales[run])) for result, run in pairs]


def runs_seen_by(run: Run) -> list[Run]:
    """Return the earlier runs that a run was told of, from the records beside its own.

    Raises
    ------
    StoreError
        Where one of them is missing.
    """
    uids = [str(uid) for uid in run.steering.get("seen") or ()]
    if uids and run.record is None:
        raise StoreError(
            f"the runs that {run.uid[:8]} was told of must be at hand, got {', '.join(uids)} "
            "without their store; open the run with open_run, or give them as seen=[…]"
        )
    runs = []
    for uid in uids:
        path = None if run.record is None else run.record.with_name(f"{uid}.jsonl")
        if path is None or not path.exists():
            raise StoreError(
                f"the runs that {run.uid[:8]} was told of (seen) must be in its store, got no "
                f"record of {uid}; bring {path} back"
            )
        runs.append(Run.from_record(path))
    return runs


def sample_name(start: Mapping[str, Any]) -> str | None:
    """Return what a start document calls the sample; None where it has no name."""
    sample = start.get("sample")
    name = sample.get("name") if isinstance(sample, Mapping) else sample
    return str(name).strip() or None if name is not None else None


def check_samples(start: Mapping[str, Any]) -> list[str]:
    """Refuse a run that is told of runs of another sample; return where that cannot be told.

    Parameters
    ----------
    start : start document of the run that is told, with ``seen`` and ``seen_samples``

    Returns
    -------
    unnamed : uids of the runs that name no sample; all where this one names none

    Raises
    ------
    ValueError
        Where both name their sample, and the names differ.
    """
    steering, here = start.get("steering") or {}, sample_name(start)
    pairs = list(zip(steering.get("seen") or (), steering.get("seen_samples") or (), strict=False))
    for uid, there in pairs:
        if None not in (here, there) and here != there:
            raise ValueError(
                f"a run seen must be of the same sample, got {there!r} in {uid[:8]} and {here!r} "
                f"now; leave it out, or, where it is the same piece, give it the same name, "
                f"md={{'sample': {{'name': {there!r}}}}}"
            )
    return [uid for uid, there in pairs if None in (here, there)]


def points_of_runs(
    runs: Sequence[Run], start: Mapping[str, Any], reduction: Reduction | None = None
) -> EarlierPoints:
    """Read the points of earlier runs as a new run reads its own.

    Each run is normalised by its own monitor and nominal beam, and judged by itself.

    Parameters
    ----------
    runs : with the same axes and detector; steered, mapped, or any of Bluesky's plans
    start : start document of the new run
    reduction : of its frames; by default their sum

    Raises
    ------
    ValueError
        For a run with other axes, another detector, or frames of another shape.
    StoreError
        Where frames cannot be read.
    """
    space = Space.from_dict(start["steering"]["grid"])
    places: list[Array] = [np.empty((0, len(space.names)))]
    told = EarlierPoints(places[0], [], reduction, [], [])
    for number, run in enumerate(runs):
        positions = _positions(run, start, space)
        judge, results = _judged(run, start, told.reduction)
        good = np.flatnonzero(usable(results))
        places.append(positions[good])
        told.results.extend(results[i] for i in good)
        told.runs.extend([number] * len(good))
        told.nominal_counts.append(judge.nominal_counts)
        told = replace(told, reduction=told.reduction or judge.reduction)
    return replace(told, positions=np.concatenate(places))


class Exposed(NamedTuple):
    """How long something is exposed, s; NaN where that is not known.

    The full time, where points have their own.
    """

    point_s: float
    """All exposures of a point together."""
    event_s: float
    frame_s: float


def exposure_of_run(run: Run, start: Mapping[str, Any]) -> Exposed:
    """Return how long the points of a run were exposed.

    Parameters
    ----------
    start : start document of the run that is told of it
    """
    detector = _detector(start) if _detector(start) in _objects(run) else run_detector(run)
    own = run.steering.get("exposure_s") if run.steering.get("exposure_key") else None
    frame_s = own or _configured(run, detector, EXPOSURES, math.nan)
    event_s = frame_s * _configured(run, detector, NUMBERS, 1.0)
    first = run.events_of[0] if run.n_points else np.empty(0, int)
    key = run.steering.get("setting_key")
    if key in run.primary:
        first = first[run.primary[key][first] == run.primary[key][first[0]]]
    return Exposed(event_s * max(len(first), 1), event_s, frame_s)


def run_detector(run: Run) -> str:
    """Return the name of the first detector of a run, empty where there is none."""
    return str((run.start.get("detectors") or [""])[0])


def _judged(
    run: Run, start: Mapping[str, Any], reduction: Reduction | None
) -> tuple[Points, list[PointResult]]:
    merged = _read_as(run, start)
    readout = Readout.from_start(merged)
    events = run.events_of[: run.n_complete]
    frames = None
    if readout.field is None and events:
        frames = _frames(run, merged, reduction)
    elif readout.field is not None and events and readout.field not in run.primary:
        raise ValueError(
            f"a run seen must have measured what is steered on, {readout.field!r}, got "
            f"{', '.join(k for k in run.primary if is_readable(k))} in {_named(run)}; leave it out"
        )
    judge = Points.from_start(merged, reduction)
    return judge, judge_points(judge, readout, run.primary, events, frames)


def _read_as(run: Run, start: Mapping[str, Any]) -> dict[str, Any]:
    """Return a start document by which a run is read as the new one, and normalised as itself."""
    new, own, columns = start["steering"], run.steering, run.primary
    settings = {**new, "nominal_counts": None, "min_monitor": None}
    for name in ("exposure_key", "setting_key", "exposure_s"):
        settings[name] = own.get(name)
    for name in ("monitor_key", "angle_key"):
        known = own.get(name) or new.get(name)
        settings[name] = known if known in columns else None
    if "source" in own:
        settings |= {name: own.get(name) for name in ("nominal_counts", "min_monitor")}
    if new.get("monitor_key") and settings["monitor_key"] is None and run.n_points:
        logger.warning(
            "run %s has no monitor counts: its points are taken as they are", run.uid[:8]
        )
    return {**run.start, "detectors": start["detectors"], "steering": settings}


def _frames(run: Run, merged: Mapping[str, Any], reduction: Reduction | None) -> Any:
    detector = _detector(merged)
    described = run.data_keys.get(PRIMARY, {})
    key = image_key(described, detector)
    owner = described.get(key, {}).get("object_name", detector)
    frames = run.frames if key else inline_frames(merged, run.primary)
    names = [run_detector(run), *_objects(run)]
    if frames is None or owner != detector or detector not in names:
        raise ValueError(
            f"a run seen must hold frames of the detector that is steered on, {detector}, got "
            f"those of {owner if key else 'none'} in {_named(run)}; leave it out"
        )
    if isinstance(reduction, GriddedFrames):
        expected: tuple[int, ...] | None = reduction.goniometer.detector.shape
    else:
        expected = reduction.axes.shape if isinstance(reduction, SummedFrames) else None
    if expected is not None and tuple(frames.shape[-2:]) != tuple(expected):
        raise ValueError(
            f"frames of a run seen must have the shape {tuple(expected)} of those that are steered "
            f"on, got {tuple(frames.shape[-2:])} in {_named(run)}; leave it out"
        )
    return frames


def _positions(run: Run, start: Mapping[str, Any], space: Space) -> Array:
    """Return where the points were, (n, n_axes); at a candidate where they were next to it."""
    keys = [str(fields[0]) for fields, _ in start["hints"]["dimensions"]]
    missing = [key for key in keys if key not in run.primary]
    if missing and run.n_points:
        raise ValueError(
            f"a run seen must have the axes of this one, {', '.join(keys)}, in its events, got "
            f"{', '.join(run.axis_keys)} in {_named(run)}; leave it out"
        )
    rows = [events[0] for events in run.events_of[: run.n_complete]]
    if not rows:
        return np.empty((0, len(keys)))
    where = np.column_stack([as_numbers(run.primary[key])[rows] for key in keys])
    for place in where:
        nearest = space.points[space.index_of(*place)]
        if (np.abs(place - nearest) <= SNAP * space.steps).all():
            place[:] = nearest
    return where


def _scaled(result: PointResult, scale: float) -> PointResult:
    """Return a result in counts of another exposure: as many as it would have given."""
    if scale == 1.0 or result.pattern is None:
        return result
    return replace(
        result,
        pattern=result.pattern * scale,
        variance=None if result.variance is None else result.variance * scale**2,
        count=result.count * scale,
        noise_ratio=result.noise_ratio * scale,
    )


def _configured(run: Run, detector: str, names: Sequence[str], default: float) -> float:
    values = (run.configuration.get(f"{detector}_{name}") for name in names)
    return next((float(v) for v in values if isinstance(v, int | float) and v > 0), default)


def _detector(start: Mapping[str, Any]) -> str:
    source = start["steering"]["source"]
    return str(source.get("detector") or (start.get("detectors") or [""])[0])


def _objects(run: Run) -> set[str]:
    described = run.data_keys.get(PRIMARY, {}).values()
    return {str(entry.get("object_name", "")) for entry in described}


def _named(run: Run) -> str:
    return f"{run.uid[:8]} ({run.start.get('plan_name')})"
