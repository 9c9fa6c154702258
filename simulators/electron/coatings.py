"""Sections of layered coatings whose phases are told apart by their place, with the exact truth.

A ceramic coating lies on a bond coat; between them an oxide has grown, and cracks run through it.
The coating has grains as grey as the oxide, and the bond coat is hardly brighter than it; pores,
scratches and fissures of both are as dark and as thin as the cracks, which stand out of the noise
by little: what is oxide or crack, only the layer tells. For battery electrodes, use
`simulators.electron.fibsem_sample`; for etched steel, `simulators.electron.optical_sample`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from bl_steer.protocols import Array
from simulators.seeds import seed_problems
from simulators.textures import smooth_noise

__all__ = ["COATING_PHASES", "CoatingMicrograph", "coating_field"]

COATING_PHASES = ("coating", "oxide", "crack")
"""Names in the order of the labels; bond coat and pores belong to the coating."""
COATING, OXIDE, CRACK = range(3)
GREY = {"coating": 0.68, OXIDE: 0.48, "dark": 0.24}
"""Grains are as grey as the oxide; pores, scratches and fissures are as dark as cracks."""
BOND_COAT = (0.04, 0.09)
"""How much brighter than the oxide the bond coat is, from specimen to specimen."""
GRAINS = 0.5
"""Level of the noise above which the coating is a grain: a third of it."""
THICKNESS_PX = (45.0, 75.0)
SPACING_PX = (18.0, 34.0)
"""Of the cracks along the layer, from specimen to specimen."""
CRACK_PX = (1.2, 2.4)
"""Width of a crack."""
FISSURES = 2.5
"""Spacing of the fissures in coating and bond coat, in that of the cracks."""
BLUR_PX, NOISE, TEXTURE, SHADING, GAIN = 0.8, 0.06, 0.02, 0.06, (0.8, 1.15)
CHARGING, CHARGING_PX = 0.02, 90.0
"""Deviation and size of slow changes of brightness."""


class CoatingMicrograph(NamedTuple):
    """One field of view."""

    image: NDArray[np.uint8]
    """Grey levels, shape (H, W)."""
    labels: NDArray[np.uint8]
    """The phase of each pixel, shape (H, W), in the order of `COATING_PHASES`."""


def coating_field(seed: int, *, shape: tuple[int, int] = (384, 512)) -> CoatingMicrograph:
    """Return one micrograph of a specimen of its own, with the truth.

    Parameters
    ----------
    seed : which specimen, and which noise
    shape : rows and columns, at least 256 rows, or there is no room for the layer

    Examples
    --------
    >>> image, labels = coating_field(3, shape=(256, 300))
    >>> image.shape, image.dtype, sorted(set(labels.ravel().tolist()))
    ((256, 300), dtype('uint8'), [0, 1, 2])
    """
    problems = seed_problems(seed)
    if shape[0] < 256 or shape[1] < 64:
        problems.append(f"shape must be at least (256, 64), got {shape}")
    if problems:
        raise ValueError("; ".join(problems) + "; try coating_field(1, shape=(384, 512))")
    streams = iter(np.random.default_rng([seed, 30]).spawn(6))
    top, bottom = _interfaces(shape, next(streams))
    rows = np.arange(shape[0])[:, None]
    inside = (rows >= top) & (rows < bottom)
    cracked = _cracks(shape, top, bottom, next(streams)) & inside
    labels = np.where(cracked, CRACK, np.where(inside, OXIDE, COATING)).astype(np.uint8)
    grey = _grey(labels, rows < top, next(streams))
    grey[_fissures(shape, top, bottom, next(streams)) & ~inside] = GREY["dark"]
    grey = gaussian_filter(_scratched(grey, ~inside, next(streams)), BLUR_PX)
    image = _imaged(grey, next(streams))
    return CoatingMicrograph(np.clip(np.rint(255.0 * image), 0, 255).astype(np.uint8), labels)


def _interfaces(shape: tuple[int, int], rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the row at which the oxide begins and ends, at each column."""
    height, width = shape
    columns = np.linspace(-0.5, 0.5, width)
    slope = rng.uniform(-0.15, 0.15) * min(width, height)
    middle = height * rng.uniform(0.42, 0.58) + slope * columns
    thickness = rng.uniform(*THICKNESS_PX)
    top = middle - 0.5 * thickness + 7.0 * _waves(width, 60.0, rng)
    return top, top + thickness * (1.0 + 0.12 * _waves(width, 90.0, rng))


