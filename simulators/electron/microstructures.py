"""Two kinds of battery electrode, as fields in space; `fibsem_sample` cuts them into phases.

A microstructure answers two fields on a grid of positions in nm: where there is oxide rather than
pore, and where in the pores there is carbon. Both are thresholded by whoever knows the volume
fractions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bl_steer.protocols import Array
from simulators.textures import GaussianField

__all__ = ["Grains", "Microstructure", "Network"]

CELL_OFFSET = 2**20
"""Makes the cells' numbers positive, as seeds must be: positions down to −600 mm are allowed."""

GRAIN_CELL_NM = 640.0
"""One particle a cell."""
GRAIN_RADIUS_NM = 330.0
GRAIN_RADIUS_SPREAD = 0.5
"""Of the logarithm of the radius, up and down."""
GRAIN_JITTER = 0.36
"""Of a cell's length, in each direction."""
GRAIN_MISSING = 0.14
"""Share of cells without a particle: the open pores."""
GRAIN_REACH_NM = 260.0
"""Distances from a surface are known up to here."""
GRAIN_ROUGHNESS_NM = 6.0
WEB_PATCHES_NM = 75.0
"""By how much the webs of binder vary in thickness from place to place."""
WEB_ROUGHNESS_NM = 8.0

NETWORK_WAVELENGTH_NM = 950.0
FILM_NM = 130.0
"""Thickness of the carbon film where it is thickest."""
BLOB_NM = 170.0


class Microstructure(Protocol):
    """Where the phases are likely, in space."""

    def fields(self, z: Array, y: Array, x: Array) -> tuple[Array, Array]:
        """Return affinity to oxide and, outside it, to carbon; shape (len(z), len(y), len(x)).

        Parameters
        ----------
        z, y, x : positions along the three axes, nm
        """
        ...


class Grains:
    """Packed, faceted particles; binder with carbon in the necks and as webs between them.

    Parameters
    ----------
    seed : which specimen
    scale : factor on all lengths
    """

    def __init__(self, seed: int, scale: float = 1.0) -> None:
        rng = np.random.default_rng([seed, 11])
        self._seed = seed
        self._scale = scale
        self._rough = GaussianField(rng, 240.0, spread=0.3)
        self._patches = GaussianField(rng, 900.0, spread=0.3)
        self._fluff = GaussianField(rng, 200.0, spread=0.3)

    def fields(self, z: Array, y: Array, x: Array) -> tuple[Array, Array]:
        """Return minus the distance to the nearest particle, and the nearness of two of them."""
        z, y, x = (positions / self._scale for positions in (z, y, x))
        nearest, second = self._distances(z, y, x)
        nearest += GRAIN_ROUGHNESS_NM * self._rough(z, y, x)
        web = WEB_PATCHES_NM * self._patches(z, y, x) + WEB_ROUGHNESS_NM * self._fluff(z, y, x)
        return -nearest, web - 0.5 * (nearest + second)

    def _distances(self, z: Array, y: Array, x: Array) -> tuple[Array, Array]:
        """Return the distances to the nearest and second nearest surface, negative inside, nm."""
        nearest = np.full((len(z), len(y), len(x)), GRAIN_REACH_NM)
        second = nearest.copy()
        for particle in self._particles(z, y, x):
            window = tuple(
                _window(u, c, particle.reach)
                for u, c in zip((z, y, x), particle.centre, strict=True)
            )
            distance = particle.distance(
                *(u[part] for u, part in zip((z, y, x), window, strict=True))
            )
            near, far = nearest[window], second[window]
            np.minimum(far, np.maximum(near, distance), out=far)
            np.minimum(near, distance, out=near)
        return nearest, second

    def _particles(self, *axes: Array) -> Iterator[_Particle]:
        margin = GRAIN_RADIUS_NM * np.exp(GRAIN_RADIUS_SPREAD) + GRAIN_REACH_NM
        first = [int(np.floor((u.min() - margin) / GRAIN_CELL_NM)) for u in axes]
        last = [int(np.floor((u.max() + margin) / GRAIN_CELL_NM)) for u in axes]
        counts = [stop - start + 1 for start, stop in zip(first, last, strict=True)]
        for index in np.ndindex(*counts):
            cell = np.add(index, first)
            rng = np.random.default_rng([self._seed, 12, *(cell + CELL_OFFSET)])
            missing, spread, *jitter = rng.uniform(size=5)
            centre = (cell + 0.5 + GRAIN_JITTER * (2.0 * np.array(jitter) - 1.0)) * GRAIN_CELL_NM
            radius = GRAIN_RADIUS_NM * np.exp(GRAIN_RADIUS_SPREAD * (2.0 * spread - 1.0))
            reach = radius + GRAIN_REACH_NM
            near = all(u[0] - reach < c < u[-1] + reach for u, c in zip(axes, centre, strict=True))
            if near and missing >= GRAIN_MISSING:
                yield _Particle.draw(rng, centre, float(radius))


