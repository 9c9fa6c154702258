"""Places that no other one beats in all targets, and how much a further one would add to them.

The expected hypervolume improvement of independent models, over the boxes of the part of the
objectives' space that is not dominated, which BoTorch cuts it into.
"""

from __future__ import annotations

import numpy as np
import torch
from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
from numpy.typing import NDArray
from scipy.special import ndtr

from bl_steer.protocols import Array

__all__ = [
    "dominated_volume",
    "expected_hypervolume_improvement",
    "non_dominated",
    "reference_values",
]

BELOW = 0.1
"""Of the range of each target, by which the reference lies below the least value of it."""
CHUNK = 4096
"""Places that are looked at together."""


def non_dominated(values: Array) -> NDArray[np.bool_]:
    """Return which places no other one beats, shape (n,).

    A place beats another where it is as bright in all targets, and brighter in one.

    Parameters
    ----------
    values : shape (n, n_targets), the larger the better

    Examples
    --------
    >>> non_dominated(np.array([[3.0, 1.0], [1.0, 3.0], [1.0, 1.0]]))
    array([ True,  True, False])
    """
    return np.asarray(is_non_dominated(torch.tensor(values), deduplicate=False).numpy())


def reference_values(values: Array) -> Array:
    """Return the values, (n_targets,), from which volumes count: somewhat below the least ones.

    So the brightest place of each target counts, however dark it is in the others.

    Parameters
    ----------
    values : shape (n, n_targets), of the places measured
    """
    least, spread = values.min(axis=0), np.ptp(values, axis=0)
    return np.asarray(least - BELOW * np.where(spread > 0.0, spread, 1.0))


def dominated_volume(values: Array, reference: Array) -> float:
    """Return the volume between a reference, (n_targets,), and values, (n, n_targets)."""
    front = torch.tensor(values[non_dominated(values)])
    return float(Hypervolume(torch.tensor(reference)).compute(front))


def expected_hypervolume_improvement(mean: Array, sd: Array, values: Array) -> Array:
    """Return by how much a further place is expected to add to the dominated volume, (n_places,).

    Parameters
    ----------
    mean, sd : shape (n_places, n_targets), by models that know nothing of each other
    values : shape (n, n_targets), of the places measured

    Notes
    -----
    Boxes from l to u fill what is not dominated. An outcome f adds to each the product over the
    targets of min(f, u) - l, where that is above 0, of which the expectation is EI(l) - EI(u), with
    EI(t) = E[max(f - t, 0)].

    References
    ----------
    Emmerich, Giannakoglou & Naujoks 2006, IEEE Trans. Evol. Comput. 10, 421,
    doi 10.1109/TEVC.2005.859463 (the measure); Yang, Emmerich, Deutz & Bäck 2019, J. Glob. Optim.
    75, 3, doi 10.1007/s10898-019-00798-7, eq. 19 (by boxes); Daulton, Balandat & Bakshy 2020, doi
    10.48550/arXiv.2006.05078; Lacour, Klamroth & Fonseca 2017, Comput. Oper. Res. 79, 347,
    doi 10.1016/j.cor.2016.06.021 (the boxes).
    """
    reference = reference_values(values)
    boxes = FastNondominatedPartitioning(torch.tensor(reference), Y=torch.tensor(values))
    lower, upper = boxes.get_hypercell_bounds().numpy()
    expected = np.empty(len(mean))
    for first in range(0, len(mean), CHUNK):
        part = slice(first, first + CHUNK)
        added = np.ones((len(mean[part]), len(lower)))
        for target in range(mean.shape[1]):
            edges, where = np.unique([lower[:, target], upper[:, target]], return_inverse=True)
            gain = _improvement(mean[part, target, None], sd[part, target, None], edges)
            below, above = where.reshape(2, -1)
            added *= np.maximum(gain[:, below] - gain[:, above], 0.0)
        expected[part] = added.sum(axis=1)
    return expected


def _improvement(mean: Array, sd: Array, threshold: Array) -> Array:
    """Return E[max(f - threshold, 0)] for f normal (broadcast); 0 for a threshold of infinity."""
    finite = np.where(np.isfinite(threshold), threshold, 0.0)
    u = (mean - finite) / sd
    density = np.exp(-0.5 * u**2) / np.sqrt(2.0 * np.pi)
    return np.where(np.isfinite(threshold), sd * (density + u * ndtr(u)), 0.0)
