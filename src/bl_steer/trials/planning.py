"""Before the beam: what each way to find the brightest spot would take, with the user's numbers.

Films of random hills, as wide as the width that matters, are searched by the agent itself; moves,
settling, exposures and readout are counted, not waited for. Trials on films of physics are in
`bl_steer.trials.trial`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from bl_steer.agents import Space, SpaceExhausted
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array
from bl_steer.runs import Points
from bl_steer.runs.readout import Exposure
from bl_steer.steering import DetectorDeadError, build_steering

__all__ = ["BeamNumbers", "Outcome", "plan_beam_time"]

PATIENCE_S = 10.0
"""Wall-clock time of the simulations; at least `LEAST_FILMS` are searched."""
LEAST_FILMS, MOST_FILMS, MOST_POINTS = 4, 60, 120
PERCENTILES = (25, 50, 75, 95)
MOST_MISSED = 0.05
FLIGHTS_S = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Exposures of a frame in flight that are tried."""
CONFIRMED = 8
GROUND = 0.07
RIVALS = (0.70, 0.86)
"""Heights of ground and rival hills over that of the brightest, as on the simulated films."""
AREA_OF_HILL = 7.0
"""Square widths of the sample to each hill, as there."""


class BeamNumbers(BaseModel):
    """The numbers of a beam time. Lengths are in the axes' units."""

    grid: str = Field("31x31", description="cells along x and y")
    pitch: float = Field(5.0, gt=0, description="distance of the cells")
    width: float = Field(20.0, gt=0, description="FWHM of the narrowest hill that matters")
    exposure_s: float = Field(10.0, gt=0, description="exposure of a frame in full quality, s")
    frames: int = Field(1, ge=1, description="frames of a point, as of a rocking scan")
    count_rate: float = Field(100.0, gt=0, description="counts/s at the brightest spot")
    speed: float = Field(50.0, gt=0, description="of the stage, units/s")
    settling_s: float = Field(0.9, ge=0, description="to settle after a move, s")
    readout_s: float = Field(0.2, ge=0, description="to read out a frame, s")
    hours: float = Field(8.0, gt=0, description="hours of beam left")
    seed: int = Field(0, ge=0, description="of the simulated films")

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along x and y."""
        parts = self.grid.lower().split("x")
        if len(parts) != 2 or not all(p.isdigit() and 2 <= int(p) <= 200 for p in parts):
            raise ValueError(
                f"grid must be cells along x and y, 2 to 200 each, got {self.grid!r}; try 31x31"
            )
        return int(parts[0]), int(parts[1])

    @property
    def space(self) -> Space:
        """The grid."""
        nx, ny = self.shape
        return Space.grid(self.pitch * np.arange(nx), self.pitch * np.arange(ny))

    @property
    def full_s(self) -> float:
        """Exposure of a point in full quality, s."""
        return self.exposure_s * self.frames

    def point_s(self, step: float, exposure_s: float) -> float:
        """Return what a point takes after a step of this length, s."""
        return step / self.speed + self.settling_s + exposure_s + self.readout_s * self.frames


@dataclass(frozen=True)
class Outcome:
    """What one way to measure came to on the simulated films."""

    name: str
    command: str
    """What carries it out, at the prompt of a session."""
    percentiles_s: list[float]
    """Beam time until A is found at the 25th, 50th, 75th and 95th percentile; infinite: missed."""
    p_missed: float
    """Share of the films on which A was not found in the hours left."""
    films: int
    note: str = ""


def plan_beam_time(numbers: BeamNumbers, *, patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Return what each way would take, and which one to take, as ``bl-steer plan --json`` has it.

    Parameters
    ----------
    patience_s : wall-clock time of the simulations; the number of films follows from it
    """
    space, until = numbers.space, math.inf
    times: dict[str, list[float]] = {"raster": [], "fixed": [], "adaptive": []}
    flights: dict[float, list[float]] = {t: [] for t in FLIGHTS_S}
    for film in range(MOST_FILMS):
        if film >= LEAST_FILMS and time.monotonic() > until:
            break
        rng = np.random.default_rng([numbers.seed, film])
        truth = _hills(space, numbers.width, rng)
        times["raster"].append(_raster_s(numbers, space, truth))
        for exposure_s, flown in flights.items():
            flown.append(_flight_s(numbers, space, truth, exposure_s, rng))
        for name in ("fixed", "adaptive"):
            times[name].append(_search_s(numbers, space, truth, name == "adaptive", film))
        if film == 0:  # which has loaded what the agent needs
            until = time.monotonic() + patience_s
    flight_s = min(flights, key=lambda t: (np.percentile(flights[t], 75, method="higher"), t))
    outcomes = _outcomes(numbers, times, flights[flight_s], flight_s)
    best = _recommended(numbers, outcomes)
    return {
        "numbers": numbers.model_dump(),
        "percentiles": list(PERCENTILES),
        "ways": [asdict(outcome) for outcome in outcomes],
        "recommended": best.name,
        "reason": _reason(best, outcomes),
        "command": best.command,
    }


