"""Before the beam: what each way to find the brightest spot would take, with the user's numbers.

The ways are those of `bl_steer.trials.ways`, each carried out on the same simulated films. Trials
on films of physics are in `bl_steer.trials.trial`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv

from bl_steer.agents import Space
from bl_steer.plotting.plans import duration
from bl_steer.progress import significant
from bl_steer.trials.beam_numbers import BeamNumbers
from bl_steer.trials.hills import RIVALS, HillyFilm
from bl_steer.trials.ways import (
    CONFIRMED,
    Ending,
    coarse_space,
    flight_exposures,
    fly,
    raster,
    steer_over,
)

__all__ = ["PATIENCE_S", "BeamNumbers", "Way", "plan_beam_time"]

PATIENCE_S = 11.0
"""CPU time of the simulations; at least `LEAST_FILMS` films are searched."""
FOR_MAPS = 0.25
"""Share of it for rasters and flights."""
LEAST_FILMS, MOST_FILMS = 2, 60
PERCENTILES = (50, 75, 95)
RIGHT = 0.95
"""Share of films on which a way must report A to be taken for its speed."""
HOPELESS = 0.5
"""Share below which no way is recommended."""
FIXED, ADAPTIVE = "steering, full exposure", "steering, adaptive exposure"
TELL_APART = 3.0
"""Standard deviations by which A must outshine its best rival at full exposure."""


@dataclass(frozen=True)
class Way:
    """What one way to measure came to on the simulated films."""

    name: str
    command: str
    """What carries it out, at the prompt of a session."""
    first_s: list[float]
    """Beam time until A was first measured, at `PERCENTILES`; infinite: not in the hours left."""
    confirmed_s: list[float]
    """Beam time until the report was confirmed in full quality, at `PERCENTILES`."""
    right: float
    """Share of the films on which A was what was reported in the hours left."""
    right_at_least: float
    """Its lower bound with 95 % confidence: Clopper & Pearson 1934, doi 10.1093/biomet/26.4.404."""
    films: int
    note: str = ""
    """Why it is out of the race, or None of its films was simulated."""


def plan_beam_time(numbers: BeamNumbers, *, patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Return what each way would take, and which one to take, as ``bl-steer plan --json`` has it.

    Parameters
    ----------
    patience_s : CPU time of the simulations; how many films there are follows from it

    Raises
    ------
    ValueError
        For numbers that contradict each other, see `BeamNumbers.complete`.
    """
    if not 0.0 <= patience_s < math.inf:
        raise ValueError(
            f"patience_s must be a time of 0 s or more, got {patience_s:g} s; try {PATIENCE_S:g}"
        )
    numbers = numbers.complete()
    space = numbers.space
    rastered, flights = _mapped(numbers, space, FOR_MAPS * patience_s)
    flight_s, flown = min(flights.items(), key=lambda item: _rank(numbers, item[1]))
    searched = _searched(numbers, space, (1.0 - FOR_MAPS) * patience_s)
    endings = [rastered, flown, searched[False], searched[True]]
    ways = [
        _way(numbers, *way, found)
        for way, found in zip(_written(numbers, flight_s), endings, strict=True)
    ]
    best = _recommended(ways)
    shown = numbers.model_dump(exclude={"seed"})
    return {
        "numbers": {**shown, "seed": numbers.seed, "cells": len(space)},
        "assumed": list(numbers.assumed),
        "remarks": _remarks(numbers),
        "percentiles": list(PERCENTILES),
        "ways": [asdict(way) for way in ways],
        "recommended": None if best is None else best.name,
        "reason": _reason(numbers, best, ways),
        "command": None if best is None else best.command,
    }


def _film(numbers: BeamNumbers, space: Space, film: int) -> HillyFilm:
    return HillyFilm(numbers, np.random.default_rng([numbers.seed, film]), space)


def _films(patience_s: float) -> Iterator[int]:
    """Yield the numbers of films while there is CPU time, which counts once one is done."""
    until = math.inf
    for film in range(MOST_FILMS):
        if film >= LEAST_FILMS and time.process_time() > until:
            return
        yield film
        if film == 0:  # which has loaded what the agent needs
            until = time.process_time() + patience_s


def _mapped(
    numbers: BeamNumbers, space: Space, patience_s: float
) -> tuple[list[Ending], dict[float, list[Ending]]]:
    """Return how rasters ended, and flights by the exposure of a frame."""
    rastered: list[Ending] = []
    flights: dict[float, list[Ending]] = {t: [] for t in flight_exposures(numbers)}
    for i in _films(patience_s):
        film, rng = _film(numbers, space, i), np.random.default_rng([numbers.seed, i, 1])
        rastered.append(raster(film, rng))
        for exposure_s, flown in flights.items():
            flown.append(fly(film, exposure_s, rng))
    return rastered, flights


def _searched(numbers: BeamNumbers, space: Space, patience_s: float) -> dict[bool, list[Ending]]:
    """Return how steering ended, by whether it adapts."""
    endings: dict[bool, list[Ending]] = {False: [], True: []}
    cells = coarse_space(numbers)
    if cells is None:
        return endings
    for i in _films(patience_s):
        for adaptive, known in endings.items():
            known.append(steer_over(_film(numbers, space, i), cells, i, adaptive=adaptive))
    return endings


