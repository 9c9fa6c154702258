"""What a simulated Si-Ge film is made of: hills of Ge, tilt domains and texture over x and y.

Fields only, evaluable at any place; `simulators.film.sige_film` turns them into diffraction frames.
How hard a film is to search is decided here, in `PRESETS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from bl_steer.protocols import Array
from simulators.textures import WaveTexture

__all__ = ["EXTENT_UM", "PRESETS", "FilmFields", "FilmSettings"]

EXTENT_UM = 150.0
"""Edge of the mapped square, µm: 31 points at 5 µm."""
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


@dataclass(frozen=True)
class FilmSettings:
    """How a film varies in space and how well it can be measured. Lengths in µm, angles in deg.

    Pairs are ranges that each film draws from.
    """

    hill_fwhm_um: tuple[float, float]
    """Full widths at half maximum of the main Ge-rich hill, drawn for each of its two axes."""
    rival_fwhm_um: tuple[float, float] = (15.0, 25.0)
    """The same for its rivals."""
    n_rivals: tuple[int, int] = (0, 0)
    rival_height: tuple[float, float] = (0.60, 0.86)
    """Height of a rival hill, as a share of the main one."""
    peak_fraction: float = 0.70
    """Ge-rich volume fraction on top of the main hill."""
    base_fraction: float = 0.05
    """Ge-rich volume fraction far from all hills."""
    texture: float = 0.03
    """Relative standard deviation of the Ge-rich fraction."""
    texture_um: tuple[float, float] = (12.0, 80.0)
    """Wavelengths of the texture."""
    n_domains: tuple[int, int] = (9, 14)
    """Number of tilt domains."""
    domain_tilt_deg: float = 0.3
    """Tilt of the left (-) and right (+) domains."""
    domain_border_um: float = 2.0
    """Over this distance one domain's tilt turns into its neighbour's."""
    n_grains: int = 0
    """Number of grains with a Ge-rich fraction of their own; 0 for none."""
    grain_step: float = 0.30
    """Largest relative step of the Ge-rich fraction from one grain to the next."""
    flux: float = 1.0
    """Count rates of the peaks relative to a film that scatters well."""
    background_rate: float = 0.05
    """Fluorescence and diffuse scattering, counts/s a pixel."""
    flicker: float = 0.0
    """Relative standard deviation of a frame's intensity that the beam monitor does not see."""


_MULTI_DOMAIN = FilmSettings(hill_fwhm_um=(15.0, 25.0), n_rivals=(6, 9), rival_height=(0.70, 0.86))

PRESETS = MappingProxyType(
    {
        "smooth": FilmSettings(
            hill_fwhm_um=(28.0 * FWHM_PER_SIGMA, 42.0 * FWHM_PER_SIGMA),
            n_domains=(4, 6),
            domain_border_um=4.0,
        ),
        "multi-domain": _MULTI_DOMAIN,
        "needle": replace(
            _MULTI_DOMAIN,
            hill_fwhm_um=(8.0, 8.0),
            n_rivals=(1, 3),
            rival_fwhm_um=(50.0, 80.0),
            rival_height=(0.40, 0.60),
        ),
        "noisy": replace(_MULTI_DOMAIN, flux=0.005, background_rate=0.005, flicker=0.10),
        "rough": replace(_MULTI_DOMAIN, n_grains=120),
    }
)
"""The films by name; every seed is a different film.

How hard they are to search, in measurements until within 5 µm of the maximum or at 95 % of it
(median over films; 10 s exposures, at most 150): random cells need 70 on smooth, 130 on
multi-domain, 110 on needle; plain BoTorch, continuous with 10 random starts, 13 on smooth, 50 on
multi-domain, 60 on noisy, and finds the needle in one film of ten.
"""


