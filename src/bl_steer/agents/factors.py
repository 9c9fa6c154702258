"""Cholesky factors of an ensemble of Gaussian processes that grow by one row a measurement.

This is the linear algebra under `bl_steer.agents.surrogate.GridEnsembleGP`; use that model, not
this. Correlations are of unit amplitude: member m has K = R(lengthscale) + nugget I, and its
amplitude is profiled outside. A row with another noise ratio has the nugget times that.

Every result is a function of the rows and targets alone, not of the path that led to them: adding
the targets one by one and labelling all rows anew run the same operations on the same rows, so a
restored agent repeats a lost one bit for bit.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["GrowingFactors", "KernelName", "correlation"]

KernelName = Literal["matern52", "rbf"]

BLOCK = 64
"""Rows allocated at a time. A multiple of 8 keeps rows aligned in memory, on which the last bits
of matrix products depend."""


def correlation(squared_distance: Tensor, lengthscale: Tensor, kernel: KernelName) -> Tensor:
    """Return the stationary correlation at the given squared distances.

    Parameters
    ----------
    squared_distance : any shape, in squared units of the axes.
    lengthscale : broadcastable to it.
    kernel : "rbf", exp(-r²/2), or "matern52", (1 + √5 r + 5r²/3) exp(-√5 r), r = d/lengthscale.

    References
    ----------
    Rasmussen & Williams, Gaussian Processes for Machine Learning (MIT Press, 2006), eqs 4.9, 4.17.
    """
    scaled = squared_distance / lengthscale**2
    if kernel == "rbf":
        return torch.exp(-0.5 * scaled)
    root = (5.0 * scaled).sqrt()
    return (1.0 + root + (5.0 / 3.0) * scaled) * torch.exp(-root)


class GrowingFactors:
    """L, V = L⁻¹K(X, C), W = L⁻¹[y, 1] and log det K for M members, extended row by row.

    Parameters
    ----------
    candidates : shape (C, d), in the axes' units.
    lengthscales, nuggets : shape (M,). Nuggets are noise variances over the amplitude.
    scales : shape (M, d), factors that bring the axes to one unit; 1 by default.
    block : rows allocated at a time.
    in_blocks : keep V in blocks of so many rows and add up what each gives, in place of copying it
        to a larger one, as for runs of earlier versions: its sums have other last bits

    Notes
    -----
    A row costs one pass over V, O(M n C). Memory is 8 M (n C + n²) bytes: 184 MB for M = 24,
    C = 961, n = 1000, and 1.5 GB for C = 40,000, n = 200. Without blocks it is twice that for a
    moment, and the row that adds one takes ten times as long.
    """

    def __init__(
        self,
        candidates: Tensor,
        *,
        lengthscales: Tensor,
        nuggets: Tensor,
        kernel: KernelName,
        scales: Tensor | None = None,
        block: int = BLOCK,
        in_blocks: bool = False,
    ) -> None:
        self.candidates = candidates
        self.lengthscales = lengthscales
        self.nuggets = nuggets
        self.kernel = kernel
        self._block = block
        self._in_blocks = in_blocks
        members, count = len(lengthscales), len(candidates)
        if scales is None:
            scales = candidates.new_ones(members, candidates.shape[1])
        self._first_scale = scales[0]
        # Members share metrics and lengthscales, and exp is the dear part of a kernel row.
        self._scales, metric = torch.unique(scales, dim=0, return_inverse=True)
        pairs, self._which = torch.unique(
            torch.stack([metric.to(lengthscales), lengthscales], dim=1), dim=0, return_inverse=True
        )
        self._metric, self._distinct = pairs[:, 0].long(), pairs[:, 1]
        self._columns = {tuple(x): i for i, x in reversed(list(enumerate(candidates.tolist())))}
        self._foreseen: tuple[Tensor, Tensor, Tensor] | None = None
        self.n_rows = 0
        self.n_labelled = 0
        self._X = candidates.new_zeros(block, candidates.shape[1])
        self._noise_ratios = candidates.new_ones(block)
        self._y = candidates.new_zeros(block)
        self._L = [candidates.new_zeros(members, block, block)]
        self._V = [candidates.new_zeros(members, block, count)]
        self._W = candidates.new_zeros(members, block, 2)
        self.log_det = candidates.new_zeros(members)
        self.VtV = candidates.new_zeros(members, count)
        """Σ V²: the share of the prior variance that the rows explain, (M, C)."""
        self.VtW = candidates.new_zeros(members, 2, count)
        """Vᵀ W, (M, 2, C): kriging weights times [y, 1]."""

    @property
    def X(self) -> Tensor:
        """Measured points, shape (n, 2)."""
        return self._X[: self.n_rows]

    @property
    def noise_ratios(self) -> Tensor:
        """Their noise variances over the nugget, shape (n,)."""
        return self._noise_ratios[: self.n_rows]

    @property
    def y(self) -> Tensor:
        """Their targets, shape (n_labelled,)."""
        return self._y[: self.n_labelled]

    @property
    def L(self) -> Tensor:
        """Lower Cholesky factors, shape (M, n, n)."""
        return self.L_of(slice(None))

    def L_of(self, members: Tensor | slice) -> Tensor:
        """Return the lower Cholesky factors of some members, shape (K, n, n)."""
        n = self.n_rows
        blocks = [block[members, :, :n] for block in self._L]
        wide = [torch.nn.functional.pad(b, (0, n - b.shape[2])) for b in blocks]
        return torch.cat(wide, dim=1)[:, :n]

    @property
    def V(self) -> Tensor:
        """L⁻¹ K(X, C), shape (M, n, C)."""
        return torch.cat(self._V, dim=1)[:, : self.n_rows]

    @property
    def W(self) -> Tensor:
        """L⁻¹ [y, 1], shape (M, n, 2)."""
        return self._W[:, : self.n_labelled]

    def at_candidates(self, members: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return Vᵀ W, (K, 2, C), and Σ V², (K, C), of some members at the candidates."""
        return self.VtW[members], self.VtV[members]

    def columns_of(self, X: Tensor) -> list[int] | None:
        """Return which candidates the positions X, shape (n, d), are; None unless all are one."""
        columns = []
        for position in map(tuple, X.tolist()):
            column = self._columns.get(position)
            if column is None:
                return None
            columns.append(column)
        return columns

    def rows_of(self, X: Tensor, members: Tensor | slice = slice(None)) -> Tensor:
        """Return K(X, measured points) without the nugget, shape (K, n_X, n)."""
        return self.correlations(X, self.X, members)

    def solved(self, X: Tensor, members: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Return Vᵀ W, (K, 2, n), and Σ V², (K, n), of some members at X of shape (n, d)."""
        k = self.rows_of(X, members).mT
        V = torch.linalg.solve_triangular(self.L_of(members), k, upper=False)
        return self.W[members].mT @ V, V.square().sum(1)

    def covariance(self, member: int, X: Tensor, cells: NDArray[np.intp]) -> Tensor:
        """Return a member's posterior correlation of X, (k, d), with some candidates, (k, c)."""
        index, one = torch.from_numpy(cells), torch.tensor([member])

        def prior(A: Tensor, B: Tensor) -> Tensor:
            return self.correlations(A, B, one)[0]

        V = torch.linalg.solve_triangular(self.L_of(one)[0], prior(self.X, X), upper=False)
        known = prior(X, self.candidates[index])
        first = 0
        for block in self._V:
            rows = min(self.n_rows - first, block.shape[1])
            known = known - V[first : first + rows].mT @ block[member, :rows][:, index]
            first += rows
        return known

    def covariance_between(self, member: int, A: Tensor, B: Tensor) -> Tensor:
        """Return a member's posterior correlation of positions A, (k, d), with B, (b, d)."""
        one = torch.tensor([member])
        k = self.correlations(self.X, torch.cat([A, B]), one)[0]
        V: Tensor = torch.linalg.solve_triangular(self.L_of(one)[0], k, upper=False)
        return self.correlations(A, B, one)[0] - V[:, : len(A)].mT @ V[:, len(A) :]

    def add_point(self, x: Tensor, noise_ratio: float = 1.0) -> None:
        """Extend L, V and the log determinant by the point x, shape (d,).

        Its noise variance is `noise_ratio` times the nugget.
        """
        n = self.n_rows
        if n == len(self._X):
            self._grow()
        row, known = self.foresee(x)
        self._foreseen = None
        # The Schur complement is at least the nugget; rounding must not push it below.
        noise = self.nuggets * noise_ratio
        pivot_squared = 1.0 + noise - row.square().sum((1, 2))
        pivot = torch.maximum(pivot_squared, noise).sqrt()
        new = known / pivot[:, None, None]
        self._X[n] = x
        self._noise_ratios[n] = noise_ratio
        block, at = n // self._block, n % self._block
        self._L[block][:, at, :n] = row[:, 0]
        self._L[block][:, at, n] = pivot
        self._V[-1][:, n - sum(block.shape[1] for block in self._V[:-1])] = new[:, 0]
        self.VtV += new[:, 0].square()
        self.log_det += 2.0 * pivot.log()
        self.n_rows = n + 1

    def foresee(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what `add_point` will want of the point x, (d,), whatever its noise.

        All that is dear in it, so that it may be done while the point is being measured. Returns
        L⁻¹k(X, x), (M, 1, n), and the covariance of x with the candidates given X, (M, 1, C).
        """
        if self._foreseen is not None and torch.equal(self._foreseen[0], x):
            return self._foreseen[1:]
        # K grows by a row k and a corner 1 + nugget. Its factor grows by the row l = L⁻¹k and the
        # pivot √(1 + nugget - l·l); nothing above that row changes, and V grows in the same way.
        known = self.correlations(x[None], self.candidates)
        row = self._forward_solve(x)
        first = 0
        for block in self._V:
            rows = min(self.n_rows - first, block.shape[1])
            known = known - row[:, :, first : first + rows] @ block[:, :rows]
            first += rows
        self._foreseen = x.clone(), row, known
        return row, known

    def label(self, y: Tensor) -> None:
        """Set the targets of all rows, shape (n,).

        Targets that come after the known ones extend W; any change of a known one recomputes W.
        """
        if not torch.equal(self.y, y[: self.n_labelled]):
            self.n_labelled = 0
            self.VtW.zero_()
        self._y[: len(y)] = y
        for i in range(self.n_labelled, len(y)):
            self._label_row(i)

    def _label_row(self, i: int) -> None:
        target = self._W.new_ones(len(self.nuggets), 2)
        target[:, 0] = self._y[i]
        # Forward substitution, one row: w_i = (t_i - Σ_j<i L_ij w_j) / L_ii for y and for 1.
        L = self._L[i // self._block][:, i % self._block]
        known = (L[:, None, :i] @ self._W[:, :i])[:, 0] if i else 0.0
        w = (target - known) / L[:, i, None]
        self._W[:, i] = w
        block, row = (i // self._block, i % self._block) if self._in_blocks else (0, i)
        self.VtW += w[:, :, None] * self._V[block][:, row, None, :]
        self.n_labelled = i + 1

    def _forward_solve(self, x: Tensor) -> Tensor:
        """Return L⁻¹ k(X, x), shape (M, 1, n). For a candidate it is a column of V already."""
        same = self.columns_of(x[None])
        if same is not None:
            columns = [block[:, :, same[0]] for block in self._V]
            return torch.cat(columns, dim=1)[:, : self.n_rows][:, None].contiguous()
        k = self.correlations(self.X, x[None])
        solved: Tensor = torch.linalg.solve_triangular(self.L, k, upper=False)
        return solved.mT

    def squared(self, A: Tensor, B: Tensor) -> Tensor:
        """Return the squared distances (…, a, b) of A, (…, a, d), and B, (…, b, d), by metric 0."""
        return _squared(A, B, self._first_scale)

    def correlations(self, A: Tensor, B: Tensor, members: Tensor | slice = slice(None)) -> Tensor:
        """Return the correlations (K, …, a, b) of A, (…, a, d), with B, (…, b, d)."""
        squared = torch.stack([_squared(A, B, scale) for scale in self._scales])
        which, metric, distinct = self._which[members], self._metric, self._distinct
        if len(which) < len(self._which):
            some, which = torch.unique(which, return_inverse=True)
            metric, distinct = metric[some], distinct[some]
        if len(self._scales) > 1:
            squared = squared[metric]
        lengthscales = distinct.reshape(-1, *(1,) * (squared.ndim - 1))
        return correlation(squared, lengthscales, self.kernel)[which]

    def _grow(self) -> None:
        rows, (members, count) = len(self._X) + self._block, self.VtV.shape
        self._X = _grown(self._X, (rows, self._X.shape[1]))
        self._noise_ratios = _grown(self._noise_ratios, (rows,))
        self._y = _grown(self._y, (rows,))
        self._L.append(self._W.new_zeros(members, self._block, rows))
        if self._in_blocks:
            self._V.append(self._V[0].new_zeros(members, self._block, count))
        else:
            self._V = [_grown(self._V[0], (members, rows, count))]
        self._W = _grown(self._W, (members, rows, 2))


def _grown(old: Tensor, shape: tuple[int, ...]) -> Tensor:
    new = old.new_zeros(shape)
    new[tuple(slice(0, size) for size in old.shape)] = old
    return new


def _squared(A: Tensor, B: Tensor, scale: Tensor) -> Tensor:
    """Return squared distances (…, a, b), axis by axis: torch's sums over two numbers are slow."""
    axes = range(A.shape[-1])
    parts = [((A[..., :, None, i] - B[..., None, :, i]) * scale[i]).square() for i in axes]
    squared = parts[0]
    for part in parts[1:]:
        squared = squared + part
    return squared
