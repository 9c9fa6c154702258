"""Films of random hills to plan a beam time on: as wide as the width that matters, perhaps adrift.

Films of physics, for trials of the whole loop, are in `simulators.film`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents import Space
from bl_steer.protocols import Array
from bl_steer.steering.scoring import SHARE
from bl_steer.trials.beam_numbers import BeamNumbers

__all__ = ["HillyFilm"]

GROUND = 0.07
RIVALS = (0.70, 0.86)
"""Heights of ground and rival hills over that of the brightest, as on the simulated films."""
AREA_OF_HILL = 7.0
"""Square widths of the sample to each hill, as there."""
MOST_HILLS = 30
FINE = 4.0
"""Parts of a step by which the film moves on, where it drifts."""


class HillyFilm:
    """A film whose brightest hill is 1 high; A is the cell that is brightest at the time.

    Parameters
    ----------
    numbers : complete ones
    rng : draws places, heights, widths (up to a quarter above the one that matters), and where the
        film drifts to
    space : the grid of the numbers, where it is at hand
    """

    def __init__(
        self, numbers: BeamNumbers, rng: np.random.Generator, space: Space | None = None
    ) -> None:
        self.numbers, self.space = numbers, space or numbers.space
        low, high = self.space.bounds
        width = float(numbers.width or math.nan)
        area = float((high - low).prod())
        n = 1 + int(np.clip(area / (AREA_OF_HILL * width**2), 0, MOST_HILLS))
        self._heights = np.append(1.0, rng.uniform(*RIVALS, n - 1))
        self._centres = low + rng.uniform(0.05, 0.95, (n, 2)) * (high - low)
        self._widths = width * rng.uniform(1.0, 1.25, n)
        angle = rng.uniform(0.0, 2.0 * math.pi)
        self._velocity = numbers.drift / 3600.0 * np.array([math.cos(angle), math.sin(angle)])
        self._step_s = math.inf
        if numbers.drift:
            self._step_s = float(numbers.steps.min()) / FINE / (numbers.drift / 3600.0)
        self._known: dict[int, tuple[Array, float]] = {}
        self._still: Array | None = None

    def all_cells(self, times_s: Array) -> Array:
        """Return how bright the cells are in the order of `Space.snake`, each at its time, (n,)."""
        if self.numbers.drift:
            return self.brightness(self.space.snake(), times_s)
        if self._still is None:
            self._still = self.brightness(self.space.snake(), 0.0)
        return self._still

    def brightness(self, places: Array, times_s: Array | float) -> Array:
        """Return how bright places, (n, 2), are at times, (n,) or one for all; 1 at most."""
        moved = places - np.multiply.outer(np.asarray(times_s, dtype=float), self._velocity)
        bright = np.zeros(len(places))
        for centre, height, width in zip(self._centres, self._heights, self._widths, strict=True):
            squared = ((moved - centre) ** 2).sum(axis=1) / width**2
            bright = np.maximum(bright, height * np.exp(-4.0 * math.log(2.0) * squared))
        return np.asarray(GROUND + (1.0 - GROUND) * bright)

    def is_A(self, places: Array, times_s: Array | float) -> NDArray[np.bool_]:
        """Return which places count as A at these times: a step from it, or 95 % as bright."""
        times = np.broadcast_to(np.asarray(times_s, dtype=float), len(places))
        slots = np.zeros(len(places), dtype=int)
        if math.isfinite(self._step_s):
            slots = np.round(times / self._step_s).astype(int)
        hits = np.zeros(len(places), dtype=bool)
        for slot in np.unique(slots):
            best, value = self._best(int(slot))
            here = slots == slot
            away = np.linalg.norm((places[here] - best) / self.numbers.steps, axis=1)
            bright = self.brightness(places[here], times[here]) >= SHARE * value
            hits[here] = (away <= 1.0 + 1e-9) | bright
        return hits

    def _best(self, slot: int) -> tuple[Array, float]:
        """Return the brightest cell and its value, once the film has moved on so many parts."""
        if slot not in self._known:
            time_s = slot * self._step_s if slot else 0.0
            film = self.brightness(self.space.points, time_s)
            best = int(np.argmax(film))
            self._known[slot] = self.space.points[best], float(film[best])
        return self._known[slot]
