"""What a simulated FIB-SEM remembers while no process drives it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bl_steer.files.atomic import write_whole

__all__ = ["FibSemState"]


@dataclass(frozen=True)
class FibSemState:
    """Where the instrument is: the face, the two beams, and which specimen is inside."""

    family: str
    seed: int
    shape: tuple[int, int]
    z_nm: float
    """True depth of the face."""
    wander_um: float
    """Of the focus."""
    face: int
    """Number of the cut that made the face."""
    exposures: int
    """Of this face."""
    drift_nm: tuple[float, float]
    mill_depth_nm: float
    """As the mill reports it."""
    n_cuts: int
    working_distance_mm: float
    beam_shift_nm: tuple[float, float]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote; `ValueError` for anything else."""
        try:
            values = dict(json.loads(path.read_text()))
            read: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
            }
            return cls(**read)
        except (OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"the state of a simulated FIB-SEM must be readable, got {error} in {path}; remove "
                "the file to begin anew"
            ) from error

    def write(self, path: Path) -> None:
        """Write the state as a whole: a process that is killed leaves this one or the last."""
        write_whole(path, json.dumps(asdict(self), indent=1).encode())
