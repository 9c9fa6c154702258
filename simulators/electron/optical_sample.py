"""Light micrographs of an etched steel, with their exact truth.

Ferrite (bright, each grain by its orientation), pearlite (dark, lamellar) and the boundaries of
the ferrite grains. For battery electrodes in the electron microscope, use
`simulators.electron.fibsem_sample`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from bl_steer.protocols import Array
from simulators.electron.limits import STRENGTH, Limits, beyond
from simulators.seeds import seed_problems
from simulators.textures import GaussianField

__all__ = ["OpticalConditions", "OpticalMicrograph", "optical_field"]

FERRITE, PEARLITE, BOUNDARY = range(3)
GRAIN_UM = 14.0
"""Distance between the centres of neighbouring grains."""
WAVINESS_UM = 0.8
"""By how much a boundary strays from a straight line."""
BOUNDARY_UM = 0.9
"""Width of the etched groove, which is what counts as boundary."""
PEARLITE_SHARE = (0.15, 0.40)
LAMELLAE_UM = (0.9, 1.8)
"""Spacing as cut by the section; finer ones are left out of the picture."""
FERRITE_GREY, ORIENTATION_SPREAD = 0.74, 0.055
LAMELLA_GREY = (0.24, 0.50)
GROOVE_GREY = 0.30
TINT = np.array([1.0, 0.965, 0.88])
"""Red, green, blue of a halogen lamp on steel."""
BLUR_UM = 0.20
"""Resolution of the objective, 0.61 λ / NA = 0.4 µm at an aperture of 0.8, as a Gaussian."""
NOISE = 0.022
VIGNETTE = 0.28
N_SCRATCHES = 7.0
"""In a field of 512 × 512 pixels."""
LIMITS: dict[str, Limits] = {
    "pixel_size_nm": (50.0, 5000.0, "nm"),
    "etching_s": (1.0, 120.0, "s"),
    **dict.fromkeys(("noise", "illumination", "scratches"), STRENGTH),
}


@dataclass(frozen=True)
class OpticalConditions:
    """How the section was etched and imaged; a strength of 0 leaves a fault out, 1 is usual.

    Parameters
    ----------
    pixel_size_nm : edge of a pixel, nm
    etching_s : in nital; from a few seconds on, boundaries and lamellae stand out
    noise, illumination, scratches : strengths of the faults

    Raises
    ------
    ValueError
        For conditions that cannot be.
    """

    pixel_size_nm: float = 300.0
    etching_s: float = 10.0
    noise: float = 1.0
    illumination: float = 1.0
    scratches: float = 1.0

    def __post_init__(self) -> None:
        problems = beyond(self, LIMITS)
        if problems:
            raise ValueError("; ".join(problems) + "; the defaults are OpticalConditions()")


class OpticalMicrograph(NamedTuple):
    """One field of view."""

    image: NDArray[np.uint8]
    """Colours, shape (H, W, 3)."""
    labels: NDArray[np.uint8]
    """The phase of each pixel, shape (H, W), in the order of `OPTICAL_PHASES`."""
    conditions: OpticalConditions


@dataclass(frozen=True)
class _Section:
    """What the light microscope looks at, pixel by pixel, each of shape (H, W)."""

    labels: NDArray[np.uint8]
    grain: NDArray[np.int_]
    neighbour: NDArray[np.int_]
    """The number of the pixel's grain and of the one next to it."""
    depth: Array
    """0 far from a boundary, 1 in the middle of its groove."""
    y: Array
    x: Array
    """Places, µm."""


