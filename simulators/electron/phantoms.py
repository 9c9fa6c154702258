"""Label volumes whose areas, lines and lengths are known: for tests and benchmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

__all__ = ["CUBE", "cap", "grains", "ring", "voxel_positions"]

Labels = NDArray[np.uint8]
CUBE = (1.0, 1.0, 1.0)


def voxel_positions(shape: Any, voxel: Any, centre: Any = (0.0, 0.0, 0.0)) -> NDArray[np.float64]:
    """Return z, y, x of all voxels from the middle of the box and a centre, nm: (Z, Y, X, 3)."""
    axes = [
        (np.arange(n) + 0.5) * step - n * step / 2 - at
        for n, step, at in zip(shape, voxel, centre, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def cap(r: float, voxel: Any = CUBE, centre: Any = (0.0, 0.0, 0.0)) -> Labels:
    """Return a sphere of phase 2 on the plane z = 0 between the phases 0 and 1; halves in each."""
    shape = [2 * int(r / step + 4) for step in voxel]
    q = voxel_positions(shape, voxel, centre)
    labels = np.where(q[..., 0] > 0, 1, 0)
    return np.where((q**2).sum(axis=-1) < r * r, 2, labels).astype(np.uint8)


def ring(r: float, turn: int, voxel: Any = CUBE) -> Labels:
    """Return three sectors of 120° that meet in one tilted ring of radius r."""
    shape = [2 * int((r + 6) / step + 1) for step in voxel]
    rng = np.random.default_rng(turn)
    q = (
        voxel_positions(shape, voxel, rng.random(3) * voxel)
        @ Rotation.random(random_state=turn).as_matrix()
    )
    angle = np.arctan2(q[..., 0], np.hypot(q[..., 1], q[..., 2]) - r)
    return np.asarray((angle + np.pi / 6) // (2 * np.pi / 3) % 3, dtype=np.uint8)


def grains(shape: Any, seed: int = 0, width: float = 2.0, n_phases: int = 3) -> Labels:
    """Return a random structure: the largest of some smooth fields, periodic."""
    rng = np.random.default_rng(seed)
    fields = [
        gaussian_filter(rng.standard_normal(shape), width, mode="wrap") for _ in range(n_phases)
    ]
    return np.asarray(np.argmax(fields, axis=0), dtype=np.uint8)