@dataclass(frozen=True)
class _Particle:
    """An ellipsoid with facets; lengths in nm."""

    centre: Array
    radius: float
    stretch: Array
    """Shape (3, 3): turns and stretches the ellipsoid into a unit sphere."""
    normals: Array
    heights: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, centre: Array, radius: float) -> _Particle:
        """Draw the particle's shape."""
        turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        stretch = np.diag(1.0 / np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.65, 0.95)]))
        normals = rng.standard_normal((int(rng.integers(4, 9)), 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        heights = radius * rng.uniform(0.6, 0.95, len(normals))
        return cls(centre, radius, stretch @ turn / radius, normals, heights)

    @property
    def reach(self) -> float:
        """How far from the centre the distance is of interest."""
        return self.radius + GRAIN_REACH_NM

    def distance(self, z: Array, y: Array, x: Array) -> Array:
        """Return the distance to the surface, negative inside, on a grid of positions."""
        dz, dy, dx = (u - c for u, c in zip((z, y, x), self.centre, strict=True))

        def along(direction: Array) -> Array:
            a, b, c = direction
            return np.asarray(a * dz[:, None, None] + b * dy[:, None] + c * dx)

        distance = self.radius * (np.sqrt(sum(along(row) ** 2 for row in self.stretch)) - 1.0)
        for normal, height in zip(self.normals, self.heights, strict=True):
            np.maximum(distance, along(normal) - height, out=distance)
        return np.asarray(distance)


def _window(positions: Array, centre: float, reach: float) -> slice:
    start, stop = np.searchsorted(positions, [centre - reach, centre + reach])
    return slice(int(start), int(stop))


class Network:
    """Two phases that both percolate; carbon as films on part of their interface and as blobs.

    Parameters
    ----------
    seed : which specimen
    scale : factor on all lengths
    """

    def __init__(self, seed: int, scale: float = 1.0) -> None:
        rng = np.random.default_rng([seed, 13])
        self._scale = scale
        self._backbone = GaussianField(rng, NETWORK_WAVELENGTH_NM, spread=0.12)
        self._rough = GaussianField(rng, 260.0, spread=0.3)
        self._coated = GaussianField(rng, 1500.0, spread=0.2)
        self._blobs = GaussianField(rng, 700.0, spread=0.2)
        self._fluff = GaussianField(rng, 160.0, spread=0.3)

    def fields(self, z: Array, y: Array, x: Array) -> tuple[Array, Array]:
        """Return the level of the backbone, and what draws carbon to its surface, both in nm."""
        z, y, x = (positions / self._scale for positions in (z, y, x))
        # One wavelength of the field corresponds to a slope of 2π/λ in the root mean square of the
        # three directions together: values become distances from the level sets.
        to_nm = NETWORK_WAVELENGTH_NM / (2.0 * np.pi)
        oxide = to_nm * (self._backbone(z, y, x) + 0.05 * self._rough(z, y, x))
        fluff = 10.0 * self._fluff(z, y, x)
        film = FILM_NM * np.tanh(2.0 * self._coated(z, y, x)) + oxide
        blobs = BLOB_NM * (self._blobs(z, y, x) - 1.2)
        return oxide, np.maximum(film, blobs) + fluff
