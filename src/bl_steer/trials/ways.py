"""Ways to find the brightest spot, each carried out on a film of hills, with its beam time counted.

All come to the same two times: until A was first measured, at whatever exposure, and until the
report is confirmed in full quality. Motion, settling, exposures and readout are counted, not waited
for; steering is the plan's own loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents import Space, SpaceExhausted
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array
from bl_steer.runs import Points
from bl_steer.runs.readout import Exposure
from bl_steer.steering import DetectorDeadError, build_steering
from bl_steer.trials.beam_numbers import BeamNumbers
from bl_steer.trials.hills import HillyFilm
from plans.stubs.options import DECIDED, rules_of

__all__ = ["CONFIRMED", "Ending", "coarse_space", "flight_exposures", "fly", "raster", "steer_over"]

CONFIRMED = 8
"""Spots that a flown map looks at again."""
APART = 1.5
"""Steps that these are apart, as in `plans.fly_map`."""
BUDGET = 200
"""Of `plans.find_hotspot` with a rule to stop by."""
FLIGHTS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Exposures of a frame in flight that are tried."""
CELLS_A_WIDTH = (6.0, 5.0, 4.0)
USUAL, MOST = 1000, 2000
"""Cells that steering is simulated on: of a finer grid so many a width, the fewer the more there
are; above the second number it is not simulated."""


@dataclass(frozen=True)
class Ending:
    """How one way ended on one film."""

    first_s: float
    """Beam time until A was first measured; infinite: never."""
    confirmed_s: float
    """Until the report is confirmed in full quality; infinite: it never is."""
    is_right: bool
    """Whether what is reported counts as A at that time."""

    def within(self, hours: float) -> Ending:
        """Return what it is worth in so many hours."""
        first, confirmed = (
            t if t <= 3600.0 * hours else math.inf for t in (self.first_s, self.confirmed_s)
        )
        return Ending(first, confirmed, self.is_right and math.isfinite(confirmed))


def _first(film: HillyFilm, places: Array, ends_s: Array) -> float:
    hits = film.is_A(places, ends_s)
    return float(ends_s[int(np.argmax(hits))]) if hits.any() else math.inf


def raster(film: HillyFilm, rng: np.random.Generator) -> Ending:
    """Measure every cell in full; the report is the brightest."""
    numbers = film.numbers
    places = film.space.snake()
    ways = np.abs(np.diff(places, axis=0, prepend=places[:1])).max(axis=1)
    each_s = numbers.move_s(ways) + numbers.full_s + numbers.besides_s
    ends_s = np.cumsum(each_s)
    middles_s = ends_s - 0.5 * (numbers.full_s + numbers.besides_s)
    counts = rng.poisson(film.all_cells(middles_s) * numbers.count_rate * numbers.full_s)
    reported = places[[int(np.argmax(counts))]]
    right = bool(film.is_A(reported, ends_s[-1])[0])
    return Ending(_first(film, places, ends_s), float(ends_s[-1]), right)


def flight_exposures(numbers: BeamNumbers) -> list[float]:
    """Return the exposures of a frame in flight that detector and stage allow, ascending, s."""
    slowest = max(
        float(numbers.least_s or 0.0), numbers.steps[0] / float(numbers.speed or math.nan)
    )
    return sorted({slowest, *(t for t in FLIGHTS_S if slowest < t < numbers.exposure_s)})


