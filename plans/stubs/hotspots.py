"""What a search comes to: the spot that it reports, and how sure it is of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from bluesky.utils import Msg, MsgGenerator

from bl_steer.protocols import Array
from bl_steer.steering import DetectorDeadError, FrontSpot, JointSteering, Steering, StopRule
from plans.stubs.messages import carried_out
from plans.stubs.points import PointReader

__all__ = ["OF_EXPOSURE", "OF_STOP", "OF_TARGETS", "Hotspot", "hotspot_of", "with_reason"]

OF_EXPOSURE = ("exposure_s", "confirmed", "p_right")
"""What only a run whose agent chooses exposure times records."""
OF_TARGETS = ("target",)
"""What only a run with several targets records."""
OF_STOP = ("hidden_width", "p_hidden", "p_better")
"""What only a run with a rule `stop` records."""


@dataclass(frozen=True)
class Hotspot:
    """The spot that a run reports, the one row of its stream ``result``."""

    best_x: float
    best_y: float
    """NaN where there is no such axis, as ``best_z``."""
    best_value: float
    """Objective there, in counts: the model's mean, or what was measured if the agent has none."""
    best_sd: float
    n_measured: int
    """Measurements, invalid ones included."""
    n_invalid: int
    basis_version: int
    stop_reason: str
    """``"budget"``, ``"exhausted"`` (every cell is measured), ``"stop"`` (the rule is met),
    ``"user"`` (who ended the search) or ``"interrupted"``, by the user or by a failure."""
    move_s: float
    """Time of the last point's motion, s."""
    expose_s: float
    outcomes: Array = field(repr=False)
    """Outcome of every point under the last basis, shape (budget,), NaN for invalid ones."""
    best_z: float = math.nan
    remark: str = ""
    """What is odd about the outcomes, see `bl_steer.steering.remark_on`; empty where nothing is."""
    hidden_width: float = math.nan
    """Hills narrower than this, full width at half maximum in the axes' units, could still hide
    with more than the probability of the rule `stop`; NaN without a rule."""
    p_hidden: float = math.nan
    """That the best spot is on a hill, as wide as the rule says, that was not seen."""
    p_better: float = math.nan
    """That there is a better spot, for that reason or by the model."""
    confirmed: bool = True
    """Whether the spot was looked at for the full exposure time, in all."""
    p_right: float = math.nan
    """That it is the right one, of 95 % of the brightest one's value or beside it; NaN where the
    agent does not choose exposure times."""
    target: str = ""
    """Of several the one that this is the spot of; empty for one target alone."""
    others: tuple[Hotspot, ...] = field(default=(), repr=False)
    """The spots of the other targets, a row of their own each in the stream."""
    front: tuple[FrontSpot, ...] = field(default=(), repr=False)
    """Of a search by `pareto` the places that no other one beats, rows of the stream ``front``."""


def hotspot_of(steering: Steering | JointSteering, reader: PointReader) -> Hotspot:
    """Return what a search has come to; takes what its last point gave."""
    with suppress(DetectorDeadError):  # the run ends for another reason already
        result = reader.take()
        if result is not None:
            steering.observe(result)
    if isinstance(steering, Steering):
        return _spot(steering, reader, steering.stop_reason())
    first, *others = [
        replace(_spot(loop, reader, steering.stop_reason()), target=target)
        for loop, target in zip(steering.loops, steering.targets, strict=True)
    ]
    front = steering.front().rows(steering.space.names) if steering.pareto else ()
    return replace(first, others=tuple(others), front=tuple(front))


def _spot(steering: Steering, reader: PointReader, stop_reason: str) -> Hotspot:
    best, outlook = steering.report(), steering.outlook
    return Hotspot(
        best_x=best.x,
        best_y=best.y,
        best_value=best.value,
        best_sd=best.sd,
        n_measured=steering.n_observed,
        n_invalid=reader.n_invalid,
        basis_version=steering.feature.version,
        stop_reason=stop_reason,
        move_s=reader.timing.move_s,
        expose_s=reader.timing.expose_s,
        outcomes=steering.outcomes(),
        best_z=best.z,
        remark=reader.misgivings.tell_outcomes(steering.outcomes()),
        hidden_width=steering.hidden_width,
        p_hidden=math.nan if outlook is None else outlook.p_hidden,
        p_better=math.nan if outlook is None else outlook.p_better,
        confirmed=best.confirmed,
        p_right=best.p_right,
    )


def with_reason(
    run: MsgGenerator[None], rule: str | None, hotspots: Sequence[Any], units: Sequence[str] = ()
) -> MsgGenerator[None]:
    """Carry out a run, and say in its stop document that the rule or the user ended it.

    Parameters
    ----------
    hotspots : what the run has come to, once it has
    units : of the axes, as far as they are known
    """

    def send(msg: Msg) -> MsgGenerator[object]:
        spot = hotspots[-1] if hotspots else None
        why = spot.stop_reason if msg.command == "close_run" and spot is not None else ""
        if spot is not None and why in ("stop", "user"):
            told = "the user ended the search"
        if spot is not None and why == "stop" and rule is not None:
            spots = (spot, *getattr(spot, "others", ()))
            hidden = max(s.hidden_width for s in spots)
            told = (
                f"{rule}: there is a better spot with a probability of "
                f"{max(s.p_better for s in spots):.2g}; hills narrower than "
                f"{StopRule.parse(rule).told_width(hidden, units)} could hide with more than p"
            )
        if why in ("stop", "user"):
            msg = msg._replace(kwargs={**msg.kwargs, "reason": msg.kwargs.get("reason") or told})
        return (yield msg)

    yield from carried_out(run, send)