def optical_field(
    seed: int,
    *,
    shape: tuple[int, int] = (512, 512),
    conditions: OpticalConditions | None = None,
) -> OpticalMicrograph:
    """Return one micrograph of a specimen of its own, with the truth.

    Parameters
    ----------
    seed : which specimen, and which noise
    shape : rows and columns
    conditions : of etching and imaging

    Examples
    --------
    >>> image, labels, conditions = optical_field(3, shape=(64, 96))
    >>> image.shape, image.dtype, labels.shape
    ((64, 96, 3), dtype('uint8'), (64, 96))
    """
    problems = seed_problems(seed)
    if min(shape) < 1:
        problems.append(f"shape must be positive, got {shape}")
    if problems:
        raise ValueError("; ".join(problems) + "; try optical_field(1, shape=(512, 512))")
    conditions = OpticalConditions() if conditions is None else conditions
    section = _cut(seed, shape, conditions.pixel_size_nm / 1000.0)
    streams = iter(np.random.default_rng([seed, 21]).spawn(4))
    light = _reflectivity(section, conditions, next(streams))
    light = gaussian_filter(light, [1000.0 * BLUR_UM / conditions.pixel_size_nm] * 2 + [0.0])
    light *= _scratches(shape, conditions, next(streams))[..., None]
    light *= _illumination(shape, conditions, next(streams))[..., None]
    light += conditions.noise * NOISE * next(streams).standard_normal(light.shape)
    image = np.clip(np.rint(255.0 * light), 0, 255).astype(np.uint8)
    return OpticalMicrograph(image, section.labels, conditions)


def _cut(seed: int, shape: tuple[int, int], pixel_um: float) -> _Section:
    """Return the section: grains around scattered centres, with wavy boundaries."""
    rng = np.random.default_rng([seed, 20])
    waves = [GaussianField(rng, size, spread=0.3) for size in (15.0, 15.0, 5.0, 5.0)]
    share = rng.uniform(*PEARLITE_SHARE)
    clusters = GaussianField(rng, 60.0, spread=0.3)
    y, x = (pixel_um * (np.arange(n, dtype=np.float64) + 0.5) for n in shape)
    plane = np.zeros(1)
    shifts = [wave(plane, y, x)[0] for wave in waves]
    positions = np.stack(
        [
            y[:, None] + WAVINESS_UM * (shifts[0] + 0.12 * shifts[2]),
            x[None, :] + WAVINESS_UM * (shifts[1] + 0.12 * shifts[3]),
        ],
        axis=-1,
    )
    centres, draws = _centres(seed, shape, pixel_um)
    distance, nearest = cKDTree(centres).query(positions, k=2)
    # The distance to the plane half-way between two centres: (d₂² − d₁²) / 2 |c₂ − c₁|.
    apart = np.linalg.norm(centres[nearest[..., 0]] - centres[nearest[..., 1]], axis=-1)
    to_boundary = (distance[..., 1] ** 2 - distance[..., 0] ** 2) / (2.0 * apart)
    tendency = np.array([clusters(plane, c[:1], c[1:])[0, 0, 0] for c in centres])
    dark = np.argsort(np.argsort(tendency + 3.0 * draws)) < share * len(centres)
    first, second = nearest[..., 0], nearest[..., 1]
    labels = np.where(dark[first], PEARLITE, FERRITE)
    # Colonies of pearlite that touch show no groove between them.
    groove = (to_boundary < 0.5 * BOUNDARY_UM) & ~(dark[first] & dark[second])
    labels[groove] = BOUNDARY
    depth = np.exp(-((to_boundary / (0.5 * BOUNDARY_UM)) ** 4))
    depth[dark[first] & dark[second]] = 0.0
    flat_y, flat_x = np.meshgrid(y, x, indexing="ij")
    return _Section(labels.astype(np.uint8), first, second, depth, flat_y, flat_x)


def _centres(seed: int, shape: tuple[int, int], pixel_um: float) -> tuple[Array, Array]:
    """Return the centres (n, 2) of the grains, µm, on a jittered lattice; and a draw for each."""
    counts = [int(np.ceil(n * pixel_um / GRAIN_UM)) + 4 for n in shape]
    centres, draws = [], []
    for cell in np.ndindex(*counts):
        jitter = np.random.default_rng([seed, 22, *cell]).uniform(size=3)
        centres.append((np.array(cell) - 2.0 + jitter[:2]) * GRAIN_UM)
        draws.append(jitter[2])
    return np.array(centres), np.array(draws)


