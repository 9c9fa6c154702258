"""The faults of the simulated beamline, and how a run with each of them ends."""

from __future__ import annotations

from dataclasses import dataclass

from bl_steer.steering import DetectorDeadError
from devices import DetectorError
from plans.stubs.axes import StageError

AT = 3
"""The measurement that goes wrong."""
BUDGET = 7
GIVES_UP_S = 6.0
"""Of the devices: what a busy computer may stand still without a fault."""
LONGEST_S = 120.0
"""Within which any run ends: it waits for nothing without an end."""


@dataclass(frozen=True)
class Row:
    """A fault and how a run with it ends.

    Parameters
    ----------
    faults : as they are written
    repeated : measurements that cannot be used, and are made again
    alarm : the decision after it carries the alarm
    error, message : that the run stops with
    n_frames : of a point
    """

    faults: tuple[str, ...]
    repeated: tuple[int, ...] = ()
    alarm: bool = False
    error: type[Exception] | None = None
    message: str = ""
    n_frames: int = 1


MATRIX = {
    "motor stalls": Row(
        (f"stall@{AT}:x",), error=StageError, message="stage_x must arrive at .* w"
    ),
    "motor lies": Row((f"lie@{AT}:y=7",), error=StageError, message="stage_y must be at .* got"),
    "motor hits its limit": Row(
        (f"limit@{AT}:x",), error=StageError, message="check its limit switches"
    ),
    "motor is lost": Row(
        (f"disconnect@{AT}:x=0.5",),
        error=StageError,
        message="stage_[xy] must answer while it moves",
    ),
    "detector times out": Row(
        (f"hang@{AT}",), error=DetectorError, message="det must end .* got none ended"
    ),
    "detector tears a frame": Row((f"tear@{AT}",), repeated=(AT,)),
    "detector repeats a frame": Row((f"repeat@{AT}",), repeated=(AT,)),
    "detector repeats for ever": Row(
        (f"repeat@{AT}-99",), error=DetectorDeadError, message="must show new frames, got those of"
    ),
    "detector drops a frame": Row((f"drop@{AT}",), repeated=(AT,), n_frames=5),
    "pixels die": Row((f"dead-pixels@{AT}-99=0.05",), alarm=True),
    "pixels saturate": Row((f"saturate@{AT}=60",), alarm=True),
    "detector is lost": Row(
        (f"disconnect@{AT}=0.5",), error=DetectorError, message="det must answer while it exposes"
    ),
    "detector is lost for ever": Row(
        (f"disconnect@{AT}=1000",), error=DetectorError, message="got no connection to SIM:DET:"
    ),
    "beam dumps to zero": Row((f"dump@{AT}",), repeated=(AT,)),
    "beam dumps to dark current": Row((f"dark@{AT}-{AT + 1}",), repeated=(AT, AT + 1)),
    "beam stays away": Row(
        (f"dark@{AT}-99",), error=DetectorDeadError, message="the monitor must count beam, got too"
    ),
    "beam is away at the start": Row(("dark@0-1",), repeated=(0, 1)),
    "beam dumps in an exposure": Row((f"mid-dump@{AT}",)),
    "beam dumps in a series": Row((f"mid-dump@{AT}",), repeated=(AT,), n_frames=5),
    "ring tops up": Row((f"top-up@{AT}",)),
    "clock jumps ahead": Row((f"clock@{AT}=86400",)),
    "clock jumps back": Row((f"clock@{AT}=-86400",)),
}
