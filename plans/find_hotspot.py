"""Find the spot where a target is brightest, in a fraction of the measurements that a map takes.

    RE(find_hotspot(det, stage, monitor=monitor, budget=48))

For every point the agent decides (off the RunEngine's loop), the decision is recorded, the stage
moves, the detector exposes, and the pattern goes back to the agent. To measure every point of a
grid instead, use `plans.map_sample`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import Space, SpaceExhausted
from bl_steer.features import DEFAULT_TARGET
from bl_steer.protocols import Agent, Array
from bl_steer.steering import Decision, DetectorDeadError, Steering, build_steering
from bl_steer.store import check_md
from plans.stubs.messages import (
    FrameDetector,
    Monitor,
    Stage,
    check_exposure,
    check_limits,
    expose_at,
    is_whole_number,
    record,
    think,
)
from plans.stubs.points import PointReader, default_grid, start_document
from plans.stubs.rows import Row

__all__ = ["Hotspot", "find_hotspot"]

UNITS = {"think_s": "s", "think_cpu_s": "s", "previous_move_s": "s", "previous_expose_s": "s"}


@dataclass(frozen=True)
class Hotspot:
    """The spot that a run reports, the one row of its stream ``result``."""

    best_x: float
    best_y: float
    best_value: float
    """Objective there, in counts: the model's mean, or what was measured if the agent has none."""
    best_sd: float
    n_measured: int
    """Measurements, invalid ones included."""
    n_invalid: int
    basis_version: int
    stop_reason: str
    """``"budget"``, ``"exhausted"`` (every cell is measured) or ``"interrupted"``, by the user or
    by a failure."""
    move_s: float
    """Time of the last point's motion, s."""
    expose_s: float
    outcomes: Array = field(repr=False)
    """Outcome of every point under the last basis, shape (budget,), NaN for invalid ones."""


def find_hotspot(
    detector: FrameDetector,
    stage: Stage,
    *,
    monitor: Monitor | None = None,
    target: str = DEFAULT_TARGET,
    budget: int = 48,
    seed: int = 0,
    grid: Space | None = None,
    agent: str | Agent = "bayesian",
    agent_options: Mapping[str, Any] | None = None,
    exposure_s: float | None = None,
    move_to_best: bool = False,
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[Hotspot]:
    """Steer the stage to the brightest spot of `target`.

    Parameters
    ----------
    detector : stores the frames of each point
    stage : has the two axes ``x`` and ``y``
    monitor : beam monitor that patterns are normalised by; without one they are taken as they are
    target : what to maximise, as written on the command line: ``total``, ``roi:…``, ``ref:…``,
        ``nmf:K@REF``
    budget : number of measurements, repeats of dead frames included
    seed : of the agent; the same seed and the same patterns give the same points
    grid : candidate points, in the stage's units; 31×31 points over 150 × 150 µm by default
    agent : name of an agent (see `bl_steer.agents.make_agent`), or an object with ``suggest`` and
        ``ingest``
    agent_options : settings of a named agent, for example ``{"start": "random"}``
    exposure_s : exposure time of a frame, which stays set; the detector's own by default
    move_to_best : leave the stage at the reported spot, if any point was valid
    also_read : devices to read with every point
    md : metadata for the run

    Returns
    -------
    hotspot : the reported spot with its uncertainty

    Raises
    ------
    ValueError
        Before anything moves, for a budget, target, grid or agent that cannot work.
    TypeError
        Before anything moves, for an agent that is none.
    bl_steer.steering.DetectorDeadError
        After several dead frames in a row; all earlier points are in the record.
    """
    check_md(md)
    grid = default_grid() if grid is None else grid
    if not isinstance(grid, Space):
        raise TypeError(f"grid must be a Space, got {grid!r}; build it with Space.grid(x, y)")
    if not is_whole_number(budget) or budget < 1:
        raise ValueError(
            f"budget must be a whole number of measurements, 1 or more, got {budget!r}; "
            "try budget=48"
        )
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
    check_exposure(exposure_s)
    check_limits(stage, grid.bounds)
    settings = {
        "target": target,
        "agent": agent if isinstance(agent, str) else type(agent).__name__,
        "agent_options": dict(agent_options or {}),
        "seed": int(seed),
        "budget": int(budget),
        "grid": grid.to_dict(),
    }
    steering = build_steering(
        settings, detector.axes, agent=None if isinstance(agent, str) else agent
    )
    if exposure_s is not None:
        yield from bps.mv(detector.exposure_time, exposure_s)
    reader = PointReader(detector, monitor, stage)
    devices = reader.devices(also_read)
    hotspots: list[Hotspot] = []  # filled by `finish`: finalize_decorator drops what it returns

    executor = ThreadPoolExecutor(1, thread_name_prefix="think")

    def finish() -> MsgGenerator[None]:
        hotspot = yield from think(executor, lambda: _summarise(steering, reader))
        hotspots.append(hotspot)
        row = Row("result", axes=grid.names)
        row.value = hotspot
        yield from record([row], "result")

    @bpp.run_decorator(md=start_document("find_hotspot", settings, reader, md))
    @bpp.stage_decorator(devices)
    @bpp.finalize_decorator(finish)
    def run() -> MsgGenerator[None]:
        row = Row("decision", UNITS, axes=grid.names)
        yield from _steer(steering, reader, stage, devices, executor, row)

    try:
        yield from run()
    finally:
        executor.shutdown(wait=False)  # a halt does not wait for a thought

    hotspot = hotspots[-1]
    if move_to_best and math.isfinite(hotspot.best_value):
        yield from bps.mv(stage.x, hotspot.best_x, stage.y, hotspot.best_y)
    return hotspot


def _steer(
    steering: Steering,
    reader: PointReader,
    stage: Stage,
    devices: Sequence[Readable[Any]],
    executor: Executor,
    row: Row,
) -> MsgGenerator[None]:
    """Decide, record the decision, measure: until the budget is spent."""

    def thought() -> Decision:
        reader.hand_over(steering)
        # After a dead frame `decide` gives the same position again: a retake is a decision too.
        return steering.decide(move_s=reader.move_s, expose_s=reader.expose_s)

    for _ in range(steering.budget):
        try:
            decision = yield from think(executor, thought)
        except SpaceExhausted:
            return
        row.value = decision
        yield from record([row], "decisions")
        readings = yield from expose_at(stage, decision.x, decision.y, devices)
        reader.take(readings)
    yield from think(executor, lambda: reader.hand_over(steering))  # of the last point


def _summarise(steering: Steering, reader: PointReader) -> Hotspot:
    with suppress(DetectorDeadError):  # the run ends for another reason already
        reader.hand_over(steering)
    best = steering.report()
    return Hotspot(
        best_x=best.x,
        best_y=best.y,
        best_value=best.value,
        best_sd=best.sd,
        n_measured=steering.n_observed,
        n_invalid=reader.n_invalid,
        basis_version=steering.feature.version,
        stop_reason=steering.stop_reason(),
        move_s=reader.move_s,
        expose_s=reader.expose_s,
        outcomes=steering.outcomes(),
    )