def _written(numbers: BeamNumbers, flight_s: float) -> list[tuple[str, str, str]]:
    """Return name, command and note of each way."""
    n, full = numbers.frames, f"{numbers.exposure_s:g}"
    spans = (
        {"start": 0, "stop": float(f"{step * (count - 1):.10g}"), "num": count}
        for step, count in zip(numbers.steps, numbers.shape, strict=True)
    )
    grid = json.dumps(dict(zip("xy", spans, strict=True)))
    stub = "rocking_scan" if numbers.turn_s else "rocking_sweep"
    scan = "" if n == 1 else f", per_point={stub}(diffractometer.eta, -1, 1, {n})"
    common = f"det, stage, monitor=monitor, grid={grid}"
    search = f'RE(find_hotspot({common}, stop="W={numbers.width:g}", exposure_s={full}'
    looks = '"adaptive"' if "least_s" in numbers.assumed else f'{{"least_s": {numbers.least_s:g}}}'
    unseen = "not simulated: hills so narrow take more points than steering is for"
    out = unseen if coarse_space(numbers) is None else ""
    rocked = "needs one frame without rocking to be enough" if n > 1 else ""
    flight = (
        f"RE(fly_map({common}, exposure_s={flight_s:g}, confirm={CONFIRMED}, "
        f"confirm_exposure_s={numbers.full_s:g}))"
    )
    return [
        ("raster", f"RE(map_sample({common}, exposure_s={full}{scan}))", ""),
        ("flight, confirmed", flight, rocked),
        (FIXED, f"{search}{scan}))", out),
        (ADAPTIVE, f"{search}, exposure={looks}{scan}))", out),
    ]


def _way(numbers: BeamNumbers, name: str, command: str, note: str, endings: list[Ending]) -> Way:
    within = [ending.within(numbers.hours) for ending in endings]
    n, right = len(within), sum(ending.is_right for ending in within)
    return Way(
        name,
        command,
        _percentiles([ending.first_s for ending in within]),
        _percentiles([ending.confirmed_s for ending in within]),
        right / max(n, 1),
        float(betaincinv(right, n - right + 1, 0.05)) if right else 0.0,
        n,
        note,
    )


def _percentiles(times: list[float]) -> list[float]:
    if not times:
        return [math.inf] * len(PERCENTILES)
    return [float(v) for v in np.percentile(times, PERCENTILES, method="higher")]


def _rank(numbers: BeamNumbers, endings: list[Ending]) -> tuple[float, float, float]:
    """Return what orders ways: right often enough and early, else right often."""
    return _order(_way(numbers, "", "", "", endings))


def _order(way: Way) -> tuple[float, float, float]:
    short_of = max(RIGHT - way.right, 0.0)
    return short_of, way.confirmed_s[1], way.confirmed_s[0]


def _recommended(ways: list[Way]) -> Way | None:
    best = min((way for way in ways if not way.note), key=_order)
    return best if best.right >= HOPELESS else None


def _reason(numbers: BeamNumbers, best: Way | None, ways: list[Way]) -> str:
    left_out = "; ".join(f"{way.name}: {way.note}" for way in ways if way.note)
    beside = f" ({left_out})" if left_out else ""
    if best is None:
        return (
            f"no way reports A on half of the films within {numbers.hours:g} h; {_remedy(numbers)}"
            f"{beside}"
        )
    told = (
        f"its report is confirmed after {duration(best.confirmed_s[1])} on three films of four, "
        f"and right on {round(best.right * best.films)} of {best.films} (with 95 % confidence on "
        f"{100 * best.right_at_least:.0f} % or more)"
    )
    if best.right < RIGHT:
        return f"{told}, most often of all; {_remedy(numbers)} to miss it less often{beside}"
    enough = f"the first of those that are right on {100 * RIGHT:.0f} % or more"
    return f"{told}; {enough}{beside}{_sooner(best, ways)}"


def _sooner(best: Way, ways: list[Way]) -> str:
    """Return what is confirmed earlier, and how often it was right."""
    told = [
        f"{way.name}, {duration(way.confirmed_s[1])}, right on {round(way.right * way.films)} of "
        f"{way.films}"
        for way in ways
        if way.confirmed_s[1] < best.confirmed_s[1] and not way.note
    ]
    return f"; sooner, and less often right: {'; '.join(told)}" if told else ""


def _remedy(numbers: BeamNumbers) -> str:
    if _counts(numbers) < _needed():
        return f"expose for {significant(_exposure_needed(numbers), 2)} s"
    return "take a coarser pitch, a part of the sample, or more hours"


def _counts(numbers: BeamNumbers) -> float:
    return numbers.count_rate * numbers.full_s


def _needed() -> float:
    """Return the counts at A from which on its best rival is told apart: (1-r)N = z√(N + rN)."""
    rival = RIVALS[1]
    return TELL_APART**2 * (1.0 + rival) / (1.0 - rival) ** 2


def _exposure_needed(numbers: BeamNumbers) -> float:
    return _needed() / (numbers.count_rate * numbers.frames)


def _remarks(numbers: BeamNumbers) -> list[str]:
    """Return what a user would want to know of these numbers, whatever is recommended."""
    remarks = []
    if (counts := _counts(numbers)) < _needed():
        remarks.append(
            f"{significant(counts, 3)} counts of a point in full at the brightest tell no rival of "
            f"{100 * RIVALS[1]:.0f} % from it: exposures of "
            f"{significant(_exposure_needed(numbers), 2)} s would"
        )
    slowest = numbers.steps[0] / float(numbers.speed or math.nan)
    if slowest > numbers.exposure_s:
        remarks.append(
            f"the stage takes {significant(slowest, 3)} s from cell to cell, longer than an "
            "exposure: a flight exposes that long"
        )
    if numbers.drift:
        moved = numbers.drift * _raster_s(numbers) / 3600.0
        remarks.append(
            f"the sample drifts by {significant(moved, 3)} {numbers.symbol} while a raster is "
            "measured: a report counts as right where A is when it comes"
        )
    return remarks


def _raster_s(numbers: BeamNumbers) -> float:
    each = numbers.move_s(numbers.steps[0]) + numbers.full_s + numbers.besides_s
    return float(len(numbers.space) * each)
