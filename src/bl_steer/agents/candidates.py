"""Which of the cells of a space a model keeps: all, or of very many some and those around spots."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.agents.space import Space
from bl_steer.protocols import Array

__all__ = ["CELLS", "MOST_CELLS", "Candidates"]

MOST_CELLS = 16_384
"""Candidates of which the model keeps all: with 24 members, .2 GB for each 64 points."""
CELLS = 4096
"""Of more candidates, those that are looked at in any case."""
NEAR = 256
"""Cells around a promising one that are looked at too."""


class Candidates:
    """The cells at which an acquisition function is evaluated.

    Parameters
    ----------
    order : shape (n,), a permutation of the cells, in which ties are broken
    most_cells : candidates of which the model keeps all
    """

    def __init__(self, space: Space, order: NDArray[np.intp], most_cells: int = MOST_CELLS) -> None:
        self.space = space
        self._order = order
        self._drawn: NDArray[np.intp] | None = None
        if space.scaled and len(space) > most_cells:
            self._drawn = order[space.allowed[order]][:CELLS]

    def reserved(self, barred: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which cells, (n,), are barred or, of very many, not kept, if one is left so."""
        if self._drawn is None:
            return barred
        others = np.ones(len(barred), dtype=bool)
        others[self._drawn] = barred[self._drawn]
        return barred if others.all() else others

    @property
    def X(self) -> Tensor:
        """The positions that the model keeps, shape (C, d)."""
        points = self.space.points
        return torch.tensor(points if self._drawn is None else points[self._drawn])

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Which of these positions are outside the forbidden zones, (C,)."""
        allowed = self.space.allowed
        return allowed if self._drawn is None else allowed[self._drawn]

    def evaluate(
        self,
        function: Callable[[Tensor], Array],
        kept: Tensor,
        *,
        barred: NDArray[np.bool_],
        brightest: Array,
    ) -> tuple[Array, NDArray[np.intp]]:
        """Return a function's values at the cells, (n,), and the cells with one, in seeded order.

        Of very many cells, the function is evaluated at those that are kept, and then at the `NEAR`
        nearest ones of the most promising of these and of the brightest point.

        Parameters
        ----------
        kept : the model's own copy of `X`, at which it is evaluated fast
        barred : shape (n,), cells with -inf
        brightest : shape (d,), of the points measured
        """
        if self._drawn is None:
            values = function(kept)
            values[barred] = -np.inf
            return values, self._order
        values, cells = np.full(len(self.space), -np.inf), self._drawn
        values[cells] = function(kept)
        values[barred] = -np.inf
        metric = self.space.metrics[0]
        for centre in (self.space.points[int(np.argmax(values))], brightest):
            distances = (metric.of(self.space.points - centre) ** 2).sum(axis=1)
            distances[barred] = np.inf
            near = np.sort(np.argpartition(distances, NEAR)[:NEAR])
            values[near] = function(torch.tensor(self.space.points[near]))
            values[barred] = -np.inf
            cells = np.concatenate([cells, near])
        return values, cells
