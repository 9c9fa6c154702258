"""Measure every point of a grid, along a snake: the map that steering saves most of.

To find the brightest spot only, use `plans.find_hotspot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import Space
from bl_steer.steering import MAX_RETAKES, DetectorDeadError
from bl_steer.store import check_md
from plans.stubs.messages import (
    FrameDetector,
    Monitor,
    Stage,
    check_exposure,
    check_limits,
    expose_at,
)
from plans.stubs.points import PointReader, default_grid, start_document

__all__ = ["map_sample"]


def map_sample(
    detector: FrameDetector,
    stage: Stage,
    *,
    monitor: Monitor | None = None,
    grid: Space | None = None,
    snake: bool = True,
    exposure_s: float | None = None,
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[int]:
    """Measure every point of `grid`, row by row.

    Parameters
    ----------
    detector, stage, monitor, grid, exposure_s, also_read, md : as for `plans.find_hotspot`
    snake : turn round at the end of each row, instead of travelling back

    Returns
    -------
    n_measured : number of measurements, repeats of dead frames included

    Raises
    ------
    ValueError
        Before anything moves, for a grid, an exposure or metadata that cannot work.
    bl_steer.steering.DetectorDeadError
        When two points in a row stay dead; one alone is left out. All earlier points are stored.
    """
    check_md(md)
    grid = default_grid() if grid is None else grid
    check_exposure(exposure_s)
    check_limits(stage, grid.bounds)
    settings = {"grid": grid.to_dict(), "budget": len(grid.points), "snake": snake}
    if exposure_s is not None:
        yield from bps.mv(detector.exposure_time, exposure_s)
    reader = PointReader(detector, monitor, stage)
    devices = reader.devices(also_read)
    n_measured = 0

    @bpp.run_decorator(md=start_document("map_sample", settings, reader, md))
    @bpp.stage_decorator(devices)
    def run() -> MsgGenerator[None]:
        nonlocal n_measured
        dead = 0  # in a row, over the points too
        for x, y in grid.snake() if snake else grid.points:
            for _ in range(1 + MAX_RETAKES):
                readings = yield from expose_at(stage, x, y, devices)
                reader.take(readings)
                n_measured += 1
                if reader.pattern is not None or not readings:  # none: see `record`
                    dead = 0
                    break
                dead += 1
            if dead > 1 + MAX_RETAKES:
                raise DetectorDeadError(
                    f"the detector must give a valid frame, got {dead} dead ones in a row up to "
                    f"x = {x:g}, y = {y:g}; check detector, shutter and beam"
                )

    yield from run()
    return n_measured