def _outcomes(
    numbers: BeamNumbers, times: dict[str, list[float]], flown: list[float], flight_s: float
) -> list[Outcome]:
    (nx, ny), p, full = numbers.shape, numbers.pitch, numbers.exposure_s
    grid = (
        f'grid={{"x": {{"start": 0, "stop": {p * (nx - 1):g}, "num": {nx}}}, '
        f'"y": {{"start": 0, "stop": {p * (ny - 1):g}, "num": {ny}}}}}'
    )
    scan = (
        ""
        if numbers.frames == 1
        else f", per_point=rocking_scan(diffractometer.eta, -1, 1, {numbers.frames})"
    )
    common = f"det, stage, monitor=monitor, {grid}"
    search = f'RE(find_hotspot({common}, stop="W={numbers.width:g}", exposure_s={full:g}'
    ways = [
        ("raster", f"RE(map_sample({common}, exposure_s={full:g}{scan}))", times["raster"], ""),
        (
            "fast raster",
            f"RE(fly_map({common}, exposure_s={flight_s:g}, confirm={CONFIRMED}, "
            f"confirm_exposure_s={numbers.full_s:g}))",
            flown,
            "needs one frame without rocking to be enough" if numbers.frames > 1 else "",
        ),
        ("steering, fixed exposure", f"{search}{scan}))", times["fixed"], ""),
        (
            "steering, adaptive exposure",
            f'{search}, exposure="adaptive"{scan}))',
            times["adaptive"],
            "",
        ),
    ]
    return [_outcome(numbers, *way) for way in ways]


def _outcome(
    numbers: BeamNumbers, name: str, command: str, times: list[float], note: str
) -> Outcome:
    in_time = np.where(np.array(times) <= 3600.0 * numbers.hours, times, np.inf)
    return Outcome(
        name,
        command,
        [float(v) for v in np.percentile(in_time, PERCENTILES, method="higher")],
        float(np.isinf(in_time).mean()),
        len(times),
        note,
    )


def _recommended(numbers: BeamNumbers, outcomes: list[Outcome]) -> Outcome:
    fit = [o for o in outcomes if not o.note]
    sure = [o for o in fit if o.p_missed <= MOST_MISSED]
    if sure:
        return min(sure, key=lambda o: (o.percentiles_s[2], o.percentiles_s[1]))
    return min(fit, key=lambda o: (o.p_missed, o.percentiles_s[1]))


def _reason(best: Outcome, outcomes: list[Outcome]) -> str:
    if best.p_missed > MOST_MISSED:
        return f"it misses A least often in the hours left, on {100 * best.p_missed:.0f} % of films"
    left_out = "; ".join(f"the {o.name} {o.note}" for o in outcomes if o.note)
    told = (
        f"it has found A on three films of four after {best.percentiles_s[2] / 60:.1f} min, before "
        f"the others, and missed it on {100 * best.p_missed:.0f} %"
    )
    return told + (f" ({left_out})" if left_out else "")


def _hills(space: Space, width: float, rng: np.random.Generator) -> Array:
    """Return a film, shape (n,): the brightest hill is 1 high, and up to a quarter wider."""
    extent = space.bounds[1] - space.bounds[0]
    n = 1 + int(np.clip(extent.prod() / (AREA_OF_HILL * width**2), 0, 30))
    heights = np.append(1.0, rng.uniform(*RIVALS, n - 1))
    centres = space.bounds[0] + rng.uniform(0.05, 0.95, (n, 2)) * extent
    widths = width * rng.uniform(1.0, 1.25, n)
    squared = ((space.points[:, None] - centres) ** 2).sum(axis=-1) / widths**2
    film = (np.exp(-4.0 * math.log(2.0) * squared) * heights).max(axis=1)
    return np.asarray(GROUND + (1.0 - GROUND) * film)


