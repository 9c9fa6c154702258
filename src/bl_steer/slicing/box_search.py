"""Where in an image the content of a box may lie, when a row of notches looks alike everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import maximum_filter

from bl_steer.protocols import Array

__all__ = ["correlation_by_displacement", "likely_displacements"]

LEAST_SHARE = 0.35
"""Of a box, that an image must show: less is like much."""
NEARLY = 0.7
"""Of the largest correlation, from which on a place counts: on simulated caps the right place had
.78 and more of it, and a notch beside the right one up to all of it."""
APART_PX = 9
"""Edge of the neighbourhood in which the largest correlation is a place of its own."""
ROUNDING = 1e-12
"""Of a variance: less is what rounding leaves of none."""


def correlation_by_displacement(box: Array, field: Array) -> tuple[Array, Array]:
    """Return how alike box and field are for every displacement, and by how much of the box.

    Parameters
    ----------
    box : shape (h, w), of mean 0 about
    field : shape (H, W), the same

    Returns
    -------
    correlation, share : shape (h + H - 1, w + W - 1); at (h - 1 + y, w - 1 + x) the correlation
        coefficient of the pixels that both have when the box's corner lies on (y, x) of the field,
        0 where one of the two is flat; and the share of the box's pixels that these are

    References
    ----------
    Padfield, "Masked object registration in the Fourier domain", IEEE Transactions on Image
    Processing 21 (2012) 2706, DOI 10.1109/TIP.2011.2181402.
    """
    rows, columns = (n + m - 1 for n, m in zip(box.shape, field.shape, strict=True))
    shape = next_fast_len(rows, real=True), next_fast_len(columns, real=True)
    boxes = [rfft2(part[::-1, ::-1], shape) for part in (np.ones_like(box), box, box**2)]
    fields = [rfft2(part, shape) for part in (np.ones_like(field), field, field**2)]

    def sums(of_box: int, of_field: int) -> Array:
        return np.asarray(irfft2(boxes[of_box] * fields[of_field], shape)[:rows, :columns])

    n = np.maximum(np.rint(sums(0, 0)), 1.0)
    first, second = sums(1, 0), sums(0, 1)
    variances = [sums(2, 0) - first**2 / n, sums(0, 2) - second**2 / n]
    least = [ROUNDING * max(float((part**2).sum()), 1e-300) for part in (box, field)]
    told = (variances[0] > least[0]) & (variances[1] > least[1])
    scale = np.sqrt(np.where(told, variances[0] * variances[1], 1.0))
    return np.where(told, (sums(1, 1) - first * second / n) / scale, 0.0), n / box.size


def likely_displacements(box: Array, field: Array, *, least_px: int) -> tuple[Array, Array]:
    """Return the displacements at which a field may show a box, (m, 2), with their correlation.

    All that are nearly as alike as the most alike one are returned, since one of several notches
    that look alike is no more likely than the next; none where nothing is alike.

    Parameters
    ----------
    box : details of shape (h, w)
    field : of shape (H, W), in which the box is sought
    least_px : rows and columns of the box that must lie in the field

    Returns
    -------
    places : of the box's corner in the field (y, x), to a fraction of a pixel
    correlations : (m,), at the nearest whole pixel
    """
    correlation, share = correlation_by_displacement(box, field)
    seen = share >= LEAST_SHARE
    for axis, (n, m) in enumerate(zip(box.shape, field.shape, strict=True)):
        corner = np.arange(1 - n, m)
        common = np.minimum(corner + n, m) - np.maximum(corner, 0)
        seen &= np.expand_dims(common >= least_px, 1 - axis)
    correlation = np.where(seen, correlation, -1.0)
    best = float(correlation.max())
    if not best > 0.0:
        return np.empty((0, 2)), np.empty(0)
    peak = (correlation >= NEARLY * best) & (correlation == maximum_filter(correlation, APART_PX))
    places = np.argwhere(peak)
    finer = [[_vertex(correlation, at, axis) for axis in (0, 1)] for at in places.tolist()]
    return places + np.array(finer) - (np.array(box.shape) - 1), correlation[peak]


def _vertex(values: Array, place: Sequence[int], axis: int) -> float:
    """Return how far from a largest value the parabola through its neighbours has its vertex."""
    k, line = place[axis], np.take(values, place[1 - axis], axis=1 - axis)
    if not 0 < k < len(line) - 1:
        return 0.0
    before, here, after = line[k - 1 : k + 2]
    bend = before - 2.0 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0
