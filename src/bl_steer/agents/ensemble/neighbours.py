"""The ensemble's factors for runs of thousands of points: later rows know their neighbours only.

`bl_steer.agents.factors.GrowingFactors` is exact, but a row costs as much as all rows before it,
and so does their memory. Past some number of rows `NeighbourFactors` takes over from it: each later
row is conditioned on the `NEIGHBOURS` rows nearest to it, which is Vecchia's approximation of the
likelihood, and a candidate's posterior on the rows nearest to it as soon as a later row is among
them. A row then costs the same however many there are.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.agents.factors import GrowingFactors

__all__ = ["MOST_ROWS", "NEIGHBOURS", "NeighbourFactors", "rows_within"]

MOST_ROWS = 1000
"""Rows that are exact, at the most."""
MEMORY = 2**28
"""Bytes that exact rows may take of V."""
NEIGHBOURS = 64
"""Rows that a later row, or a candidate, is conditioned on."""
CHUNK = 128
"""Positions that are solved at a time."""


def rows_within(members: int, candidates: int) -> int:
    """Return how many rows of so many members and candidates are to be exact."""
    return max(2 * NEIGHBOURS, min(MOST_ROWS, MEMORY // (8 * members * candidates)))


class NeighbourFactors:
    """Factors as `GrowingFactors` has them, exact for the first rows and local for later ones.

    Parameters
    ----------
    exact : for the first rows; without any yet
    n_exact : how many rows these are
    n_neighbours : rows that a later one is conditioned on, at most `n_exact`; by default 64

    Notes
    -----
    Row i of the whitened targets is (t_i - a·t_N)/√d, with a = K_NN⁻¹ k_N and
    d = 1 + nugget - k_N·a for the neighbours N among the rows before it, and the log determinant
    is the sum of log d. Neighbours are the nearest by the first metric of the space. Everything is
    a function of the rows and targets alone, as in `GrowingFactors`.

    References
    ----------
    Vecchia 1988, doi 10.1111/j.2517-6161.1988.tb01729.x; Datta, Banerjee, Finley & Gelfand 2016,
    doi 10.1080/01621459.2015.1044091.
    """

    def __init__(
        self, exact: GrowingFactors, *, n_exact: int, n_neighbours: int | None = None
    ) -> None:
        self.exact = exact
        self.n_exact = n_exact
        self.n_neighbours = min(n_neighbours or NEIGHBOURS, n_exact)
        self._X = self._noise_ratios = self._y = self._W = torch.empty(0)
        self._near = self._farthest = self._touched = torch.empty(0)
        """Of each candidate: the nearest rows, the distance of the last, whether one is later."""
        self._stale = self._VtW = self._VtV = torch.empty(0)
        self._rows: list[tuple[Tensor, Tensor, Tensor]] = []
        """Of each later row: its neighbours, (N,), their weights, (M, N), and d, (M,)."""
        self._n_labelled = 0
        self._foreseen: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        self._log_det = exact.log_det

    @property
    def is_exact(self) -> bool:
        """Whether all rows are exact."""
        return not self._rows

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return self.exact.n_rows + len(self._rows)

    @property
    def X(self) -> Tensor:
        """Measured points, shape (n, d)."""
        return self.exact.X if self.is_exact else self._X[: self.n_rows]

    @property
    def noise_ratios(self) -> Tensor:
        """Their noise variances over the nugget, shape (n,)."""
        return self.exact.noise_ratios if self.is_exact else self._noise_ratios[: self.n_rows]

    @property
    def y(self) -> Tensor:
        """Their targets, shape (n,)."""
        return self.exact.y if self.is_exact else self._y

    @property
    def log_det(self) -> Tensor:
        """Log determinants of the correlations, shape (M,)."""
        return self.exact.log_det if self.is_exact else self._log_det

    @property
    def W(self) -> Tensor:
        """The targets and 1, whitened, shape (M, n, 2)."""
        return self.exact.W if self.is_exact else self._W[:, : self._n_labelled]

    def L_of(self, members: Tensor | slice) -> Tensor:
        """Return the factors of the exact rows."""
        return self.exact.L_of(members)

    def columns_of(self, X: Tensor) -> list[int] | None:
        """Return which candidates the positions X, shape (n, d), are; None unless all are one."""
        return self.exact.columns_of(X)

    def foresee(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute what `add_point` will want of the point x, (d,), whatever its noise."""
        if self.n_rows < self.n_exact:
            return self.exact.foresee(x)
        if self._foreseen is None or not torch.equal(self._foreseen[0], x):
            near = self._nearest(x[None])
            weights, explained = self._kriged(x[None], near, slice(None))
            self._foreseen = x.clone(), near[0], weights[:, 0], explained[:, 0]
        return self._foreseen[1:]

    def add_point(self, x: Tensor, noise_ratio: float = 1.0) -> None:
        """Add a row for the point x, shape (d,), with a variance of so many nuggets."""
        if self.n_rows < self.n_exact:
            self.exact.add_point(x, noise_ratio)
            return
        if not self._rows:
            self._begin()
        near, weights, explained = self.foresee(x)
        self._foreseen = None
        noise = self.exact.nuggets * noise_ratio
        d = torch.maximum(1.0 + noise - explained, noise)
        n = self.n_rows
        if n == len(self._X):
            self._X, self._W = _doubled(self._X), _doubled(self._W, dim=1)
            self._noise_ratios = _doubled(self._noise_ratios)
        self._X[n], self._noise_ratios[n] = x, noise_ratio
        self._log_det = self._log_det + d.log()
        self._rows.append((near, weights, d))
        self._touch(x, n)

    def label(self, y: Tensor) -> None:
        """Set the targets of all rows, shape (n,)."""
        n = self.exact.n_rows
        self.exact.label(y[:n])
        if not self._rows:
            return
        known = self._n_labelled
        if not torch.equal(self._y[:known], y[:known]):
            known = n
            self._stale[:] = True
            self._VtW, self._VtV = self.exact.VtW.clone(), self.exact.VtV.clone()
        self._y, self._n_labelled = y.clone(), len(y)
        self._W[:, :n] = self.exact.W
        ones = torch.ones_like(y)
        for i in range(max(known, n), len(y)):
            near, weights, d = self._rows[i - n]
            targets = torch.stack([y[near], ones[near]], dim=-1)
            own = torch.stack([y[i], ones[i]])
            self._W[:, i] = (own - weights @ targets) / d.sqrt()[:, None]

    def at_candidates(self, members: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return Vᵀ W, (K, 2, C), and Σ V², (K, C), of some members at the candidates."""
        if self.is_exact:
            return self.exact.VtW[members], self.exact.VtV[members]
        rows = torch.arange(len(self._stale))[members]
        for member in rows.tolist():
            stale = (self._stale[member] & self._touched).nonzero()[:, 0]
            if len(stale):
                at, near = self.exact.candidates[stale], self._near[stale]
                VtW, explained = self._local(at, near, torch.tensor([member]))
                self._VtW[member][:, stale], self._VtV[member][stale] = VtW[0], explained[0]
                self._stale[member][stale] = False
        return self._VtW[members], self._VtV[members]

    def solved(self, X: Tensor, members: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Return Vᵀ W, (K, 2, n), and Σ V², (K, n), of some members at X of shape (n, d)."""
        if self.is_exact:
            return self.exact.solved(X, members)
        return self._local(X, self._nearest(X), members)

    def correlations(self, A: Tensor, B: Tensor, members: Tensor | slice = slice(None)) -> Tensor:
        """Return the prior correlations of A, (a, d), with B, (b, d): (K, a, b)."""
        return self.exact.correlations(A, B, members)

    def covariance(self, member: int, X: Tensor, cells: NDArray[np.intp]) -> Tensor:
        """Return a member's posterior correlation of X, (k, d), with some candidates, (k, c).

        Past the exact rows given those near X.
        """
        if self.is_exact:
            return self.exact.covariance(member, X, cells)
        at = self.exact.candidates[torch.from_numpy(cells)]
        return self.covariance_between(member, X, at)

    def covariance_between(self, member: int, A: Tensor, B: Tensor) -> Tensor:
        """Return a member's posterior correlation of positions A, (k, d), with B, (b, d)."""
        if self.is_exact:
            return self.exact.covariance_between(member, A, B)
        one, near = torch.tensor([member]), self._nearest(A)
        weights, _ = self._kriged(A, near, one)
        known = [
            w[None] @ self.correlations(self.X[rows], B, one)[0]
            for w, rows in zip(weights[0], near, strict=True)
        ]
        return self.correlations(A, B, one)[0] - torch.cat(known)

    def left_out(self, rows: Tensor, constant: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
        """Return what some members' outcomes are off what their neighbours say, and its precision.

        Parameters
        ----------
        rows : shape (n,), which outcomes
        constant : shape (M,), the members' means

        Returns
        -------
        off, precision : shape (K, n), the second in units of one over the amplitude's variance
        """
        X = self.X[rows]
        near = self._nearest(X, own=rows)
        VtW, explained = self._local(X, near, members)
        off = self._y[rows] - VtW[:, 0] - constant[members, None] * (1.0 - VtW[:, 1])
        noise = self.exact.nuggets[members, None] * self.noise_ratios[rows]
        return off, 1.0 / torch.maximum(1.0 + noise - explained, noise)

    def _begin(self) -> None:
        """Find the neighbours of all candidates, as the first of the later rows comes."""
        exact, room = self.exact, 2 * self.n_exact
        self._X = exact.X.new_zeros(room, exact.X.shape[1])
        self._X[: exact.n_rows] = exact.X
        self._noise_ratios = exact.X.new_ones(room)
        self._noise_ratios[: exact.n_rows] = exact.noise_ratios
        self._W = exact.X.new_zeros(len(exact.nuggets), room, 2)
        self._y, self._n_labelled = exact.y.clone(), exact.n_rows
        self._log_det = exact.log_det.clone()
        self._near = self._nearest(exact.candidates)
        self._farthest = self._distances(exact.candidates, self._near).amax(dim=1)
        self._touched = torch.zeros(len(exact.candidates), dtype=torch.bool)
        self._stale = torch.ones(exact.VtV.shape, dtype=torch.bool)
        self._VtW, self._VtV = exact.VtW.clone(), exact.VtV.clone()

    def _touch(self, x: Tensor, row: int) -> None:
        """Make a new row a neighbour of the candidates that it is nearer to than another one."""
        to_x = self.exact.squared(x[None], self.exact.candidates)[0]
        touched = (to_x < self._farthest).nonzero()[:, 0]
        distances = self._distances(self.exact.candidates[touched], self._near[touched])
        which = torch.arange(len(touched))
        self._near[touched, distances.argmax(dim=1)] = row
        distances[which, distances.argmax(dim=1)] = to_x[touched]
        self._farthest[touched] = distances.amax(dim=1)
        self._touched[touched] = True
        self._stale[:, touched] = True

    def _nearest(self, X: Tensor, own: Tensor | None = None) -> Tensor:
        """Return the rows that are nearest to positions, (n, N), but for their own, (n,)."""
        parts = []
        for first in range(0, len(X), CHUNK):
            squared = self.exact.squared(X[first : first + CHUNK], self.X)
            if own is not None:
                squared[torch.arange(len(squared)), own[first : first + CHUNK]] = torch.inf
            parts.append(squared.topk(self.n_neighbours, largest=False).indices)
        return torch.cat(parts)

    def _distances(self, X: Tensor, near: Tensor) -> Tensor:
        """Return the squared distances of positions, (n, d), to rows, (n, N)."""
        return self.exact.squared(X[:, None], self._X[near])[:, 0]

    def _local(self, X: Tensor, near: Tensor, members: Tensor | slice) -> tuple[Tensor, Tensor]:
        parts = []
        for at, rows in zip(torch.split(X, CHUNK), torch.split(near, CHUNK), strict=True):
            weights, explained = self._kriged(at, rows, members)
            means = (weights * self._y[rows]).sum(-1)
            parts.append((torch.stack([means, weights.sum(-1)], dim=1), explained))
        return torch.cat([p[0] for p in parts], dim=-1), torch.cat([p[1] for p in parts], dim=-1)

    def _kriged(self, X: Tensor, near: Tensor, members: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return the kriging weights of rows, (K, n, N), and what they explain, (K, n).

        Parameters
        ----------
        X, near : positions, (n, d), and the rows to predict each of them from, (n, N)
        """
        rows = self.X[near]
        k = self.exact.correlations(X[:, None], rows, members)[:, :, 0]
        K = self.exact.correlations(rows, rows, members)
        noise = self.exact.nuggets[members][:, None, None] * self.noise_ratios[near]
        K.diagonal(dim1=-2, dim2=-1).add_(noise)
        factor = torch.linalg.cholesky(K)
        weights = torch.cholesky_solve(k[..., None], factor)[..., 0]
        return weights, (weights * k).sum(-1)


def _doubled(values: Tensor, dim: int = 0) -> Tensor:
    return torch.cat([values, torch.zeros_like(values)], dim=dim)
