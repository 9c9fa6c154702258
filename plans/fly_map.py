"""Map a grid with the stage in flight, one frame a cell, then confirm the brightest spots.

    RE(fly_map(det, stage, monitor=monitor, exposure_s=0.03, confirm=8, confirm_exposure_s=10))

Where one short frame without rocking shows enough, this beats any search. To stop at each point
use `plans.map_sample`; to measure few points, `plans.find_hotspot`.
"""

# The queue server reads the annotations of plans: they must be types here, never text, so this
# module has no `from __future__ import annotations`.

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer import features
from bl_steer.agents import Space
from bl_steer.diffraction import FrameAxes
from bl_steer.features import parse_target
from bl_steer.protocols import Array
from bl_steer.runs import PointResult, Run
from bl_steer.steering import displaced_rows
from plans.map_sample import map_sample
from plans.stubs.axes import Axes, axes_of, grid_of
from plans.stubs.detectors import default_target, detectors_of, reduction_of
from plans.stubs.exposures import check_exposure, exposure_signal
from plans.stubs.flights.by_flyer import collected_rows
from plans.stubs.flights.by_series import flown_rows, kept_exposures
from plans.stubs.messages import think
from plans.stubs.options import is_whole_number

__all__ = ["FlownMap", "fly_map"]

logger = logging.getLogger(__name__)

APART = 1.5
"""Steps of the grid that spots to confirm are apart, so that each is a hill of its own."""


@dataclass(frozen=True)
class FlownMap:
    """What a flown map, and its confirmation, came to."""

    n_measured: int
    best_x: float
    best_y: float
    """NaN where there is no such axis, as ``best_z``."""
    best_value: float
    """Target there, in counts: of the confirmation where there was one."""
    confirmed: list[tuple[float, ...]] = field(default_factory=list)
    """Places that were measured at full exposure, the brightest first."""
    best_z: float = math.nan


