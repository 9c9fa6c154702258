"""How many components a map has: the misfit on counts that the fit has not seen."""

from __future__ import annotations

import numpy as np

from bl_steer.features.hals import count_weights, factorise_nonnegative
from bl_steer.protocols import Array, Table

__all__ = ["knee_of", "rank_table"]


def rank_table(counts: Array, most: int, *, seed: int = 0) -> Table:
    """Compare 1 … `most` components by count splitting.

    Parameters
    ----------
    counts : shape (n_points, n_pixels), whole numbers; NaN where nothing was measured
    most : largest number of components
    seed : of the split and the fits

    Returns
    -------
    table : columns ``n_components``; ``misfit``, on the half that was not fitted, in units of its
        noise (1 where a fit leaves nothing but noise); ``is_knee``; ``is_least``

    Notes
    -----
    Each count goes to one of two halves by the toss of a coin. Halves of Poisson counts are
    independent, so that the misfit of a fit to one half, on the other, rises where components
    begin to describe noise (Neufeld et al. 2024, Biostatistics 25, 270,
    doi 10.1093/biostatistics/kxac047). On bright maps it falls on and on, as real patterns are not
    made of a few: look at the knee, after which a further component brings little.
    """
    rng = np.random.default_rng(seed)
    half = rng.binomial(np.nan_to_num(counts).astype(np.int64), 0.5) + 0.0 * counts
    other = counts - half
    rows, columns = count_weights(counts)
    weights = rows[:, None] * columns
    noise = float(np.nanmean(counts / weights**2)) / 2.0  # variance of a weighted cell of a half
    misfits = []
    for n in range(1, most + 1):
        coefficients, components = factorise_nonnegative(half / weights, n, seed=seed)
        left = other / weights - coefficients @ components
        misfits.append(float(np.nanmean(left**2)) / noise if noise > 0 else 0.0)
    values = np.array(misfits)
    numbers = np.arange(1, most + 1)
    return {
        "n_components": numbers,
        "misfit": values,
        "is_knee": numbers == knee_of(values),
        "is_least": numbers == 1 + int(values.argmin()),
    }


def knee_of(misfits: Array) -> int:
    """Return the number, from 1, at which the logarithm of a curve lies furthest below its chord.

    Satopää et al. 2011, Finding a "kneedle" in a haystack, doi 10.1109/ICDCSW.2011.20, without its
    smoothing. Of a curve that ends as high as it began, its least value.

    Examples
    --------
    >>> knee_of(np.array([9.0, 5.0, 1.2, 1.1, 1.0, 0.9]))
    3
    """
    values = np.log(np.maximum(misfits, np.finfo(float).tiny))
    if len(values) < 3 or values[-1] >= values[0]:
        return 1 + int(values.argmin())
    fallen = (values[0] - values) / (values[0] - values[-1])
    return 1 + int((fallen - np.linspace(0.0, 1.0, len(values))).argmax())
