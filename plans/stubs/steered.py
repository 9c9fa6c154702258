"""The body of the plans that steer: decide, record, measure, until the budget is spent.

`plans.find_hotspot` and its like are this with what each is after; see there for the options.
"""

# The queue server reads the annotations of plans: they must be types here, never text, so this
# module has no `from __future__ import annotations`.

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import Space, SpaceExhausted
from bl_steer.diffraction import Reduction
from bl_steer.features import parse_target
from bl_steer.protocols import Agent, ForeseesOutcomes
from bl_steer.runs import Run
from bl_steer.steering import (
    Decision,
    JointSteering,
    Request,
    Requests,
    Steering,
    StopRule,
    build_loop,
    catch_up,
    check_budget,
)
from bl_steer.store import check_md
from plans.stubs.axes import Axes, check_axes, check_zones, grid_of
from plans.stubs.exposures import Exposures, check_exposure, exposure_option, set_exposure
from plans.stubs.hotspots import OF_EXPOSURE, OF_STOP, OF_TARGETS, with_reason
from plans.stubs.messages import record, think
from plans.stubs.options import (
    DECIDED,
    batch_option,
    check_several,
    is_whole_number,
    mask_option,
    options_of,
    pareto_option,
    rules_of,
    stop_option,
    target_option,
)
from plans.stubs.per_point import PerPoint
from plans.stubs.points import PointReader
from plans.stubs.rows import Row
from plans.stubs.searches.hands import leaving, unless_taken_back
from plans.stubs.searches.seen import SeenRuns

__all__ = ["steered"]

T = TypeVar("T")

TIMES = ("think_s", "think_cpu_s", "previous_move_s", "previous_expose_s", "exposure_s")
MOST_STORED = 100_000
"""Cells of which a predicted map is stored: it is text in the record, 40 characters a cell. That of
more cells is predicted anew from the run, as `bl_steer.steering.predicted_map` does."""
OF_OUTLINE = ("level", "inside", "inside_low", "inside_high")
"""What the stream ``result`` says already."""
UNITS = dict.fromkeys((*TIMES, "asked_at"), "s")

logger = logging.getLogger(__name__)