def _waves(n: int, size_px: float, rng: np.random.Generator) -> Array:
    """Return a smooth line of deviation 1."""
    line = gaussian_filter1d(rng.standard_normal(n + 400), size_px / 2.0)[200:-200]
    return np.asarray(line * np.sqrt(2.0 * np.sqrt(np.pi) * size_px / 2.0))


def _cracks(
    shape: tuple[int, int],
    top: Array,
    bottom: Array,
    rng: np.random.Generator,
    *,
    spacing: float = 1.0,
) -> NDArray[np.bool_]:
    """Return where cracks run down from one line, most of them to another.

    Parameters
    ----------
    spacing : in that of the cracks of an oxide
    """
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    cracked = np.zeros(shape, dtype=bool)
    step = spacing * rng.uniform(*SPACING_PX)
    at = rng.uniform(0.2, 1.0) * step
    while at < shape[1]:
        start = top[int(at)] - 8.0
        depth = 1.0 if rng.random() < 0.7 else rng.uniform(0.3, 0.8)
        end = start + depth * (bottom[int(at)] - start + 8.0)
        path = at + np.cumsum(0.8 * gaussian_filter1d(rng.standard_normal(shape[0]), 3.0))
        path = path - path[int(np.clip(start, 0, shape[0] - 1))] + at
        width = rng.uniform(*CRACK_PX) * (1.0 + 0.2 * _waves(shape[0], 15.0, rng))
        near = np.abs(columns - path[:, None]) < 0.5 * width[:, None]
        cracked |= near & (rows >= start) & (rows < end)
        at += step * rng.uniform(0.5, 1.5)
    return cracked


def _fissures(
    shape: tuple[int, int], top: Array, bottom: Array, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return fissures of coating and bond coat, drawn as the cracks of the oxide are."""
    thickness = bottom - top
    found = np.zeros(shape, dtype=bool)
    for layers in range(-4, 5):
        away = (layers + rng.uniform(-0.4, 0.4)) * thickness
        found |= _cracks(shape, top + away, bottom + away, rng, spacing=FISSURES)
    return found


def _grey(labels: NDArray[np.uint8], above: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Return the section's own signal: coating with grains and pores, bond coat, oxide, cracks."""
    shape = labels.shape
    bond_coat = GREY[OXIDE] + rng.uniform(*BOND_COAT)
    grey = np.where(above, GREY["coating"], bond_coat)
    grey[above & (smooth_noise(shape, 28.0, rng) > GRAINS)] = GREY[OXIDE]
    pores = smooth_noise(shape, 9.0, rng) > 2.2
    grey[pores] = GREY["dark"]
    grey[labels == OXIDE], grey[labels == CRACK] = GREY[OXIDE], GREY["dark"]
    return np.asarray(grey + TEXTURE * smooth_noise(shape, 4.0, rng))


def _scratched(grey: Array, where: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Return the grey with dark scratches of the polish, which end at the oxide."""
    rows, columns = np.indices(grey.shape)
    for _ in range(rng.poisson(6)):
        angle = rng.uniform(-0.6, 0.6)
        across = (columns - rng.uniform(0, grey.shape[1])) * np.cos(angle)
        across += (rows - rng.uniform(0, grey.shape[0])) * np.sin(angle)
        line = (np.abs(across) < rng.uniform(0.8, 1.6)) & where
        begins = rng.uniform(0, grey.shape[0])
        line &= np.abs(rows - begins) < rng.uniform(30, 90)
        grey = np.where(line, GREY["dark"], grey)
    return grey


def _imaged(grey: Array, rng: np.random.Generator) -> Array:
    """Return what the detector sees: contrast of the day, shading and charging, noise."""
    v, u = np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in grey.shape), indexing="ij")
    slope = SHADING * (rng.uniform(-1, 1) * u + rng.uniform(-1, 1) * v)
    slope += CHARGING * smooth_noise(grey.shape, CHARGING_PX, rng)
    contrast = rng.uniform(*GAIN) * (grey - 0.5) + 0.5 + rng.uniform(-0.06, 0.06)
    return np.asarray(contrast + slope + NOISE * rng.standard_normal(grey.shape))
