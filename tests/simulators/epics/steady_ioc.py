"""A soft IOC whose film has no faults of its own, and that keeps a record of where the stage was.

Usage: steady_ioc.py PREFIX SPEEDUP [LOG]

LOG gets a row for each millisecond at which the stage moved: x, y.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from simulators.epics import MotorRecord, ioc, process_variables, serve
from simulators.film import sige_film
from simulators.film.faults import Faults
from simulators.film.sige_film import SigeFilm

QUIET = ("DRIFT", "TOP_UP_LOSS", "DEAD_PROBABILITY", "ZINGER_PROBABILITY")
MOTORS: dict[str, MotorRecord] = {}
"""The IOC's motor records by name."""


class KnownMotor(MotorRecord):
    """A motor record that is known by its name."""

    def __init__(self, *arguments: Any, name: str, **options: Any) -> None:
        super().__init__(*arguments, name=name, **options)
        MOTORS[name] = self


async def log_positions(path: str) -> None:
    """Write down where both motors are at the same moment, a thousand times a second."""
    latest = None
    x, y = MOTORS["x"], MOTORS["y"]
    with open(path, "a", buffering=1) as file:
        while True:
            now_s = x._time.elapsed_s
            where = x.position_at(now_s), y.position_at(now_s)
            if where != latest:
                file.write(f"{where[0]:.6f} {where[1]:.6f}\n")
                latest = where
            await asyncio.sleep(0.001)


def main(prefix: str, speedup: str, log: str = "") -> None:
    ioc.MotorRecord = KnownMotor  # type: ignore[misc]
    for quiet in QUIET:  # in this process alone
        setattr(sige_film, quiet, 0.0)
    faults = Faults()
    channels = process_variables(
        SigeFilm("smooth", seed=1), prefix=prefix, speedup=float(speedup), exposure_s=1.0,
        faults=faults,
    )  # fmt: skip
    tasks = []

    def on_ready() -> None:
        if log:
            tasks.append(asyncio.ensure_future(log_positions(log)))
        print("READY", flush=True)

    serve(channels, on_ready=on_ready, faults=faults)


if __name__ == "__main__":
    main(*sys.argv[1:])
