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
from typing import Any

from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import Space
from bl_steer.diffraction import Reduction
from bl_steer.protocols import Agent
from bl_steer.runs import Run
from bl_steer.steering import Requests
from plans.stubs.axes import Axes
from plans.stubs.hotspots import Hotspot, hotspot_of
from plans.stubs.per_point import PerPoint
from plans.stubs.steered import steered

__all__ = ["Hotspot", "find_hotspot"]

DEFAULTS = {"budget": 48, "seed": 0, "agent": "bayesian"}
BUDGET_ADAPTIVE, BUDGET_OF_STOP = 120, 200


def find_hotspot(
    detectors: Readable[Any] | Sequence[Readable[Any]],
    axes: Axes,
    *,
    per_point: PerPoint | Mapping[str, Any] | Sequence[Any] | None = None,
    monitor: Readable[Any] | None = None,
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
        other frames, and the number that the first detector hints at. A list of several is sought
        in one search, in which each point counts for all
    pareto : seek the places that no other one beats in all of two or three targets; by default
        each target's spot, for which they decide in turn
    budget : number of measurements, repeats of dead frames included; 48 by default, 200 with a
        rule `stop`, 120 with adaptive exposure, of which up to 20 confirm what was found; 10,000 at
        most
    seed : of the agent, 0 by default; the same seed and the same patterns give the same points
    grid : candidate points, in the axes' units, also as a mapping ``{"x": […], "y": […]}``; 31×31
        points over 150 × 150 µm by default
    forbidden : zones where nothing is measured: ``{"box": [[x0, y0], [x1, y1]]}``,
        ``{"circle": [x, y, r]}``, ``{"ellipse": [x, y, rx, ry]}``, ``{"polygon": [[x, y], …]}``
    agent : name of an agent (see `bl_steer.agents.make_agent`), "bayesian" by default, or an object
        with ``suggest`` and ``ingest``
    agent_options : settings of a named agent, for example ``{"start": "random"}``
    batch : how many points are decided together, then measured on the shortest way through them; 1
        by default. It costs points, and pays only where ways take far longer than looks
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
    seen : earlier runs of the same axes and detector, steered, mapped or of other plans of Bluesky;
        the agent knows their points before its first decision, and the budget does not count them
    requests : takes what the user asks for meanwhile: points to add, zones to keep out of, a veto
        of the point under way, the end; a session has one, ``search``
    move_to_best : leave the axes at the reported spot, if any point was valid
    also_read : devices to read with every point
    md : metadata for the run

    Returns
    -------
    hotspot : the reported spot with its uncertainty; of several targets that of the first, with
        the spots of the others as its ``others``, and with `pareto` the ``front``

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

    def spot(hotspot: Hotspot) -> list[float] | None:
        if not move_to_best or not math.isfinite(hotspot.best_value):
            return None
        best = (hotspot.best_x, hotspot.best_y, hotspot.best_z)
        return [position for position in best if not math.isnan(position)]

    return (
        yield from steered(
            "find_hotspot",
            detectors,
            axes,
            defaults=DEFAULTS | _budget(stop, exposure),
            conclude=lambda steering, reader, _: hotspot_of(steering, reader),
            leave_at=spot,
            per_point=per_point,
            monitor=monitor,
            target=target,
            pareto=pareto,
            budget=budget,
            seed=seed,
            grid=grid,
            forbidden=forbidden,
            agent=agent,
            agent_options=agent_options,
            batch=batch,
            stop=stop,
            exposure_s=exposure_s,
            exposure=exposure,
            min_monitor=min_monitor,
            reduction=reduction,
            mask=mask,
            timeout_s=timeout_s,
            resumes=resumes,
            seen=seen,
            requests=requests,
            also_read=also_read,
            md=md,
        )
    )


def _budget(stop: Any, exposure: Any) -> dict[str, int]:
    """Return the default budget: looks that are short, or end by a rule, may be more."""
    if stop is not None:
        return {"budget": BUDGET_OF_STOP}
    return {} if exposure is None else {"budget": BUDGET_ADAPTIVE}