def fly(film: HillyFilm, exposure_s: float, rng: np.random.Generator) -> Ending:
    """Fly over the rows with one frame a cell, then look at the brightest in full, in a row."""
    numbers = film.numbers
    nx, ny = numbers.shape
    places = film.space.snake()
    # To the next row and half a step ahead of its first cell; then over it, and settle again.
    turn_s = float(numbers.move_s(max(numbers.steps[0], numbers.steps[1])))
    row_s = turn_s + nx * exposure_s + numbers.settling_s + numbers.readout_s
    cells, rows = np.arange(nx), np.arange(ny)
    ends_s = (rows[:, None] * row_s + turn_s + (cells + 1) * exposure_s).ravel()
    seen = film.all_cells(ends_s - 0.5 * exposure_s)
    chosen = _apart(film.space, places, rng.poisson(seen * numbers.count_rate * exposure_s))
    spots = places[chosen]
    ways = np.abs(np.diff(np.vstack([places[-1:], spots]), axis=0)).max(axis=1)
    each_s = numbers.move_s(ways) + numbers.full_s + numbers.besides_s
    looked_s = ny * row_s + np.cumsum(each_s)
    bright = film.brightness(spots, looked_s - 0.5 * numbers.full_s)
    best = int(np.argmax(rng.poisson(bright * numbers.count_rate * numbers.full_s)))
    right = bool(film.is_A(spots[[best]], looked_s[-1])[0])
    first_s = min(_first(film, places, ends_s), _first(film, spots, looked_s))
    return Ending(first_s, float(looked_s[-1]), right)


def _apart(space: Space, places: Array, counts: NDArray[Any]) -> list[int]:
    chosen: list[int] = []
    for cell in np.argsort(-counts, kind="stable").tolist():
        steps = np.abs(places[chosen] - places[cell]) / space.steps
        if (steps.max(axis=1, initial=0.0) > APART).all():
            chosen.append(cell)
        if len(chosen) == CONFIRMED:
            break
    return chosen


def coarse_space(numbers: BeamNumbers) -> Space | None:
    """Return the cells that steering is simulated on; None where they would be too many."""
    width, (low, high) = float(numbers.width or math.nan), numbers.space.bounds
    shape = [MOST, MOST]
    for cells in CELLS_A_WIDTH:
        if math.prod(shape) > USUAL:
            needed = np.ceil((high - low) / width * cells).astype(int) + 1
            shape = np.minimum(numbers.shape, needed).tolist()
    if math.prod(shape) > MOST:
        return None
    x, y = (np.linspace(a, b, n) for a, b, n in zip(low, high, shape, strict=True))
    return Space.grid(x, y)


def steer_over(film: HillyFilm, space: Space, seed: int, *, adaptive: bool) -> Ending:
    """Let the agent search until the rule to stop by is met, and confirm."""
    numbers = film.numbers
    budget = min(BUDGET, len(space))
    looks = {"full_s": numbers.full_s, "least_s": numbers.frames * float(numbers.least_s or 0.0)}
    settings = {
        "target": "field:counts",
        "agent": "bayesian",
        "agent_options": {},
        "seed": seed,
        "budget": budget,
        "grid": space.to_dict(),
        "stop": f"W={numbers.width!r}",
        **rules_of(None, DECIDED),
        "looks": looks if adaptive else None,
    }
    steering = build_steering(settings, FrameAxes.channels((1, 1)))
    rng = np.random.default_rng([numbers.seed, seed, int(adaptive)])
    points, here = Points(), space.points[0]
    now, first_s, move_s, expose_s = 0.0, math.inf, math.nan, math.nan
    while steering.n_observed < budget and not steering.is_over and now <= 3600.0 * numbers.hours:
        try:
            decision = steering.decide(move_s=move_s, expose_s=expose_s)
        except SpaceExhausted:  # or confirmed what it found
            break
        place = np.array([[decision.x, decision.y]])
        exposure_s = decision.exposure_s if adaptive else numbers.full_s
        move_s = float(numbers.move_s(np.abs(place - here).max()))
        expose_s = exposure_s + numbers.besides_s
        here, now = place[0], now + move_s + expose_s
        if math.isinf(first_s) and film.is_A(place, now)[0]:
            first_s = now
        bright = film.brightness(place, now - 0.5 * expose_s)[0]
        counts = float(rng.poisson(bright * numbers.count_rate * exposure_s))
        frame = np.full((1, 1, 1), counts)
        try:
            steering.observe(points.take([Exposure(frame, share=exposure_s / numbers.full_s)]))
        except DetectorDeadError:  # too few counts for any agent
            return Ending(first_s, math.inf, False)
    best = steering.report()
    if not best.confirmed:
        return Ending(first_s, math.inf, False)
    return Ending(first_s, now, bool(film.is_A(np.array([[best.x, best.y]]), now)[0]))
