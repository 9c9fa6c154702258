"""Find the spot where a target is brightest, in a fraction of the measurements that a map takes.

    RE(find_hotspot(det, stage, monitor=monitor, budget=48))

For every point the agent decides (off the RunEngine's loop), the decision is recorded, the stage
moves, the detector exposes, and the pattern goes back to the agent. To measure every point of a
grid instead, use `plans.map_sample`.
"""

# The queue server reads the annotations of plans: they must be types here, never text, so this
# module has no `from __future__ import annotations`.

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import Space, SpaceExhausted
from bl_steer.diffraction import Reduction
from bl_steer.features import parse_target
from bl_steer.protocols import Agent
from bl_steer.runs import Run
from bl_steer.steering import (
    Decision,
    Steering,
    StopRule,
    build_steering,
    catch_up,
    check_budget,
)
from bl_steer.store import check_md
from plans.stubs.axes import Axes, check_axes, grid_of
from plans.stubs.exposures import Exposures, check_exposure, exposure_option, set_exposure
from plans.stubs.hotspots import OF_EXPOSURE, OF_STOP, Hotspot, hotspot_of, with_reason
from plans.stubs.messages import record, think
from plans.stubs.options import (
    DECIDED,
    is_whole_number,
    mask_option,
    options_of,
    rules_of,
    stop_option,
)
from plans.stubs.per_point import PerPoint
from plans.stubs.points import PointReader
from plans.stubs.rows import Row

__all__ = ["Hotspot", "find_hotspot"]

DEFAULTS = {"budget": 48, "seed": 0, "agent": "bayesian"}
BUDGET_ADAPTIVE, BUDGET_OF_STOP = 120, 200
TIMES = ("think_s", "think_cpu_s", "previous_move_s", "previous_expose_s", "exposure_s")
UNITS = dict.fromkeys(TIMES, "s")