def steered(
    plan: str,
    detectors: Readable[Any] | Sequence[Readable[Any]],
    axes: Axes,
    *,
    defaults: Mapping[str, Any],
    conclude: Callable[[Any, PointReader, Mapping[str, Any]], T],
    leave_at: Callable[[T], Sequence[float] | None] | None = None,
    per_point: PerPoint | Mapping[str, Any] | Sequence[Any] | None = None,
    monitor: Readable[Any] | None = None,
    goal: str | None = None,
    target: str | Sequence[str] | None = None,
    pareto: bool | None = None,
    budget: int | None = None,
    seed: int | None = None,
    grid: Space | Mapping[str, Any] | None = None,
    forbidden: Sequence[Mapping[str, Any]] = (),
    agent: str | Agent | None = None,
    agent_options: Mapping[str, Any] | None = None,
    batch: int | None = None,
    stop: str | None = None,
    exposure_s: float | None = None,
    exposure: str | Mapping[str, Any] | None = None,
    min_monitor: float | None = None,
    reduction: Reduction | Sequence[Reduction] | None = None,
    mask: Any = None,
    timeout_s: float | None = None,
    resumes: Run | None = None,
    seen: Run | Sequence[Run] | None = None,
    requests: Requests | None = None,
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[T]:
    """Steer: one run of a plan, from the checks of its options to its result.

    Parameters
    ----------
    plan : its name
    defaults : of options that are None where they are left out
    conclude : says by the loop, the reader and the run's settings what it has come to: the row of
        its stream ``result``, whose ``predicted``, if it has one, is that of the stream of the name
    goal : of the agent, where it is not the maximum (`bl_steer.agents.mapping.goal`)
    leave_at : says by the result where to leave the axes; None leaves them at the last point
    md : and all other options as for `plans.find_hotspot`
    """
    check_md(md)
    exposure, exposure_set = exposure_option(exposure)
    earlier, requests = SeenRuns(seen, resumes), requests or Requests()
    options = options_of(
        resumes,
        plan,
        defaults,
        goal=goal,
        target=target_option(target),
        pareto=pareto,
        budget=budget,
        seed=seed,
        grid=grid,
        forbidden=forbidden,
        agent=agent,
        agent_options=agent_options,
        batch=batch,
        stop=stop_option(stop),
        exposure_s=exposure_s,
        exposure=exposure,
        min_monitor=min_monitor,
        mask=mask_option(mask),
        seen=earlier.uids,
    )
    target, budget, seed, agent = (options[n] for n in ("target", "budget", "seed", "agent"))
    pareto = pareto_option(options["pareto"], target, agent, options["stop"])
    batch = batch_option(options["batch"], target, agent, options["exposure"])
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
    if isinstance(target, list) and options["goal"] is not None:
        raise ValueError(
            f"{plan} must have one target, got {target}; map each, or try find_hotspot"
        )
    if isinstance(target, list):
        check_several(agent, options["exposure"], options["seen"])
    if options["stop"] is not None:
        StopRule.parse(options["stop"]).check(grid)
    reader = PointReader(
        detectors,
        axes,
        monitor=monitor,
        target=target if target is None or isinstance(target, str) else target[0],
        per_point=per_point,
        also_read=also_read,
        min_monitor=options["min_monitor"],
        reduction=reduction,
        mask=options["mask"],
        resumes=resumes,
        timeout_s=timeout_s,
    )
    if isinstance(target, str):
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
    if options["stop"] is not None and resumes is None:
        StopRule.parse(options["stop"]).check_units(grid, reader.units)
    yield from earlier.check(reader)
    settings = {
        "target": target if isinstance(target, list) else reader.target,
        **({} if pareto is None else {"pareto": pareto}),
        "agent": agent if isinstance(agent, str) else type(agent).__name__,
        "agent_options": dict(options["agent_options"] or {}),
        **({} if batch == 1 else {"batch": batch}),
        "seed": int(seed),
        "budget": int(budget),
        "grid": grid.to_dict(),
        **rules_of(resumes),
        **rules_of(resumes, DECIDED),
        "stop": options["stop"],
        **exposed,
    } | ({} if options["goal"] is None else {"goal": options["goal"]})
    executor = ThreadPoolExecutor(1, thread_name_prefix="think")
    own_agent = None if isinstance(agent, str) else agent
    without = (
        *(() if isinstance(target, list) else OF_TARGETS),
        *(() if options["stop"] else OF_STOP),
        *(() if exposures else OF_EXPOSURE),
        "predicted",
    )
    results: list[T] = []  # filled by `finish`: finalize_decorator drops what it returns

    def finish() -> MsgGenerator[None]:
        results.append((yield from think(executor, lambda: conclude(steering, reader, settings))))
        row = Row("result", axes=grid.names, without=(*without, "others", "front"))
        for row.value in (results[-1], *getattr(results[-1], "others", ())):
            yield from record([row], "result")
        row = Row("front", axes=grid.names)
        for row.value in getattr(results[-1], "front", ()):
            yield from record([row], "front")
        predicted = getattr(results[-1], "predicted", None)
        if predicted is not None and len(grid) <= MOST_STORED:
            row = Row("predicted", axes=grid.names, without=OF_OUTLINE)
            row.value = predicted
            yield from record([row], "predicted")

    def whole() -> MsgGenerator[None]:
        document, known = yield from earlier.told(
            executor, reader, lambda: reader.start_document(plan, settings, md, resumes)
        )
        yield from think(executor, lambda: steering.see(*known))
        if resumes is not None:
            yield from think(executor, lambda: catch_up(steering, resumes, reader.recall(resumes)))

        @bpp.run_decorator(md=document)
        @earlier.of_one_sample
        @bpp.stage_decorator(reader.devices)
        @bpp.finalize_decorator(finish)
        def run() -> MsgGenerator[None]:
            row = Row("decision", UNITS, axes=grid.names, without=without)
            requests.begin(grid, partial(check_zones, units=reader.units))
            steer = _steer(steering, reader, executor, row, requests, exposures)
            if exposures is not None:
                steer = bpp.finalize_wrapper(steer, exposures.restore)
            yield from steer

        yield from with_reason(run(), options["stop"], results, reader.units)

    try:
        # Off the loop: the first agent of a process loads its libraries, which takes seconds.
        steering: Steering | JointSteering = yield from think(
            executor, lambda: build_loop(settings, reader.axes_of_pattern(), agent=own_agent)
        )
        yield from reader.prepared(whole)
    finally:
        executor.shutdown(wait=False)  # a halt does not wait for a thought
        for late in requests.close():
            logger.warning("the search is over: %s %s was not heeded", late.kind, late.what)

    position = None if leave_at is None else leave_at(results[-1])
    if position is not None:
        if steering.space is not None:
            n_zones = len(grid.forbidden)
            reader.space = yield from leaving(steering.space, n_zones, reader.axes)
        yield from reader.go_to(position)
    return results[-1]


def _steer(
    steering: Steering | JointSteering,
    reader: PointReader,
    executor: Executor,
    row: Row,
    requests: Requests,
    exposures: Exposures | None,
) -> MsgGenerator[None]:
    """Decide, record the decision, measure: until the budget is spent, or the rule is met."""
    agents = [steering.agent] if isinstance(steering, Steering) else steering.agents
    foreseen: Future[None] | None = None
    names, n_zones, n_decisions = reader.space.names, len(reader.space.forbidden), 0

    def observe() -> None:
        if foreseen is not None:
            foreseen.result()  # raises what it raised
        result = reader.take()
        if result is not None:
            steering.observe(result)

    def foresee() -> None:
        for agent in agents:
            if isinstance(agent, ForeseesOutcomes):
                agent.foresee()

    def heed(request: Request) -> Request:
        takes_back = n_decisions if steering.heed(request) else 0
        return replace(request, point=steering.n_observed, takes_back=takes_back)

    def thought() -> tuple[list[Request], Decision | None]:
        observe()
        heeded = [heed(request) for request in requests.take()]
        if steering.is_over:
            return heeded, None
        # After a dead frame `decide` gives the same position again: a retake is a decision too.
        move_s, expose_s = reader.timing.move_s, reader.timing.expose_s
        try:
            return heeded, steering.decide(move_s=move_s, expose_s=expose_s)
        except SpaceExhausted:
            return heeded, None

    def record_new() -> MsgGenerator[None]:
        mask_row.value, seen_row.value = steering.new_mask(), steering.new_seen()
        if mask_row.value is not None:
            reader.misgivings.tell_mask(mask_row.value)
            yield from record([mask_row], "masks")
        if seen_row.value is not None:
            yield from record([seen_row], "seen")

    mask_row, seen_row, request_row = Row("mask"), Row("seen", axes=names), Row("request", UNITS)
    number = steering.n_observed
    while number < steering.budget:
        heeded, decision = yield from think(executor, thought)
        for request_row.value in heeded:
            yield from record([request_row], "requests")
        if decision is None:
            break
        row.value, n_decisions = decision, n_decisions + 1
        position = decision.position(names)
        requests.offer(position)  # whoever reads the decision may answer it
        yield from record([row], "decisions")
        yield from record_new()
        if exposures is not None:
            yield from exposures.expose(decision.exposure_s)
        foreseen = executor.submit(foresee)  # in the thread of the next thought
        if steering.space is not None:
            reader.space = yield from leaving(steering.space, n_zones, reader.axes)
        point = reader.measure([*position.values()], number)
        number += yield from unless_taken_back(point, requests)
    yield from think(executor, observe)  # of the last point
    yield from record_new()
