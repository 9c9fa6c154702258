"""What peaks say of a Si-Ge film: composition, relaxation, two tilts and a twist, by least squares.

`bl_steer.diffraction.sige` says where one peak lies; here is the way back, from any number of
reflections and azimuths at once, with what they cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from bl_steer.diffraction.sige import tetragonal_lattice
from bl_steer.protocols import Array

__all__ = ["UNKNOWNS", "FilmStates", "Reflection", "film_of_peaks", "null_directions", "positions"]

UNKNOWNS = ("x", "R", "tilt", "tilt_across", "twist")
"""Ge fraction; relaxation; tilts along and across the first reflection's azimuth, and the twist
about the normal, degrees."""
STEPS = np.array([1e-4, 1e-3, 1e-3, 1e-3, 1e-3])
"""Of the differences that give slopes."""
TYPICAL = np.array([0.3, 0.9, 0.0, 0.0, 0.0])
UNITS = np.array([0.01, 0.1, 0.1, 0.1, 0.1])
"""Changes that are about as large as each other."""
NOTHING = 1e-4
"""Of the largest singular value: below it a direction moves no peak."""
ITERATIONS = 12
LONGEST_STEP = np.array([0.1, 0.3, 1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Reflection:
    """A reflection, and the azimuth at which it was mapped.

    Parameters
    ----------
    hkl : Miller indices
    azimuth_deg : of the scattering plane, from [100] towards [010]; by default the direction
        [h k 0], so that (0, -2, 2) is (0, 2, 2) with the sample turned by 180°
    """

    hkl: tuple[int, int, int]
    azimuth_deg: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return a reflection of its written form, ``0,2,2`` or ``0,0,4@90``.

        Examples
        --------
        >>> Reflection.parse("0,-2,2").azimuth_deg
        -90.0
        """
        indices, at, azimuth = text.partition("@")
        try:
            h, k, l_index = (int(part) for part in indices.split(","))
            angle = float(azimuth) if at else float(np.degrees(np.arctan2(k, h)))
        except ValueError:
            h = k = l_index = 0
            angle = np.nan
        if l_index < 1 or not np.isfinite(angle):
            raise ValueError(
                f"a reflection must be h,k,l with l above 0, and may have an azimuth, got "
                f"{text!r}; "
                "write e.g. 0,2,2 or 0,0,4@90"
            )
        return cls((h, k, l_index), angle)

    def __str__(self) -> str:
        h, k, l_index = self.hkl
        return f"({h} {k} {l_index})" if h or k else f"(0 0 {l_index}) at {self.azimuth_deg:g}°"


@dataclass(frozen=True)
class FilmStates:
    """The film at n points.

    Parameters
    ----------
    values : shape (n, 5), in the order of `UNKNOWNS`; 0 where nothing tells and nothing is assumed
    covariance : shape (n, 5, 5); NaN for what nothing tells, 0 for what is assumed exactly
    misfit : shape (n,), squared deviation of the peaks in units of their error
    free : numbers beyond those that were needed
    """

    values: Array
    covariance: Array
    misfit: Array
    free: int

    @property
    def chi2(self) -> Array:
        """The misfit over `free`, (n,): 1 where peaks and assumptions agree, NaN without any."""
        return self.misfit / self.free if self.free else np.full(len(self.misfit), np.nan)