def find_hotspot(
    detectors: Readable[Any] | Sequence[Readable[Any]],
    axes: Axes,
    *,
    per_point: PerPoint | Mapping[str, Any] | Sequence[Any] | None = None,
    monitor: Readable[Any] | None = None,
    target: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    grid: Space | Mapping[str, Any] | None = None,
    forbidden: Sequence[Mapping[str, Any]] = (),
    agent: str | Agent | None = None,
    agent_options: Mapping[str, Any] | None = None,
    stop: str | None = None,
    exposure_s: float | None = None,
    exposure: str | Mapping[str, Any] | None = None,
    min_monitor: float | None = None,
    reduction: Reduction | Sequence[Reduction] | None = None,
    mask: Any = None,
    timeout_s: float | None = None,
    resumes: Run | None = None,
    move_to_best: bool = False,
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[Hotspot]:
    """Steer the stage to the brightest spot of `target`.

    Parameters
    ----------
    detectors : one Bluesky device or several, synchronous or not; the first is steered on
    axes : one to three movable devices, or a stage with ``x``, ``y`` and perhaps ``z``
    per_point : a stub that measures a point, see `plans.stubs.per_point`; or as
        `plans.stubs.written` has it, ``{"name": "rocking_scan", …}``; by default one exposure. A
        list of rocking scans at several settings of other circles (``at``) carries out all at each
        point, and steers on the first
    monitor : counts the beam, which patterns are normalised by; without one they are taken as they
        are
    target : what to maximise, as written on the command line: ``total``, ``field:KEY``, ``roi:…``,
        ``ref:…``, ``nmf:K@REF``; by default the Ge-rich phase on frames with q axes, the total on
        other frames, and the number that the first detector hints at
    budget : number of measurements, repeats of dead frames included; 48 by default, 200 with a
        rule `stop`, 120 with adaptive exposure, of which up to 20 confirm what was found; 10,000 at
        most
    seed : of the agent, 0 by default; the same seed and the same patterns give the same points
    grid : candidate points, in the axes' units, also as a mapping ``{"x": […], "y": […]}``; 31×31
        points over 150 × 150 µm by default
    forbidden : zones where nothing is measured: ``{"box": [[x0, y0], [x1, y1]]}``,
        ``{"circle": [x, y, r]}``, ``{"polygon": [[x, y], …]}``
    agent : name of an agent (see `bl_steer.agents.make_agent`), "bayesian" by default, or an object
        with ``suggest`` and ``ingest``
    agent_options : settings of a named agent, for example ``{"start": "random"}``
    stop : end before the budget is spent, when a better spot is improbable: ``"W=20,p=0.05"``, with
        the full width at half maximum of the narrowest hill that matters, in the axes' units (one
        for each axis as ``"W=20x0.02"``), and the probability that may remain, 0.05 by default;
        see `bl_steer.steering.StopRule`. The agent also measures where such a hill could hide
    exposure_s : exposure time of a frame, which stays set; the detector's own by default
    exposure : "adaptive" lets the agent choose the exposure time of each point, up to `exposure_s`,
        and look at what it found in full at the end. As a mapping it may say more: ``set``, the
        signal to set (such as ``det.cam.acquire_time``), ``least_s``, the shortest time of a frame,
        and ``max_dose_s``, the most that a place is exposed in all. Counts are brought to
        `exposure_s`
    min_monitor : least monitor counts of an exposure with beam; by default a tenth of the run's
        median
    reduction : frames and angles to a pattern (`bl_steer.diffraction.Reduction`); by default the
        sum of a point's frames. With several scans one for each, or one for all, of which
        `GriddedFrames` is turned to each scan's circles
    mask : of the detector's pixels, an array of a frame's shape or a file, True or not 0 where a
        pixel is not to be used; it is stored with the run
    timeout_s : of each wait; by default from the devices' own velocity and exposure time
    resumes : a run of this plan that was broken off; its points and settings count, and the budget
        goes on. Only a larger `budget` may be given with it
    move_to_best : leave the axes at the reported spot, if any point was valid
    also_read : devices to read with every point
    md : metadata for the run

    Returns
    -------
    hotspot : the reported spot with its uncertainty

    Raises
    ------
    ValueError
        Before anything moves, for a budget, target, grid or agent that cannot work, and for a run
        that cannot be carried on (`bl_steer.steering.ResumeError`).
    TypeError
        Before anything moves, for an agent that is none.
    bl_steer.steering.DetectorDeadError
        After several dead frames in a row; all earlier points are in the record.
    """
    check_md(md)
    exposure, exposure_set = exposure_option(exposure)
    options = options_of(
        resumes,
        "find_hotspot",
        DEFAULTS | _budget(stop, exposure),
        target=target,
        budget=budget,
        seed=seed,
        grid=grid,
        forbidden=forbidden,
        agent=agent,
        agent_options=agent_options,
        stop=stop_option(stop),
        exposure_s=exposure_s,
        exposure=exposure,
        min_monitor=min_monitor,
        mask=mask_option(mask),
    )
    target, budget, seed, agent = (options[n] for n in ("target", "budget", "seed", "agent"))
    exposure_s = options["exposure_s"]
    grid = grid_of(options["grid"], options["forbidden"])
    check_budget(budget)
    if not is_whole_number(seed) or not 0 <= seed < 2**53:  # Tiled cuts larger ones
        raise ValueError(f"seed must be a whole number in 0 … 2⁵³ - 1, got {seed!r}; try seed=0")
    if isinstance(agent, type):
        raise TypeError(
            f"agent must be an object, got the class {agent.__name__}; try agent={agent.__name__}()"
        )
    if not isinstance(agent, str) and not (hasattr(agent, "suggest") and hasattr(agent, "ingest")):
        raise TypeError(
            f"agent must be a name or an object with suggest and ingest, got {agent!r}; "
            'try agent="bayesian"'
        )
    if options["stop"] is not None:
        StopRule.parse(options["stop"]).check(grid)
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
    if target is not None:
        parse_target(target)
    check_exposure(exposure_s, reader.detector)
    check_axes(reader.axes, grid)
    exposures, exposed = None, {"exposure_s": exposure_s}
    if options["exposure"] is not None:
        exposures = Exposures(reader.detector, options["exposure"], exposure_set, reader.per_point)
        reader.devices.append(exposures.row)
        exposed = yield from exposures.prepare(exposure_s)
    elif exposure_s is not None:
        yield from set_exposure(reader.detector, exposure_s)
    yield from reader.inspect(grid, is_default=options["grid"] is None)
    settings = {
        "target": reader.target,
        "agent": agent if isinstance(agent, str) else type(agent).__name__,
        "agent_options": dict(options["agent_options"] or {}),
        "seed": int(seed),
        "budget": int(budget),
        "grid": grid.to_dict(),
        **rules_of(resumes),
        **rules_of(resumes, DECIDED),
        "stop": options["stop"],
        **exposed,
    }
    executor = ThreadPoolExecutor(1, thread_name_prefix="think")
    own_agent = None if isinstance(agent, str) else agent
    without = (
        *(() if options["stop"] else OF_STOP),
        *(() if exposures else OF_EXPOSURE),
    )
    hotspots: list[Hotspot] = []  # filled by `finish`: finalize_decorator drops what it returns

    def finish() -> MsgGenerator[None]:
        hotspot = yield from think(executor, lambda: hotspot_of(steering, reader))
        hotspots.append(hotspot)
        row = Row("result", axes=grid.names, without=without)
        row.value = hotspot
        yield from record([row], "result")

    def whole() -> MsgGenerator[None]:
        document = reader.start_document("find_hotspot", settings, md, resumes)
        if resumes is not None:
            yield from think(executor, lambda: catch_up(steering, resumes, reader.recall(resumes)))

        @bpp.run_decorator(md=document)
        @bpp.stage_decorator(reader.devices)
        @bpp.finalize_decorator(finish)
        def run() -> MsgGenerator[None]:
            row = Row("decision", UNITS, axes=grid.names, without=without)
            steer = _steer(steering, reader, executor, row, grid.names, exposures)
            if exposures is not None:
                steer = bpp.finalize_wrapper(steer, exposures.restore)
            yield from steer

        yield from with_reason(run(), options["stop"], hotspots)

    try:
        # Off the loop: the first agent of a process loads its libraries, which takes seconds.
        steering: Steering = yield from think(
            executor, lambda: build_steering(settings, reader.axes_of_pattern(), agent=own_agent)
        )
        yield from reader.prepared(whole)
    finally:
        executor.shutdown(wait=False)  # a halt does not wait for a thought

    hotspot = hotspots[-1]
    if move_to_best and math.isfinite(hotspot.best_value):
        best = [getattr(hotspot, f"best_{name}") for name in grid.names]
        yield from reader.go_to(best)
    return hotspot


def _budget(stop: Any, exposure: Any) -> dict[str, int]:
    """Return the default budget: looks that are short, or end by a rule, may be more."""
    if stop is not None:
        return {"budget": BUDGET_OF_STOP}
    return {} if exposure is None else {"budget": BUDGET_ADAPTIVE}


def _steer(
    steering: Steering,
    reader: PointReader,
    executor: Executor,
    row: Row,
    names: Sequence[str],
    exposures: Exposures | None,
) -> MsgGenerator[None]:
    """Decide, record the decision, measure: until the budget is spent, or the rule is met."""

    def observe() -> None:
        result = reader.take()
        if result is not None:
            steering.observe(result)

    def thought() -> Decision | None:
        observe()
        if steering.is_over:
            return None
        # After a dead frame `decide` gives the same position again: a retake is a decision too.
        return steering.decide(move_s=reader.timing.move_s, expose_s=reader.timing.expose_s)

    def record_mask() -> MsgGenerator[None]:
        mask_row.value = steering.new_mask()
        if mask_row.value is not None:
            reader.misgivings.tell_mask(mask_row.value)
            yield from record([mask_row], "masks")

    mask_row = Row("mask")
    for number in range(steering.n_observed, steering.budget):
        try:
            decision = yield from think(executor, thought)
        except SpaceExhausted:
            return
        if decision is None:
            break
        row.value = decision
        yield from record([row], "decisions")
        yield from record_mask()
        if exposures is not None:
            yield from exposures.expose(decision.exposure_s)
        yield from reader.measure([getattr(decision, name) for name in names], number)
    yield from think(executor, observe)  # of the last point
    yield from record_mask()