def _finds(space: Space, truth: Array) -> Callable[[Array], Array]:
    """Return what says which places, (n, 2), count as A: within a pitch, or 95 % as bright."""
    best = space.points[int(np.argmax(truth))]
    bright = space.points[truth >= 0.95 * truth.max()]
    places = np.vstack([bright, best[None]])

    def found(positions: Array) -> Array:
        near = np.linalg.norm(positions - best, axis=1) <= space.pitch * (1 + 1e-9)
        same = (np.abs(positions[:, None] - places) < 1e-9).all(axis=-1).any(axis=1)
        return np.asarray(near | same)

    return found


def _raster_s(numbers: BeamNumbers, space: Space, truth: Array) -> float:
    snake = space.snake()
    first = int(np.argmax(_finds(space, truth)(snake)))
    return (first + 1) * numbers.point_s(numbers.pitch, numbers.full_s)


def _flight_s(
    numbers: BeamNumbers, space: Space, truth: Array, exposure_s: float, rng: np.random.Generator
) -> float:
    """Return when a flown map and its confirmation are over; infinite where A is not among them."""
    nx, ny = numbers.shape
    counts = rng.poisson(truth * numbers.count_rate * exposure_s)
    chosen: list[int] = []
    for cell in np.argsort(-counts, kind="stable"):
        steps = np.abs(space.points[chosen] - space.points[cell]).max(axis=1, initial=0.0)
        if len(chosen) < CONFIRMED and (steps > 1.5 * numbers.pitch).all():
            chosen.append(int(cell))
    if not _finds(space, truth)(space.points[chosen]).any():
        return math.inf
    row_s = nx * max(exposure_s, numbers.pitch / numbers.speed) + numbers.readout_s
    turns_s = 2.0 * numbers.settling_s + 2.0 * numbers.pitch / numbers.speed
    path = np.abs(np.diff(space.points[chosen], axis=0)).max(axis=1, initial=0.0).sum()
    confirmation_s = len(chosen) * numbers.point_s(0.0, numbers.full_s) + path / numbers.speed
    return float(ny * (row_s + turns_s) + confirmation_s)


def _search_s(numbers: BeamNumbers, space: Space, truth: Array, adaptive: bool, seed: int) -> float:
    """Return when the agent has measured A; infinite where it stopped, or ran out, before."""
    budget = min(MOST_POINTS, len(space))
    settings = {
        "target": "field:counts",
        "agent": "bayesian",
        "agent_options": {},
        "seed": seed,
        "budget": budget,
        "grid": space.to_dict(),
        "scales": True,
        "sparing": True,
        "noise_per_point": True,
        "gives_up": True,
        "explores": True,
        "looks": {"full_s": numbers.full_s} if adaptive else None,
    }
    steering = build_steering(settings, FrameAxes.channels((1, 1)))
    points, found = Points(), _finds(space, truth)
    rng = np.random.default_rng([numbers.seed, seed, int(adaptive)])
    here, now, move_s, expose_s = space.points[0], 0.0, math.nan, math.nan
    for _ in range(budget):
        try:
            decision = steering.decide(move_s=move_s, expose_s=expose_s)
        except SpaceExhausted:  # or confirmed what it found
            break
        place = np.array([decision.x, decision.y])
        exposure_s = decision.exposure_s if adaptive else numbers.full_s
        taken_s = numbers.point_s(float(np.abs(place - here).max()), exposure_s)
        expose_s = exposure_s + numbers.readout_s * numbers.frames
        move_s, here, now = taken_s - expose_s, place, now + taken_s
        if found(place[None])[0]:
            return float(now)
        if now > 3600.0 * numbers.hours:
            break
        counts = rng.poisson(truth[space.index_of(*place)] * numbers.count_rate * exposure_s)
        frame = np.full((1, 1, 1), float(counts))
        try:
            steering.observe(points.take([Exposure(frame, share=exposure_s / numbers.full_s)]))
        except DetectorDeadError:  # too few counts for any agent
            break
    return math.inf