def positions(states: Array, reflections: Sequence[Reflection]) -> Array:
    """Return q_par, q_perp and q across the plane, (n, m, 3), 1/Å, of m reflections.

    Parameters
    ----------
    states : shape (n, 5), in the order of `UNKNOWNS`

    Notes
    -----
    The lattice is turned by the vector whose length is the angle: along the surface across the
    direction to which the normal leans, and along the normal by the twist.
    """
    x, relaxation = states[:, 0], states[:, 1]
    a_par, a_perp = tetragonal_lattice(x, relaxation)
    first = np.radians(reflections[0].azimuth_deg)
    along = np.array([np.cos(first), np.sin(first), 0.0])
    across = np.array([-np.sin(first), np.cos(first), 0.0])
    lean, lean_across, twist = np.radians(states[:, 2:].T)
    # The normal leans along e where the lattice turns about (normal x e).
    turn = lean[:, None] * across - lean_across[:, None] * along
    turn[:, 2] += twist
    angle = np.linalg.norm(turn, axis=1)[:, None]
    axis = turn / np.where(angle > 0, angle, 1.0)
    result = np.empty((len(states), len(reflections), 3))
    for m, reflection in enumerate(reflections):
        q = 2.0 * np.pi * np.array(reflection.hkl) / np.stack([a_par, a_par, a_perp], axis=1)
        turned = q * np.cos(angle) + np.cross(axis, q) * np.sin(angle)
        turned += axis * (axis * q).sum(axis=1)[:, None] * (1.0 - np.cos(angle))
        azimuth = np.radians(reflection.azimuth_deg)
        c, s = np.cos(azimuth), np.sin(azimuth)
        result[:, m, 0] = turned[:, 0] * c + turned[:, 1] * s
        result[:, m, 1] = turned[:, 2]
        result[:, m, 2] = turned[:, 1] * c - turned[:, 0] * s
    return result


def null_directions(
    reflections: Sequence[Reflection], *, numbers: int = 2, state: Array = TYPICAL
) -> Array:
    """Return changes of the film that move no peak, (n_directions, 5), in the order of `UNKNOWNS`.

    Parameters
    ----------
    numbers : of each peak: 2 (q_par, q_perp) or 3 (also across the plane)
    state : shape (5,), of the film

    Notes
    -----
    The right singular vectors of the Jacobian without a singular value, combined so that each has
    as few unknowns as can be. A direction with x has +.01 in it, another the 1° of its tilt.
    """
    slopes = _slopes(state[None], reflections, numbers)[0] * UNITS
    _, values, vectors = np.linalg.svd(slopes)
    rank = int((values > NOTHING * values[0]).sum())
    basis = vectors[rank:]
    for row in range(len(basis)):  # Gauss-Jordan elimination
        columns = [c for c in range(5) if np.abs(basis[row:, c]).max() > NOTHING]
        best = row + int(np.abs(basis[row:, columns[0]]).argmax())
        basis[[row, best]] = basis[[best, row]]
        basis[row] /= basis[row, columns[0]]
        others = np.arange(len(basis)) != row
        basis[others] -= np.outer(basis[others, columns[0]], basis[row])
    directions = np.where(np.abs(basis) > NOTHING, basis, 0.0) * UNITS
    for direction in directions:
        leading = np.flatnonzero(direction)[0]
        direction *= (0.01 if leading == 0 else 1.0) / direction[leading]
    return np.asarray(directions)


def film_of_peaks(
    q: Array,
    covariance: Array,
    reflections: Sequence[Reflection],
    assumed: Mapping[str, tuple[float, float]],
) -> FilmStates:
    """Return the films whose peaks lie at `q`, by one least squares of all reflections.

    Parameters
    ----------
    q : shape (n, m, 2) or (n, m, 3), q_par, q_perp and, if known, q across the plane, 1/Å
    covariance : shape (n, m, 2, 2) or (n, m, 3, 3)
    assumed : value and standard deviation of what is known beforehand, by its name in `UNKNOWNS`;
        0 where it is known exactly

    Raises
    ------
    ValueError
        When reflections and assumptions do not tell x, R and the tilt.

    Notes
    -----
    Gauss-Newton. What is assumed with an error is one more observation. Tilt across and twist stay
    at 0 where nothing tells them, as they move no peak.
    """
    n, m, numbers = q.shape
    solved = _solved_for(reflections, numbers, assumed)
    values = np.tile(TYPICAL, (n, 1))
    for name, (value, _) in assumed.items():
        values[:, UNKNOWNS.index(name)] = value
    weights = np.zeros(5)
    goal = np.zeros(5)
    for name, (value, error) in assumed.items():
        if error > 0:
            index = UNKNOWNS.index(name)
            weights[index], goal[index] = error**-2, value
    inverse = np.asarray(np.linalg.inv(covariance), dtype=float)
    chosen = np.array(solved)
    part = np.s_[:, chosen[:, None], chosen]
    for _ in range(ITERATIONS):
        information, gradient = _normal(values, q, inverse, reflections)
        information += np.diag(weights)
        gradient += weights * (goal - values)
        step = np.linalg.solve(information[part], gradient[:, solved, None])[:, :, 0]
        step = np.clip(step, -LONGEST_STEP[solved], LONGEST_STEP[solved])
        values[:, solved] += step
        if (np.abs(step) < 1e-6 * UNITS[solved]).all():
            break
    information = _normal(values, q, inverse, reflections)[0] + np.diag(weights)
    errors = np.zeros((n, 5, 5))
    for index in set(range(5)) - set(solved):
        if UNKNOWNS[index] not in assumed:
            errors[:, index, index] = np.nan
    errors[part] = np.linalg.inv(information[part])
    left = q - positions(values, reflections)[:, :, :numbers]
    misfit = np.einsum("nmi,nmij,nmj->n", left, inverse, left)
    misfit += (weights * (goal - values) ** 2).sum(axis=1)
    return FilmStates(values, errors, misfit, m * numbers + int((weights > 0).sum()) - len(solved))