class FilmFields:
    """Composition, strain, tilt and Ge-rich fraction at any place of one film.

    Every method takes x and y, each (n,), in µm, and returns (n,).
    """

    def __init__(self, settings: FilmSettings, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.settings = settings
        self._hills = _Hills(settings, rng)
        self._domains = _Domains(settings, rng)
        self._texture = [WaveTexture(settings.texture_um, rng) for _ in range(4)]
        self._grain_centres = rng.uniform(0.0, EXTENT_UM, (settings.n_grains, 2))
        self._grain_factor = rng.uniform(1.0 - settings.grain_step, 1.0, settings.n_grains)

    def rich_fraction(self, x: Array, y: Array) -> Array:
        """Volume fraction of the Ge-rich population, 0 … .95."""
        s = self.settings
        fraction = s.base_fraction + (s.peak_fraction - s.base_fraction) * self._hills(x, y)
        fraction = fraction * (1.0 + s.texture * self._texture[0](x, y))
        if s.n_grains:
            nearest = _distances(x, y, self._grain_centres).argmin(axis=1)
            fraction = fraction * self._grain_factor[nearest]
        return np.asarray(np.clip(fraction, 0.0, 0.95))

    def rich_ge(self, x: Array, y: Array) -> Array:
        """Ge fraction of the Ge-rich population."""
        return np.asarray(0.453 + 0.008 * self._texture[1](x, y))

    def rich_relaxation(self, x: Array, y: Array) -> Array:
        """Relaxation of the Ge-rich population."""
        return np.asarray(0.90 + 0.015 * self._texture[2](x, y))

    def rich_tilt_deg(self, x: Array, y: Array) -> Array:
        """Tilt of the Ge-rich population, degrees: relaxed grains follow their domain little."""
        return np.asarray(0.1 * self._domains(x, y) + 0.02 * self._texture[3](x, y))

    def matrix_ge(self, x: Array, y: Array) -> Array:
        """Ge fraction of the Si-rich matrix, averaged over depth."""
        return np.asarray(0.18 + 0.008 * self._texture[2](x, y))

    def matrix_tilt_deg(self, x: Array, y: Array) -> Array:
        """Tilt of the Si-rich matrix, degrees."""
        return self._domains(x, y)

    @property
    def main_fwhm_um(self) -> tuple[float, float]:
        """Full widths at half maximum of the main hill along its two axes, µm."""
        along, across = self._hills.sigma[0]
        return float(along * FWHM_PER_SIGMA), float(across * FWHM_PER_SIGMA)

    @property
    def n_domains(self) -> int:
        """Number of tilt domains."""
        return len(self._domains.tilts)

    def of_domains(self, values: Array, x: Array, y: Array) -> Array:
        """Return a value that each domain has, (n_domains,), with the borders of its tilt."""
        return self._domains.spread(values, x, y)

    def thickness(self, x: Array, y: Array) -> Array:
        """Film thickness relative to its mean."""
        return np.asarray(1.0 + 0.02 * self._texture[3](x, y))


class _Hills:
    """Rotated Gaussian hills: the main one of height 1, and lower rivals kept apart from it."""

    def __init__(self, settings: FilmSettings, rng: np.random.Generator) -> None:
        n = 1 + int(rng.integers(settings.n_rivals[0], settings.n_rivals[1], endpoint=True))
        self._heights = np.append(1.0, rng.uniform(*settings.rival_height, n - 1))
        low, high = np.array([settings.hill_fwhm_um, *[settings.rival_fwhm_um] * (n - 1)]).T
        self.sigma = sigma = rng.uniform(low[:, None], high[:, None], (n, 2)) / FWHM_PER_SIGMA
        angle = rng.uniform(0.0, np.pi, n)
        self._axes = np.stack(
            [
                np.stack([np.cos(angle), np.sin(angle)], axis=1) / sigma[:, :1],
                np.stack([-np.sin(angle), np.cos(angle)], axis=1) / sigma[:, 1:],
            ]
        )
        self._centres = _positions_apart(n, 1.4 * settings.rival_fwhm_um[1], rng)

    def __call__(self, x: Array, y: Array) -> Array:
        offset = np.stack([x, y], axis=-1)[:, None] - self._centres
        reduced = np.einsum("nhc,ahc->anh", offset, self._axes)
        return np.asarray(np.exp(-0.5 * (reduced**2).sum(axis=0)) @ self._heights)


class _Domains:
    """Soft Voronoi cells, each tilted to the left, not at all, or to the right."""

    def __init__(self, settings: FilmSettings, rng: np.random.Generator) -> None:
        n = int(rng.integers(*settings.n_domains, endpoint=True))
        self._domain_centres = rng.uniform(0.0, EXTENT_UM, (n, 2))
        side = rng.permutation(np.arange(n) % 3 - 1)
        self.tilts = settings.domain_tilt_deg * (side + 0.04 * rng.standard_normal(n))
        self._border = settings.domain_border_um

    def __call__(self, x: Array, y: Array) -> Array:
        return self.spread(self.tilts, x, y)

    def spread(self, values: Array, x: Array, y: Array) -> Array:
        """Return a value that each domain has, (n_domains,), over x and y."""
        nearness = -_distances(x, y, self._domain_centres) / self._border
        weights = np.exp(nearness - nearness.max(axis=1, keepdims=True))
        return np.asarray(weights @ values / weights.sum(axis=1))


def _positions_apart(n: int, apart_um: float, rng: np.random.Generator) -> Array:
    """Draw n positions, as far apart as asked where the square has room for it."""
    positions = [rng.uniform(0.1 * EXTENT_UM, 0.9 * EXTENT_UM, 2)]
    while len(positions) < n:
        trials = rng.uniform(0.05 * EXTENT_UM, 0.95 * EXTENT_UM, (50, 2))
        gaps = np.linalg.norm(trials[:, None] - np.array(positions), axis=2).min(axis=1)
        roomy = np.flatnonzero(gaps >= apart_um)
        positions.append(trials[roomy[0] if len(roomy) else gaps.argmax()])
    return np.array(positions)


def _distances(x: Array, y: Array, centres: Array) -> Array:
    """Return distances (n, n_centres), µm."""
    return np.asarray(np.hypot(x[:, None] - centres[:, 0], y[:, None] - centres[:, 1]))
