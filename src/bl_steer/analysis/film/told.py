"""What reflections and assumptions tell of the film, and what they do not, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bl_steer.analysis.film.written import Assumed
from bl_steer.diffraction import (
    UNKNOWNS,
    FilmStates,
    Reflection,
    film_of_peaks,
    null_directions,
)
from bl_steer.protocols import Array

__all__ = [
    "Told",
    "direction_in_words",
    "film_from",
]

DEFAULT: Assumed = {"R": (0.9, 0.05)}
"""Where the reflections do not tell: a film that is relaxed for the most part."""
UNITS = {"x": "", "R": "", "tilt": "°", "tilt_across": "°", "twist": "°"}
WORDS = {
    "x": "x",
    "R": "R",
    "tilt": "the tilt",
    "tilt_across": "the tilt across the plane",
    "twist": "the twist",
}


@dataclass(frozen=True)
class Told:
    """The film at each point, for each peak, and what is not told.

    Parameters
    ----------
    states : of each peak
    assumed : what was taken for known
    directions : shape (n, 5), changes of the film that move no peak, without assumptions
    reflections : of the maps
    unassumed : of each peak, without what was assumed, where it was not needed; else None
    """

    states: Sequence[FilmStates]
    assumed: Assumed
    directions: Array
    reflections: Sequence[Reflection]
    unassumed: Sequence[FilmStates] | None = None

    @property
    def sentences(self) -> list[str]:
        """What each direction means."""
        return [direction_in_words(d, self.reflections) for d in self.directions]


def film_from(
    q: Sequence[Array],
    covariance: Sequence[Array],
    reflections: Sequence[Reflection],
    assumed: Assumed,
    state: Array,
) -> Told:
    """Return the film of each peak.

    Parameters
    ----------
    q, covariance : of each peak, (n, n_maps, 2) and (n, n_maps, 2, 2)
    assumed : nothing for the default where something has to be
    state : shape (5,), about where the null directions are told
    """
    directions = null_directions(reflections, state=state)
    tells_all = not np.abs(directions[:, :3]).max(initial=0.0) > 0
    if not assumed and not tells_all:
        assumed = DEFAULT

    def with_assumed(known: Assumed) -> list[FilmStates]:
        pairs = zip(q, covariance, strict=True)
        return [film_of_peaks(peak, errors, reflections, known) for peak, errors in pairs]

    unassumed = with_assumed({}) if assumed and tells_all else None
    return Told(with_assumed(assumed), assumed, directions, reflections, unassumed)


def direction_in_words(direction: Array, reflections: Sequence[Reflection]) -> str:
    """Say what a change of the film that moves no peak means.

    Examples
    --------
    >>> direction = np.array([0.01, -0.21, -0.17, 0.0, 0.0])
    >>> print(direction_in_words(direction, [Reflection.parse("0,2,2")]).partition(": ")[2])
    +0.01 in x looks like +0.21 in R and +0.17° in the tilt
    """
    names = [name for name, change in zip(UNKNOWNS, direction, strict=True) if change]
    alone = " and ".join(map(str, reflections)) + " alone"
    if len(names) == 1:
        return f"{WORDS[names[0]]} moves no peak of {alone}: it is not told"
    lead, *others = names
    # What undoes the first change looks like it with the sign turned.
    changes = [
        f"{-direction[UNKNOWNS.index(name)]:+.2g}{UNITS[name]} in {WORDS[name]}" for name in others
    ]
    subject = f"{', '.join(WORDS[n] for n in names[:-1])} and {WORDS[names[-1]]}"
    first = f"{direction[UNKNOWNS.index(lead)]:+.2g}{UNITS[lead]} in {WORDS[lead]}"
    return f"{subject} cannot be told apart by {alone}: {first} looks like {' and '.join(changes)}"
