"""A stack with its truth for the benchmarks of super-resolution, and what is measured on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from bl_steer.analysis.segmentation import confusion, iou
from simulators.electron.fibsem_sample import FibsemSpecimen

EDGE = 161
"""Voxels along each axis: whole intervals for 2×, 4×, 8× and 16×, and the last slice."""
VOXEL_NM = {"grains": 17.0, "network": 25.0}
"""Chosen so that nearest neighbour and threshold score an mIoU of .76 to .80 at 8×."""
ORIGIN_UM = (3.0, 3.0, 3.0)
GREY = (0.75, 0.40, 0.12)
"""Of oxide, carbon and void. Carbon lies between: a blurred oxide-void edge looks like carbon."""
PROBE_VX, NOISE = 0.5, 0.03
CROFTON = {1: 0.0916, 2: 0.0740, 3: 0.0704}
"""Weights of the directions to face, edge and corner neighbours of a cube (Ohser and Mücklich)."""


@dataclass(frozen=True)
class Phantom:
    """Labels, the grey without noise, and the grey that the microscope sees, (N, N, N)."""

    labels: NDArray[np.uint8]
    clean: NDArray[np.float32]
    seen: NDArray[np.float32]

    def cut(self, n: int) -> Phantom:
        """Return the first n planes."""
        return Phantom(self.labels[:n], self.clean[:n], self.seen[:n])


def phantom(family: str, seed: int, edge: int = EDGE) -> Phantom:
    labels = FibsemSpecimen(
        family,
        seed=seed,
        shape=(edge, edge, edge),
        voxel_nm=VOXEL_NM[family],
        origin_um=ORIGIN_UM,
    ).labels
    # The probe blurs in the plane; along z a slice is thin.
    clean = gaussian_filter(np.asarray(GREY)[labels], (0, PROBE_VX, PROBE_VX)).astype(np.float32)
    noise = np.random.default_rng([seed, 77]).normal(0, NOISE, clean.shape)
    return Phantom(labels, clean, (clean + noise).astype(np.float32))


def thresholded(grey: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the phase whose grey is nearest."""
    oxide, carbon, void = GREY
    order = np.array([2, 1, 0], np.uint8)
    return order[np.digitize(grey, [(void + carbon) / 2, (carbon + oxide) / 2])]


def inserted(n_planes: int, factor: int) -> NDArray[np.bool_]:
    return np.arange(n_planes) % factor != 0


def psnr(truth: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return the peak signal-to-noise ratio for a range of 1, dB."""
    return float(-10 * np.log10(np.mean((truth - found) ** 2)))


def ssim(truth: NDArray[np.float32], found: NDArray[np.float32], axis: int = 1) -> float:
    """Return the mean structural similarity of sections across `axis`, for a range of 1."""
    truth, found = np.moveaxis(truth, axis, 0)[::8], np.moveaxis(found, axis, 0)[::8]
    pairs = zip(truth, found, strict=True)
    return float(np.mean([structural_similarity(a, b, data_range=1.0) for a, b in pairs]))


def miou(truth: NDArray[np.uint8], found: NDArray[np.uint8], n_phases: int = 3) -> float:
    return float(np.nanmean(iou(confusion(truth, found, n_phases))))


def volumes(labels: NDArray[np.uint8], n_phases: int = 3) -> NDArray[np.float64]:
    return np.bincount(labels.ravel(), minlength=n_phases) / labels.size


def areas(labels: NDArray[np.uint8], n_phases: int = 3) -> NDArray[np.float64]:
    """Return the contact areas of the pairs of phases that fill a box, in faces of a voxel.

    A_ij = 2 Σ_d w_d n_ij(d) / |d|, each count divided by its share of available pairs.
    """
    pairs = list(combinations(range(n_phases), 2))
    total = np.zeros(len(pairs))
    for offset in (d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)):
        here = tuple(
            slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, labels.shape, strict=True)
        )
        there = tuple(
            slice(max(0, o), n - max(0, -o)) for o, n in zip(offset, labels.shape, strict=True)
        )
        both = labels[here].astype(np.uint16) * n_phases + labels[there]
        counts = np.bincount(both.ravel(), minlength=n_phases**2).reshape(n_phases, n_phases)
        steps = sum(map(abs, offset))
        found = np.array([counts[i, j] + counts[j, i] for i, j in pairs])
        total += 2 * CROFTON[steps] * found / np.sqrt(steps) * labels.size / both.size
    return total
