"""What a search comes to: the spot that it reports, and how sure it is of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bluesky.utils import Msg, MsgGenerator

from bl_steer.protocols import Array
from bl_steer.steering import DetectorDeadError, Steering
from plans.stubs.messages import carried_out
from plans.stubs.points import PointReader

__all__ = ["OF_EXPOSURE", "OF_STOP", "Hotspot", "hotspot_of", "with_reason"]

OF_EXPOSURE = ("exposure_s", "confirmed")
"""What only a run whose agent chooses exposure times records."""
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
    """``"budget"``, ``"exhausted"`` (every cell is measured), ``"stop"`` (the rule is met) or
    ``"interrupted"``, by the user or by a failure."""
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


def hotspot_of(steering: Steering, reader: PointReader) -> Hotspot:
    """Return what a search has come to; takes what its last point gave."""
    with suppress(DetectorDeadError):  # the run ends for another reason already
        result = reader.take()
        if result is not None:
            steering.observe(result)
    best, outlook = steering.report(), steering.outlook
    return Hotspot(
        best_x=best.x,
        best_y=best.y,
        best_value=best.value,
        best_sd=best.sd,
        n_measured=steering.n_observed,
        n_invalid=reader.n_invalid,
        basis_version=steering.feature.version,
        stop_reason=steering.stop_reason(),
        move_s=reader.timing.move_s,
        expose_s=reader.timing.expose_s,
        outcomes=steering.outcomes(),
        best_z=best.z,
        remark=reader.misgivings.tell_outcomes(steering.outcomes()),
        hidden_width=steering.hidden_width,
        p_hidden=math.nan if outlook is None else outlook.p_hidden,
        p_better=math.nan if outlook is None else outlook.p_better,
        confirmed=best.confirmed,
    )


def with_reason(
    run: MsgGenerator[None], rule: str | None, hotspots: Sequence[Any]
) -> MsgGenerator[None]:
    """Carry out a run, and say in its stop document that the rule has ended it, if it has.

    Parameters
    ----------
    hotspots : what the run has come to, once it has
    """

    def send(msg: Msg) -> MsgGenerator[object]:
        spot = hotspots[-1] if hotspots else None
        if msg.command == "close_run" and spot is not None and spot.stop_reason == "stop":
            told = (
                f"{rule}: there is a better spot with a probability of {spot.p_better:.2g}; hills "
                f"narrower than {spot.hidden_width:.3g} could hide with more than p"
            )
            msg = msg._replace(kwargs={**msg.kwargs, "reason": msg.kwargs.get("reason") or told})
        return (yield msg)

    yield from carried_out(run, send)