def fly_map(
    detectors: Readable[Any] | Sequence[Readable[Any]],
    axes: Axes,
    *,
    flyer: Any = None,
    monitor: Readable[Any] | None = None,
    target: str | None = None,
    grid: Space | Mapping[str, Any] | None = None,
    forbidden: Sequence[Mapping[str, Any]] = (),
    exposure_s: float | None = None,
    confirm: int | None = None,
    confirm_exposure_s: float | None = None,
    min_monitor: float | None = None,
    mask: Any = None,
    timeout_s: float | None = None,
    resumes: Run | None = None,
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[FlownMap]:
    """Fly over every row of `grid`, then measure the brightest spots again, standing still.

    The map is a run as of `plans.map_sample`, the confirmation another one.

    Parameters
    ----------
    detectors, axes, monitor, grid, forbidden : as for `plans.map_sample`; the first detector takes
        a series, the first axis has a velocity, unless a flyer flies
    flyer : a flying scan of the beamline's own, a device with Bluesky's ``kickoff``, ``complete``
        and ``collect``, or a function (or plan) that makes one of each row, see
        `plans.stubs.flights.by_flyer.FlightRow`. It collects what the first detector reads, and
        where the first axis is
    target : what spots are bright in; by default that of the run resumed, else the Ge-rich phase on
        frames with q axes, else the total
    exposure_s : of a frame in flight; the speed follows from it and the step of the grid
    confirm : number of spots to measure again, 0 for none; by default 8, or as in the run resumed
    confirm_exposure_s : of these; by default 10 s, the usual of a point that is stopped at, or as
        in the run resumed; left as it is where the detector has no exposure time to set
    min_monitor, mask, timeout_s, also_read, md : as for `plans.map_sample`
    resumes : a flown map that was broken off; its points and settings count

    Returns
    -------
    flown : the brightest spot, and which were confirmed

    Raises
    ------
    ValueError
        Before anything moves, for devices that cannot fly, and as `plans.map_sample`.
    bl_steer.steering.DetectorDeadError
        As `plans.map_sample`.
    """
    known: Mapping[str, Any] = {} if resumes is None else resumes.start.get("confirmation", {})
    confirm = known.get("spots", 8) if confirm is None else confirm
    first = detectors_of(detectors)[0]
    is_set = exposure_signal(first) is not None
    if confirm_exposure_s is None and is_set:
        confirm_exposure_s = known.get("exposure_s", 10.0)
    check_exposure(confirm_exposure_s, first)
    if not is_whole_number(confirm) or confirm < 0:
        raise ValueError(f"confirm must be a number of spots, 0 or more, got {confirm!r}; try 8")
    if resumes is not None:
        grid = Space.from_dict(resumes.steering["grid"])
    space = grid_of(grid, forbidden)
    if space.shape is None:
        raise ValueError(
            f"grid of a flown map must be a grid, got {len(space)} scattered points; use map_sample"
        )
    steps = np.diff(space.axis(space.names[0]))
    if len(steps) and np.ptp(steps) > 1e-6 * np.abs(steps).max():
        raise ValueError(
            f"rows of a flown map must have even steps, got {steps.min():g} to {steps.max():g}; "
            "use map_sample"
        )
    target = known.get("target") if target is None else target
    if target is not None:
        parse_target(target)
    confirmation = {"spots": confirm, "exposure_s": confirm_exposure_s, "target": target}
    devices: dict[str, Any] = {"monitor": monitor, "timeout_s": timeout_s, "also_read": also_read}
    cells, moved = space.snake(), axes_of(axes)
    flights: flown_rows | collected_rows = flown_rows(cells, space, moved, monitor=monitor)
    if flyer is not None:
        flights = collected_rows(cells, space, moved, flyer, monitor=monitor, exposure_s=exposure_s)
    n_measured = yield from map_sample(
        detectors,
        axes,
        per_point=flights,
        grid=None if resumes is not None else space,
        exposure_s=exposure_s if is_set or flyer is None else None,
        min_monitor=min_monitor,
        mask=mask,
        resumes=resumes,
        md={"confirmation": confirmation, **(md or {})},
        **devices,
    )
    spots, values = yield from _off_loop(
        lambda: _brightest(flights.results, first, target, space, max(confirm, 1))
    )
    if not confirm or not len(spots):
        return _flown(space, n_measured, spots, values, confirmed=0)
    kept = kept_exposures()
    n_measured += yield from map_sample(
        detectors,
        axes,
        per_point=kept,
        grid=space,
        points=spots.tolist(),
        exposure_s=confirm_exposure_s,
        min_monitor=min_monitor,
        mask=mask,
        md=md,
        **devices,
    )
    again, values = yield from _off_loop(
        lambda: _brightest(kept.results, first, target, space, len(spots))
    )
    return _flown(space, n_measured, again, values, confirmed=len(again))


def _off_loop(thought: Callable[[], tuple[Array, Array]]) -> MsgGenerator[tuple[Array, Array]]:
    executor = ThreadPoolExecutor(1, thread_name_prefix="think")
    try:
        return (yield from think(executor, thought))
    finally:
        executor.shutdown(wait=False)


def _brightest(
    results: Mapping[tuple[float, ...], PointResult],
    detector: Any,
    target: str | None,
    space: Space,
    n: int,
) -> tuple[Array, Array]:
    """Return the brightest places apart from each other, (k, d), and their targets, (k,)."""
    valid = [(place, r.pattern) for place, r in results.items() if r.pattern is not None]
    if not valid:
        return np.empty((0, len(space.names))), np.empty(0)
    places, patterns = np.array([p for p, _ in valid]), np.stack([p for _, p in valid])
    reduction = reduction_of(detector)
    target = target or default_target(detector, {}, reduction)
    axes = FrameAxes.channels((1, patterns.shape[1])) if reduction is None else reduction.axes
    values = features.make_feature(target, axes).partial_fit(patterns).transform(patterns)
    if len(values) == len(space) and len(space.names) == 2:
        _tell_displaced(space, places, values)
    chosen: list[int] = []
    for cell in np.argsort(-values, kind="stable"):
        steps = np.abs(places[chosen] - places[cell]) / space.steps
        if len(chosen) < n and (steps.max(axis=1, initial=0.0) > APART).all():
            chosen.append(int(cell))
    return places[chosen], values[chosen]


def _tell_displaced(space: Space, places: Array, values: Array) -> None:
    """Warn where the map of all cells looks as if the detector were late."""
    order = np.argsort([space.index_of(*place) for place in places.tolist()])
    late = displaced_rows(values[order].reshape(-1, len(space.axis(space.names[0]))))
    if late:
        logger.warning(
            "rows flown to and fro are displaced by %g cells each: the detector seems to be %s by "
            "as many frames; check its trigger and delay, and do not trust places to a cell",
            abs(late),
            "late" if late > 0 else "early",
        )


def _flown(
    space: Space, n_measured: int, spots: Array, values: Array, *, confirmed: int
) -> FlownMap:
    if not len(spots):
        return FlownMap(n_measured, math.nan, math.nan, math.nan)
    best = {f"best_{name}": value for name, value in space.point(spots[0].tolist()).items()}
    places = [tuple(spot) for spot in spots[:confirmed].tolist()]
    return FlownMap(
        n_measured, **{"best_y": math.nan, **best}, best_value=float(values[0]), confirmed=places
    )