def _reflectivity(
    section: _Section, conditions: OpticalConditions, rng: np.random.Generator
) -> Array:
    """Return the light that comes back, shape (H, W, 3), 0 … 1."""
    n = int(max(section.grain.max(), section.neighbour.max())) + 1
    etched = 1.0 - np.exp(-conditions.etching_s / 6.0)
    grey = FERRITE_GREY + etched * ORIENTATION_SPREAD * rng.standard_normal(n)
    hue = 1.0 + 0.012 * etched * rng.standard_normal((n, 3))
    light = grey[section.grain][..., None] * (TINT * hue)[section.grain]
    pearlite = _lamellae(section, n, rng)
    contrast = 0.35 + 0.65 * etched
    brown = np.array([1.0, 0.94, 0.84])
    dark = FERRITE_GREY + contrast * (pearlite - FERRITE_GREY)
    light = np.where(_inside_pearlite(section)[..., None], dark[..., None] * brown, light)
    # A groove is as deep as its two grains differ in orientation.
    pair = rng.uniform(0.6, 1.0, n)
    strength = etched * np.minimum(pair[section.grain], pair[section.neighbour]) * section.depth
    return np.asarray(light + strength[..., None] * (GROOVE_GREY - light))


def _inside_pearlite(section: _Section) -> NDArray[np.bool_]:
    """Return where the pixel's grain is pearlite, its half of the groove included."""
    dark = np.unique(section.grain[section.labels == PEARLITE])
    return np.isin(section.grain, dark)


def _lamellae(section: _Section, n: int, rng: np.random.Generator) -> Array:
    """Return the grey of plates of ferrite and cementite, a direction and spacing a colony."""
    angle, phase = rng.uniform(0.0, np.pi, n), rng.uniform(0.0, 2.0 * np.pi, n)
    spacing = rng.uniform(*LAMELLAE_UM, n)[section.grain]
    bend = 0.5 * np.sin(section.x / 5.0 + phase[section.grain])
    along = section.x * np.cos(angle)[section.grain] + section.y * np.sin(angle)[section.grain]
    wave = np.sin(2.0 * np.pi * (along + bend) / spacing + phase[section.grain])
    low, high = LAMELLA_GREY
    base = rng.normal(0.0, 0.03, n)[section.grain]
    return np.asarray(0.5 * (low + high) + 0.5 * (high - low) * np.tanh(2.5 * wave) + base)


def _scratches(
    shape: tuple[int, int], conditions: OpticalConditions, rng: np.random.Generator
) -> Array:
    """Return the factor by which scratches of the polishing darken or brighten the image."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    factor = np.ones(shape)
    usual = N_SCRATCHES * np.sqrt(shape[0] * shape[1]) / 512.0
    for _ in range(rng.poisson(conditions.scratches * usual)):
        angle = rng.normal(0.6, 0.35)
        across = (rows - rng.uniform(0, shape[0])) * np.cos(angle)
        across -= (columns - rng.uniform(0, shape[1])) * np.sin(angle)
        along = rows * np.sin(angle) + columns * np.cos(angle)
        middle, half = rng.uniform(0, max(shape)), rng.uniform(0.15, 0.7) * max(shape)
        fades = 1.0 / (1.0 + np.exp((np.abs(along - middle) - half) / 8.0))
        width, sign = rng.uniform(0.4, 0.9), rng.choice([-0.18, 0.10])
        factor += sign * fades * np.exp(-0.5 * (across / width) ** 2)
    return factor


def _illumination(
    shape: tuple[int, int], conditions: OpticalConditions, rng: np.random.Generator
) -> Array:
    """Return the lamp's brightness over the field: off-centre and falling to the corners."""
    v, u = np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in shape), indexing="ij")
    centre = rng.uniform(-0.6, 0.6, 2)
    falling = 0.5 * ((v - centre[0]) ** 2 + (u - centre[1]) ** 2)
    exposure = 1.0 + 0.1 * rng.uniform(-1.0, 1.0)
    return np.asarray(exposure * (1.12 - conditions.illumination * VIGNETTE * falling))