def _solved_for(
    reflections: Sequence[Reflection], numbers: int, assumed: Mapping[str, tuple[float, float]]
) -> list[int]:
    """Return the unknowns that peaks and assumptions tell together."""
    slopes = _slopes(TYPICAL[None], reflections, numbers)[0] * UNITS
    rows = [slopes / np.abs(slopes).max()]
    exact = {UNKNOWNS.index(name) for name, (_, error) in assumed.items() if not error > 0}
    for name, (_, error) in assumed.items():
        if error > 0:
            rows.append(np.eye(5)[[UNKNOWNS.index(name)]])
    observed = np.concatenate(rows)
    open_to = [i for i in range(5) if i not in exact]
    _, values, vectors = np.linalg.svd(observed[:, open_to])
    rank = int((values > NOTHING * values[0]).sum())
    ambiguous = np.abs(vectors[rank:]).max(axis=0, initial=0.0) > NOTHING
    unclear = [UNKNOWNS[i] for i, mixed in zip(open_to, ambiguous, strict=True) if mixed]
    if set(unclear) & {"x", "R", "tilt"}:
        raise ValueError(
            f"reflections and assumptions must tell x, R and tilt, got "
            f"{', '.join(map(str, reflections))} with {', '.join(assumed) or 'nothing'} assumed; "
            "assume one of them, e.g. R=0.9+-0.05, or add the map of another azimuth"
        )
    solved = [i for i in open_to if np.abs(observed[:, i]).max() > NOTHING]
    if _rank(observed[:, solved]) < len(solved):  # tilt across and twist move the peaks alike
        solved.remove(UNKNOWNS.index("twist"))
    return solved


def _rank(matrix: Array) -> int:
    values = np.linalg.svd(matrix, compute_uv=False)
    return int((values > NOTHING * values[0]).sum())


def _slopes(states: Array, reflections: Sequence[Reflection], numbers: int) -> Array:
    """Return the change of q with each unknown, (n, m * numbers, 5)."""
    columns = []
    for i in range(5):
        step = STEPS[i] * np.eye(5)[i]
        change = positions(states + step, reflections) - positions(states - step, reflections)
        columns.append(change[:, :, :numbers].reshape(len(states), -1) / (2.0 * STEPS[i]))
    return np.stack(columns, axis=-1)


def _normal(
    states: Array, q: Array, inverse: Array, reflections: Sequence[Reflection]
) -> tuple[Array, Array]:
    """Return information (n, 5, 5) and gradient (n, 5)."""
    n, m, numbers = q.shape
    slopes = _slopes(states, reflections, numbers).reshape(n, m, numbers, 5)
    left = q - positions(states, reflections)[:, :, :numbers]
    information = np.einsum("nmia,nmij,nmjb->nab", slopes, inverse, slopes, optimize=True)
    gradient = np.einsum("nmia,nmij,nmj->na", slopes, inverse, left, optimize=True)
    return np.asarray(information), np.asarray(gradient)
