"""Plan the training set: how to acquire micrographs, and which to paint next.

How many pairs are enough is the subject of `learning_curve`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydoe.optimal import optimal_design  # type: ignore[import-untyped,unused-ignore]  # no stubs

from bl_steer.protocols import Array

__all__ = ["Design", "design_acquisition", "next_to_label"]

RIDGE = 1e-6
"""Keeps the information of a design with fewer rows than terms comparable."""


@dataclass(frozen=True)
class Design:
    """How to acquire the next micrographs.

    Parameters
    ----------
    rows : the level of each factor, for each micrograph
    efficiency : D-efficiency of all micrographs, acquired or planned: det(XᵀX / n)^(1/p), n rows
        and p terms; 1 for an orthogonal design of factors with two levels
    random_efficiency : median of as many micrographs at random levels
    terms : of the model, ``"1"`` first
    """

    rows: tuple[dict[str, Any], ...]
    efficiency: float
    random_efficiency: float
    terms: tuple[str, ...]


def design_acquisition(
    factors: Mapping[str, Sequence[Any]],
    n: int,
    *,
    acquired: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    model: Literal["main", "quadratic", "interactions"] = "quadratic",
) -> Design:
    """Choose levels that tell the effect of each factor best (D-optimal design).

    Candidates are all combinations of the levels. pydoe sets the start; rows are then exchanged
    for better candidates while the determinant of the information grows, beside the rows of what
    was acquired already (Fedorov's exchange).

    Parameters
    ----------
    factors : levels by factor; numbers are coded −1 … 1, words as contrasts between them
    n : how many micrographs to acquire
    acquired : metadata of the micrographs at hand, of the same factors
    model : "main" (each factor linear), "quadratic" (squares of numbers with three levels or
        more too) or "interactions" (products of two factors as well)

    Raises
    ------
    ValueError
        If a factor has fewer than two levels, n is not positive, or what was acquired is no level.
    """
    _check(factors, n, acquired)
    grid = _grid(factors)
    X, terms = _terms(factors, grid, model)
    fixed = _terms(factors, list(acquired), model)[0] if acquired else np.empty((0, X.shape[1]))
    rng = np.random.default_rng(seed)
    starts = [_start(X, n)] if not acquired and n <= len(grid) else []
    starts += [rng.integers(len(grid), size=n) for _ in range(4)]
    chosen = max(
        (_exchange(X, fixed, start) for start in starts), key=lambda c: _log_det(X, fixed, c)
    )
    random = [_efficiency(X, fixed, rng.integers(len(grid), size=n)) for _ in range(100)]
    return Design(
        rows=tuple(dict(grid[index]) for index in sorted(chosen)),
        efficiency=_efficiency(X, fixed, chosen),
        random_efficiency=float(np.median(random)),
        terms=terms,
    )


def next_to_label(
    uncertainty: Sequence[NDArray[Any]] | NDArray[Any],
    *,
    features: NDArray[Any] | None = None,
    n: int = 1,
) -> list[int]:
    """Choose the micrographs that are worth painting next: uncertain, and unlike each other.

    Each further pick is the largest uncertainty times its distance to the picks so far, as a
    share of the median distance, at most 1: a near-duplicate gains nothing.

    Parameters
    ----------
    uncertainty : entropy of the predicted phases for each micrograph, as a map or as its mean
    features : shape (n_images, n_features), the appearance of the micrographs
    n : how many

    Returns
    -------
    order : indices into `uncertainty`, the most valuable first
    """
    means = np.array([float(np.mean(entropy)) for entropy in uncertainty])
    if not (1 <= n <= len(means) and np.all(np.isfinite(means))):
        raise ValueError(
            f"n must be 1 to the {len(means)} micrographs given, with finite uncertainty, got {n}"
        )
    distances = _distances(features, len(means))
    worth = means - means.min() + 1e-9 * (1 + np.ptp(means))
    picks: list[int] = []
    closest = np.ones(len(means))
    for _ in range(n):
        value = np.where(np.isin(np.arange(len(means)), picks), -1.0, worth * closest)
        picks.append(int(np.argmax(value)))
        closest = np.minimum(closest, distances[picks[-1]])
    return picks


def _distances(features: NDArray[Any] | None, count: int) -> Array:
    if features is None:
        return np.ones((count, count))
    table = np.asarray(features, dtype=np.float64).reshape(count, -1)
    table = (table - table.mean(axis=0)) / (table.std(axis=0) + 1e-12)
    distance = np.linalg.norm(table[:, None] - table[None], axis=-1)
    typical = np.median(distance[~np.eye(count, dtype=bool)]) if count > 1 else 1.0
    return np.asarray(np.minimum(distance / max(float(typical), 1e-12), 1.0))


def _check(
    factors: Mapping[str, Sequence[Any]], n: int, acquired: Sequence[Mapping[str, Any]]
) -> None:
    problems = [
        f"{name} must have two levels or more, got {list(levels)}"
        for name, levels in factors.items()
        if len(set(levels)) < 2
    ]
    if n < 1 or not factors:
        problems.append(f"n must be positive, with factors, got n={n} and {len(factors)} factors")
    for number, row in enumerate(acquired):
        for name, levels in factors.items():
            if row.get(name) is None or (not _numeric(levels) and row[name] not in levels):
                problems.append(
                    f"micrograph {number} must say its {name} among {list(levels)}, "
                    f"got {row.get(name)!r}"
                )
    if problems:
        raise ValueError("; ".join(problems))


def _numeric(levels: Sequence[Any]) -> bool:
    return all(isinstance(x, int | float | np.number) and not isinstance(x, bool) for x in levels)


def _grid(factors: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    levels = (list(dict.fromkeys(values)) for values in factors.values())
    return [dict(zip(factors, row, strict=True)) for row in product(*levels)]


def _terms(
    factors: Mapping[str, Sequence[Any]], rows: Sequence[Mapping[str, Any]], model: str
) -> tuple[Array, tuple[str, ...]]:
    """Return the model's matrix (n_rows, n_terms) and the names of its terms."""
    linear: dict[str, dict[str, Array]] = {}
    squares: dict[str, Array] = {}
    for name, levels in factors.items():
        values = [row[name] for row in rows]
        if _numeric(levels):
            low, high = min(levels), max(levels)
            coded = (2 * np.array(values, dtype=float) - low - high) / (high - low)
            linear[name] = {name: coded}
            if len(set(levels)) > 2 and model != "main":
                squares[f"{name}²"] = coded**2
        else:
            linear[name] = _contrasts(name, list(dict.fromkeys(levels)), values)
    columns = {"1": np.ones(len(rows))}
    for group in linear.values():
        columns |= group
    columns |= squares
    if model == "interactions":
        names = list(factors)
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                for a, left in linear[first].items():
                    for b, right in linear[second].items():
                        columns[f"{a} × {b}"] = left * right
    return np.column_stack(list(columns.values())), tuple(columns)


def _contrasts(name: str, levels: list[Any], values: Sequence[Any]) -> dict[str, Array]:
    """Code words as Helmert contrasts of mean square 1, orthogonal over equal counts."""
    columns = {}
    index = np.array([levels.index(value) for value in values])
    for step in range(1, len(levels)):
        code = np.zeros(len(levels))
        code[:step], code[step] = -1.0, step
        code *= np.sqrt(len(levels) / np.sum(code**2))
        columns[f"{name}: {levels[step]}"] = code[index]
    return columns


def _start(X: Array, n: int) -> NDArray[np.int64]:
    """Return pydoe's D-optimal design, as indices into the candidates."""
    design, _ = optimal_design(
        X[:, 1:], n, degree=1, criterion="D", method="sequential", alpha=RIDGE
    )
    return np.array([int(np.argmin(np.abs(X[:, 1:] - row).sum(axis=1))) for row in design])


def _log_det(X: Array, fixed: Array, chosen: NDArray[np.int64]) -> float:
    rows = np.vstack([fixed, X[chosen]])
    return float(np.linalg.slogdet(rows.T @ rows + RIDGE * np.eye(X.shape[1]))[1])


def _efficiency(X: Array, fixed: Array, chosen: NDArray[np.int64]) -> float:
    rows = np.vstack([fixed, X[chosen]])
    sign, log_det = np.linalg.slogdet(rows.T @ rows / len(rows))
    return float(np.exp(log_det / X.shape[1])) if sign > 0 else 0.0


def _exchange(X: Array, fixed: Array, start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Exchange one row at a time for the best candidate, until none is better.

    Adding x to the information M multiplies its determinant by 1 + xᵀ M⁻¹ x.
    """
    chosen = start.copy()
    for _ in range(50):
        before = _log_det(X, fixed, chosen)
        for row in range(len(chosen)):
            rows = np.vstack([fixed, X[np.delete(chosen, row)]])
            inverse = np.linalg.inv(rows.T @ rows + RIDGE * np.eye(X.shape[1]))
            gain = np.einsum("ij,jk,ik->i", X, inverse, X)
            if gain.max() > gain[chosen[row]] * (1 + 1e-9):
                chosen[row] = int(np.argmax(gain))
        if _log_det(X, fixed, chosen) < before + 1e-9:
            break
    return chosen
