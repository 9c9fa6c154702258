"""Measure every point of a grid, along a snake: the map that steering saves most of.

To find the brightest spot only, use `plans.find_hotspot`.
"""

# The queue server reads the annotations of plans: they must be types here, never text, so this
# module has no `from __future__ import annotations`.

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bluesky.preprocessors as bpp
import numpy as np
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import Space
from bl_steer.diffraction import Reduction
from bl_steer.runs import PointResult, Run
from bl_steer.steering import MAX_RETAKES, check_alive
from bl_steer.store import check_md
from plans.stubs.axes import Axes, check_axes, check_points, grid_of
from plans.stubs.exposures import check_exposure, set_exposure
from plans.stubs.messages import think
from plans.stubs.options import (
    is_whole_number,
    mask_option,
    options_of,
    rules_of,
)
from plans.stubs.per_point import PerPoint
from plans.stubs.points import PointReader

__all__ = ["map_sample"]


def map_sample(
    detectors: Readable[Any] | Sequence[Readable[Any]],
    axes: Axes,
    *,
    per_point: PerPoint | Mapping[str, Any] | Sequence[Any] | None = None,
    monitor: Readable[Any] | None = None,
    target: str | None = None,
    points: Sequence[Sequence[float]] | None = None,
    grid: Space | Mapping[str, Any] | None = None,
    forbidden: Sequence[Mapping[str, Any]] = (),
    snake: bool | None = None,
    max_retakes: int | None = None,
    exposure_s: float | None = None,
    min_monitor: float | None = None,
    reduction: Reduction | Sequence[Reduction] | None = None,
    mask: Any = None,
    timeout_s: float | None = None,
    resumes: Run | None = None,
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[int]:
    """Measure every point of `grid`, row by row, or some points within it.

    Parameters
    ----------
    detectors, axes, per_point, monitor, grid, forbidden : as for `plans.find_hotspot`
    target : what will be made of the points; by default frames where there are some, else a number
    points : positions (x, y, …) to measure in their order, instead of the grid's
    exposure_s, min_monitor, reduction, mask, timeout_s, also_read, md : likewise
    snake : turn round at the end of each row, as by default, instead of travelling back
    max_retakes : of a point whose frames are dead, 3 by default
    resumes : a run of this plan that was broken off; its points and settings count

    Returns
    -------
    n_measured : number of measurements, repeats of dead frames included

    Raises
    ------
    ValueError
        Before anything moves, for a grid, an exposure or metadata that cannot work, and for a
        point beyond the grid or in a forbidden zone.
    bl_steer.steering.DetectorDeadError
        When two points in a row stay dead; one alone is left out. All earlier points are stored.
    """
    check_md(md)
    options = options_of(
        resumes,
        "map_sample",
        {"snake": True, "max_retakes": MAX_RETAKES},
        grid=grid,
        forbidden=forbidden,
        points=points,
        snake=snake,
        max_retakes=max_retakes,
        exposure_s=exposure_s,
        min_monitor=min_monitor,
        mask=mask_option(mask),
    )
    exposure_s = options["exposure_s"]
    grid = grid_of(options["grid"], options["forbidden"])
    reader = PointReader(
        detectors,
        axes,
        monitor=monitor,
        target=target,
        per_point=per_point,
        also_read=also_read,
        min_monitor=options["min_monitor"],
        reduction=reduction,
        mask=options["mask"],
        resumes=resumes,
        timeout_s=timeout_s,
    )
    check_exposure(exposure_s, reader.detector)
    check_axes(reader.axes, grid)
    points = options["points"]
    if points is not None:
        check_points(points, grid)
    if max_retakes is not None and not (is_whole_number(max_retakes) and max_retakes >= 0):
        raise ValueError(
            f"max_retakes must be a whole number, 0 or more, got {max_retakes!r}; leave it out for "
            f"{MAX_RETAKES}"
        )
    n_attempts = 1 + (MAX_RETAKES if options["max_retakes"] is None else options["max_retakes"])
    in_order = grid.snake() if options["snake"] else grid.points[grid.allowed]
    positions = in_order if points is None else points
    if exposure_s is not None:
        yield from set_exposure(reader.detector, exposure_s)
    yield from reader.inspect(grid, is_default=options["grid"] is None, prefer_frames=True)
    settings = {
        "grid": grid.to_dict(),
        "budget": len(positions),
        "snake": options["snake"],
        "max_retakes": n_attempts - 1,
        "exposure_s": exposure_s,
        **rules_of(resumes, ("scales",)),
    } | ({} if points is None else {"points": np.array(points).tolist()})
    executor = ThreadPoolExecutor(1, thread_name_prefix="read")
    n_measured = 0

    def whole() -> MsgGenerator[None]:
        document = reader.start_document("map_sample", settings, md, resumes)
        known: deque[PointResult] = deque()
        if resumes is not None:
            known.extend((yield from think(executor, lambda: reader.recall(resumes))))

        @bpp.run_decorator(md=document)
        @bpp.stage_decorator(reader.devices)
        def run() -> MsgGenerator[None]:
            nonlocal n_measured
            invalid = 0  # in a row, over the points too
            for position in positions:
                for _ in range(n_attempts):
                    earlier = bool(known)
                    if earlier:
                        result: PointResult | None = known.popleft()
                    else:
                        yield from reader.measure(position, n_measured)
                        result = yield from think(executor, reader.take)
                    n_measured += 1
                    if result is None or result.pattern is not None:  # None: nobody answers
                        invalid = 0
                        break
                    invalid += 1
                if result is not None and hasattr(reader.per_point, "keep"):
                    reader.per_point.keep(position, result)
                if result is not None and not earlier:
                    where = dict(zip(grid.names, position, strict=True))
                    # A point that stays dead is left out; the next one may be better.
                    check_alive(result, invalid if invalid > n_attempts else 0, where)

        yield from run()

    try:
        yield from reader.prepared(whole)
    finally:
        executor.shutdown(wait=False)
    return n_measured
