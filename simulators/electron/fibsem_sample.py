"""Specimens of a battery electrode for the electron microscope, with their exact truth.

Three phases in three dimensions: oxide, carbon, void. A specimen has no edges: it can be cut at
any place and any voxel size, and the same place always holds the same phase. How a section looks
in the microscope is the business of `simulators.electron.micrographs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array
from simulators.electron.microstructures import Grains, Microstructure, Network
from simulators.seeds import seed_problems

__all__ = ["FAMILIES", "PHASES", "FibsemSpecimen", "sections_at"]

FAMILIES: Final = ("grains", "network")
"""Kinds of microstructure: packed particles, and a percolating network."""

PHASES: Final = ("oxide", "carbon", "void")
"""Names of the phases, in the order of their labels; analyses of such images use the same order."""

OXIDE, CARBON, VOID = range(3)
OXIDE_FRACTION = (0.38, 0.57)
CARBON_FRACTION = (0.12, 0.23)
SCALE = (0.85, 1.25)
"""Ranges from which a specimen's volume fractions and the factor on its lengths are drawn."""
N_REFERENCE = (14, 56, 56)
REFERENCE_NM = 130.0
"""The box on which the specimen's levels are set: voxels along z, y, x and their size."""
SLAB_VOXELS = 2**21
"""Cut at a time: a large box needs little memory beyond its labels."""


class FibsemSpecimen:
    """A box cut from a three-phase electrode.

    Parameters
    ----------
    family : "grains" or "network"
    seed : which specimen of the family
    shape : voxels along z, y, x
    voxel_nm : edge of a voxel, nm
    origin_um : place (z, y, x) of the box's first corner in the specimen, µm

    Raises
    ------
    ValueError
        For an unknown family, a negative seed, an empty box or a voxel without size.

    Examples
    --------
    >>> specimen = FibsemSpecimen("grains", seed=1, shape=(1, 64, 64))
    >>> specimen.labels.shape, specimen.labels.dtype
    ((1, 64, 64), dtype('uint8'))
    >>> sorted(specimen.fractions)
    ['carbon', 'oxide', 'void']
    """

    def __init__(
        self,
        family: str,
        *,
        seed: int,
        shape: tuple[int, int, int] = (1, 512, 512),
        voxel_nm: float = 10.0,
        origin_um: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        _check(family, seed, shape, voxel_nm, origin_um)
        self.family = family
        self.seed = seed
        self.shape = shape
        self.voxel_nm = voxel_nm
        self.origin_um = origin_um
        self._material = _material(family, seed)
        self.expected_oxide = self._material.oxide
        """Volume fraction of the whole specimen; a box of it has about as much."""
        self.expected_carbon = self._material.carbon

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """The phase of each voxel, shape `shape`: 0 oxide, 1 carbon, 2 void."""
        z, y, x = (
            1e3 * start + _centres(n, self.voxel_nm)
            for start, n in zip(self.origin_um, self.shape, strict=True)
        )
        labels = np.empty(self.shape, dtype=np.uint8)
        step = max(1, SLAB_VOXELS // (len(y) * len(x)))
        for first in range(0, len(z), step):
            slab = slice(first, first + step)
            labels[slab] = self._material.phases_at(z[slab], y, x)
        return labels

    @property
    def fractions(self) -> dict[str, float]:
        """Volume fraction of each phase in the box, by the phase's name."""
        counts = np.bincount(self.labels.ravel(), minlength=len(PHASES))
        return dict(zip(PHASES, (counts / counts.sum()).tolist(), strict=True))


@dataclass(frozen=True)
class _Material:
    """A microstructure with the levels at which it has its volume fractions."""

    structure: Microstructure
    oxide: float
    carbon: float
    oxide_level: float
    carbon_level: float

    def phases_at(self, z: Array, y: Array, x: Array) -> NDArray[np.uint8]:
        """Return the phases on a grid of positions, nm; shape (len(z), len(y), len(x))."""
        oxide, carbon = self.structure.fields(z, y, x)
        labels = np.where(carbon > self.carbon_level, CARBON, VOID)
        labels[oxide > self.oxide_level] = OXIDE
        return labels.astype(np.uint8)


def sections_at(
    z_nm: Array,
    *,
    family: str,
    seed: int,
    shape: tuple[int, int],
    pixel_nm: float,
    displacement_nm: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.uint8]:
    """Return the phases of a specimen's sections at any depths, shape (n, H, W).

    Parameters
    ----------
    z_nm : depths of the sections, (n,), ascending
    shape : rows and columns; the first pixel's corner is the specimen's origin
    displacement_nm : of the specimen in the image (y, x)

    Raises
    ------
    ValueError
        For an unknown family, a negative seed, an empty field or a pixel without size.
    """
    _check(family, seed, (1, *shape), pixel_nm, (0.0, 0.0, 0.0))
    material = _material(family, seed)
    y, x = (_centres(n, pixel_nm) - d for n, d in zip(shape, displacement_nm, strict=True))
    labels = np.empty((len(z_nm), *shape), dtype=np.uint8)
    step = max(1, SLAB_VOXELS // (len(y) * len(x)))
    for first in range(0, len(labels), step):
        slab = slice(first, first + step)
        labels[slab] = material.phases_at(np.asarray(z_nm, np.float64)[slab], y, x)
    return labels


@lru_cache(maxsize=32)
def _material(family: str, seed: int) -> _Material:
    """Return what a specimen is made of; the same for all boxes cut from it."""
    rng = np.random.default_rng([seed, 10, FAMILIES.index(family)])
    oxide, carbon = float(rng.uniform(*OXIDE_FRACTION)), float(rng.uniform(*CARBON_FRACTION))
    scale = float(rng.uniform(*SCALE))
    structure = Grains(seed, scale) if family == "grains" else Network(seed, scale)
    to_oxide, to_carbon = structure.fields(*(_centres(n, REFERENCE_NM) for n in N_REFERENCE))
    oxide_level = float(np.quantile(to_oxide, 1.0 - oxide))
    pores = to_carbon[to_oxide <= oxide_level]
    carbon_level = float(np.quantile(pores, 1.0 - carbon / (1.0 - oxide)))
    return _Material(structure, oxide, carbon, oxide_level, carbon_level)


def _centres(n: int, size: float) -> Array:
    """Return the centres of `n` voxels in a row."""
    return size * (np.arange(n, dtype=np.float64) + 0.5)


def _check(
    family: str,
    seed: int,
    shape: tuple[int, int, int],
    voxel_nm: float,
    origin_um: tuple[float, float, float],
) -> None:
    problems = []
    if family not in FAMILIES:
        problems.append(f"family must be one of {', '.join(FAMILIES)}, got {family!r}")
    problems += seed_problems(seed)
    if len(shape) != 3 or min(shape) < 1:
        problems.append(f"shape must be three positive numbers of voxels (z, y, x), got {shape}")
    if not 0.0 < voxel_nm < np.inf:
        problems.append(f"voxel_nm must be positive and finite, got {voxel_nm:g} nm")
    if len(origin_um) != 3 or not np.isfinite(origin_um).all():
        problems.append(f"origin_um must be three finite positions (z, y, x), got {origin_um} µm")
    if problems:
        raise ValueError("; ".join(problems) + '; try FibsemSpecimen("grains", seed=1)')
