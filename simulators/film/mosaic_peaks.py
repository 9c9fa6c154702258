"""Bragg peaks in three dimensions: mosaic crystals that are tilted, twisted, and not perfect.

`simulators.film.film_on_detector` draws detector frames of them. All positions are along the
surface in the plane of the map, along the surface across it, and along the surface normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bl_steer.protocols import Array

__all__ = ["MosaicPeaks", "Surroundings", "crystal_peak"]


class Surroundings:
    """Places in reciprocal space at which peaks are evaluated.

    Parameters
    ----------
    q : shape (n, 3), 1/Å
    """

    def __init__(self, q: Array) -> None:
        self.origin = q.mean(axis=0)
        self.q = q
        u, v, w = np.ascontiguousarray((q - self.origin).T)
        # What spans the squared distances from any peak: one product of matrices gives them all.
        self._squares = np.stack([u * u, v * v, w * w, u * v, u * w, v * w, u, v, w])

    def distances(self, centres: Array, precisions: Array) -> Array:
        """Return (q - c)ᵀ P (q - c), shape (m, n).

        Parameters
        ----------
        centres, precisions : shapes (m, 3) and (m, 3, 3)
        """
        c, p = centres - self.origin, precisions
        linear = -2.0 * np.einsum("mij,mj->mi", p, c)
        products = 2.0 * np.stack([p[:, 0, 1], p[:, 0, 2], p[:, 1, 2]], axis=1)
        own = np.concatenate([np.einsum("mii->mi", p), products, linear], axis=1)
        constant = np.einsum("mi,mij,mj->m", c, p, c)
        total = own @ self._squares
        total += constant[:, None]
        return np.asarray(np.maximum(total, 0.0, out=total))


@dataclass(frozen=True)
class MosaicPeaks:
    """Peaks of mosaic crystals: Gaussians in the orientation and the size of the lattice.

    Parameters
    ----------
    q : shape (m, 2), where they lie in the plane of the map, 1/Å
    sigmas : shape (m, 3), standard deviations along q, in the plane across it (tilt), and out of
        the plane (twist), 1/Å
    rates : shape (m,), of all that a peak scatters
    tilt_across_deg : shape (m,), rotation about the in-plane direction of the map
    twist_deg : shape (m,), rotation about the surface normal
    """

    q: Array
    sigmas: Array
    rates: Array
    tilt_across_deg: Array
    twist_deg: Array

    def density(self, places: Surroundings, *, tails: float = 0.0) -> Array:
        """Return what they scatter into a unit of volume, shape (n,), rates Å³.

        Parameters
        ----------
        tails : share of the intensity in tails that fall as the fourth power of the distance
        """
        turns = _turns(self.tilt_across_deg, self.twist_deg)
        par, perp = (self.q / np.linalg.norm(self.q, axis=1, keepdims=True)).T
        still = np.zeros_like(par)
        axes = np.stack([[par, still, perp], [perp, still, -par], [still, still + 1, still]])
        axes = turns @ axes.transpose(2, 1, 0)  # columns: along q, across it, out of the plane
        precisions = (axes / self.sigmas[:, None, :] ** 2) @ axes.transpose(0, 2, 1)
        in_map = np.stack([self.q[:, 0], still, self.q[:, 1]], axis=1)
        centres = np.einsum("mij,mj->mi", turns, in_map)
        squared = places.distances(centres, precisions)
        heights = self.rates / self.sigmas.prod(axis=1)
        gauss = (1.0 - tails) * (2.0 * np.pi) ** -1.5 * heights
        if not tails:
            return np.asarray(gauss @ np.exp(-0.5 * squared))
        lorentz = tails / np.pi**2 * heights  # of (1 + r²)⁻², whose integral is π²
        return np.asarray(gauss @ np.exp(-0.5 * squared) + lorentz @ (1.0 / (1.0 + squared) ** 2))


def crystal_peak(
    places: Surroundings,
    q: Array,
    rate: float,
    *,
    sigma: float,
    rod: float,
    streak: float,
) -> Array:
    """Return the peak of a perfect crystal with its rod and streak, shape (n,), rate Å³.

    Parameters
    ----------
    q : shape (2,), where it lies in the plane of the map, 1/Å
    rate : of the peak itself
    sigma : standard deviation in all directions, 1/Å
    rod, streak : density beside the peak, one sigma away, in units of that on top: along the
        surface normal (the crystal ends at its surface) and along q (the beam holds other
        wavelengths)

    Notes
    -----
    Both fall as the inverse square of the distance: a truncated crystal's rod far from the peak
    (Robinson 1986, doi:10.1103/PhysRevB.33.3830), and the wings of a monochromator's reflection.
    """
    par, perp = q
    apart = places.q - np.array([par, 0.0, perp])
    squared = (apart**2).sum(axis=1) / sigma**2
    top = rate * (2.0 * np.pi) ** -1.5 / sigma**3
    total = np.exp(-0.5 * squared)
    for share, line in ((rod, (0.0, 0.0, 1.0)), (streak, (par, 0.0, perp))):
        along = (apart @ (np.array(line) / np.linalg.norm(line)) / sigma) ** 2
        beside = np.maximum(squared - along, 0.0)
        total = total + share * 2.0 / (1.0 + along) * np.exp(-0.5 * beside)
    return np.asarray(top * total)


def _turns(tilt_deg: Array, twist_deg: Array) -> Array:
    """Return rotations about the first axis and then about the third one, shape (m, 3, 3)."""
    (ct, cw), (st, sw) = (f(np.radians([tilt_deg, twist_deg])) for f in (np.cos, np.sin))
    still = np.zeros_like(ct)
    rows = [[cw, -sw * ct, sw * st], [sw, cw * ct, -cw * st], [still, st, ct]]
    return np.asarray(np.array(rows).transpose(2, 0, 1))
