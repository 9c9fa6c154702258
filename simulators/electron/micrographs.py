"""Micrographs of a polished section, as a scanning electron microscope shows it.

The section is a plane of labels of `simulators.electron.fibsem_sample`; the image adds what real
micrographs have: texture, blur, relief at edges, curtains of the ion beam, charging, shading,
drift, noise, and a contrast that differs from image to image. The faults keep thresholds from
separating the phases (three-level Otsu reaches a mean IoU below 0.8), but hide none of them: the
mean over 5 x 5 pixels tells the phases apart anywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates
from scipy.signal import lfilter
from scipy.special import erfinv

from bl_steer.protocols import Array
from simulators.electron.fibsem_sample import CARBON, FAMILIES, OXIDE, VOID, FibsemSpecimen
from simulators.electron.imaging import ImagingConditions
from simulators.textures import smooth_noise

__all__ = ["Micrograph", "field", "micrograph"]

DEFAULT = ImagingConditions()

NOISE = 0.062
"""Standard deviation at 10 µs a pixel and a grey of 0.5; half is shot noise."""
CURTAIN_FINE = 0.035
CURTAIN_BROAD = 0.05
"""Amplitudes of curtains of some pixels and of some tens of pixels."""
CHARGING = 0.22
CHARGED_SHARE = 0.22
"""Share of the image that charges."""
SHADING = 0.14
"""Amplitude of the slow change of brightness across the image."""
DRIFT_PX = 0.3
GAIN = (0.78, 1.12)
OFFSET = (-0.05, 0.10)
GAMMA = (0.88, 1.14)
"""From micrograph to micrograph, at a `gain_spread` of 1."""
TEXTURE = {OXIDE: 0.018, CARBON: 0.030, VOID: 0.014}
RELIEF = 0.09
"""Bright edge of the oxide: the secondary electrons' edge effect."""


class Micrograph(NamedTuple):
    """One field of view."""

    image: NDArray[np.uint8]
    """Grey levels, shape (H, W)."""
    labels: NDArray[np.uint8]
    """The phase of each pixel, shape (H, W), exact."""
    conditions: ImagingConditions


def field(
    family: str,
    seed: int,
    *,
    shape: tuple[int, int] = (512, 512),
    conditions: ImagingConditions = DEFAULT,
) -> Micrograph:
    """Return one micrograph of a specimen of its own, with the truth.

    Parameters
    ----------
    family : of `simulators.electron.fibsem_sample.FAMILIES`
    seed : which specimen, and which noise
    shape : rows and columns
    conditions : of the microscope

    Examples
    --------
    >>> image, labels, conditions = field("network", 3, shape=(64, 96))
    >>> image.shape, image.dtype, labels.shape, conditions.pixel_size_nm
    ((64, 96), dtype('uint8'), (64, 96), 10.0)
    """
    specimen = FibsemSpecimen(
        family, seed=seed, shape=(1, *shape), voxel_nm=conditions.pixel_size_nm
    )
    labels = specimen.labels[0]
    return Micrograph(
        micrograph(labels, conditions, seed=[seed, FAMILIES.index(family)]), labels, conditions
    )


def micrograph(
    labels: NDArray[np.uint8],
    conditions: ImagingConditions = DEFAULT,
    *,
    seed: int | list[int],
    face_seed: int | list[int] | None = None,
) -> NDArray[np.uint8]:
    """Return the image of a section, grey levels 0 … 255.

    Parameters
    ----------
    labels : shape (H, W), phases in the order of `fibsem_sample.PHASES`, one voxel a pixel
    conditions : of the microscope
    seed : of everything that is random; the same seed gives the same image
    face_seed : of what belongs to the section and not to its image (texture, charging, curtains);
        a second image of the same section has it in common with the first. `seed` by default

    Raises
    ------
    ValueError
        If the labels are no plane of the three phases.
    """
    if labels.ndim != 2 or labels.size == 0 or not 0 <= labels.min() <= labels.max() <= VOID:
        raise ValueError(
            f"labels must be a plane of {OXIDE}, {CARBON} and {VOID}, got shape {labels.shape}; "
            "give one plane of FibsemSpecimen.labels"
        )
    image = np.random.default_rng(seed).spawn(8)
    face = image if face_seed is None else np.random.default_rng(face_seed).spawn(8)
    grey = _section(labels, conditions, face[0])
    grey = gaussian_filter(grey, conditions.probe_nm / conditions.pixel_size_nm)
    grey += _charging(labels, conditions, face[1])
    grey *= 1.0 + _curtains(grey.shape, conditions, face[2])
    grey += _shading(grey.shape, conditions, image[3])
    grey = _drifted(grey, conditions, image[4])
    grey = _contrast(grey, conditions, image[5])
    grey += _noise(grey, conditions, image[6])
    return np.asarray(np.clip(np.rint(255.0 * grey), 0, 255), dtype=np.uint8)


def _section(
    labels: NDArray[np.uint8], conditions: ImagingConditions, rng: np.random.Generator
) -> Array:
    """Return the section's own signal: grey, texture and relief, before any fault."""
    grey = np.asarray(conditions.grey)[labels]
    rough = 1.0 + conditions.etching_s / 60.0
    fine = smooth_noise(labels.shape, 25.0 / conditions.pixel_size_nm, rng)
    coarse = smooth_noise(labels.shape, 160.0 / conditions.pixel_size_nm, rng)
    # Carbon black is made of granules; oxide shows broad contrast of crystal orientation.
    grey += TEXTURE[CARBON] * rough * fine * (labels == CARBON)
    grey += TEXTURE[OXIDE] * coarse * (labels == OXIDE)
    grey += TEXTURE[VOID] * coarse * (labels == VOID)
    return grey + _relief(labels, conditions)


def _relief(labels: NDArray[np.uint8], conditions: ImagingConditions) -> Array:
    """Return bright rims of the oxide, and the shade that pores take under an etched edge."""
    width = 25.0 / conditions.pixel_size_nm
    etched = 1.0 - np.exp(-conditions.etching_s / 60.0)
    oxide = (labels == OXIDE).astype(float)
    edge = gaussian_filter(oxide, width)
    rim = oxide * (1.0 - edge) * RELIEF * (0.5 + 2.0 * etched)
    shade = (1.0 - oxide) * edge * 0.12 * etched
    return np.asarray(rim - shade)


def _charging(
    labels: NDArray[np.uint8], conditions: ImagingConditions, rng: np.random.Generator
) -> Array:
    """Return bright patches near oxide with tails along the scan, from left to right.

    Oxide gathers charge above the voltage at which it emits as many electrons as it takes.
    """
    size = 700.0 / conditions.pixel_size_nm
    level = np.sqrt(2.0) * float(erfinv(1.0 - 2.0 * CHARGED_SHARE))
    patches = np.clip(smooth_noise(labels.shape, size, rng) - level, 0.0, 1.5)
    charged = gaussian_filter(patches * (labels == OXIDE), 120.0 / conditions.pixel_size_nm)
    decay = np.exp(-conditions.pixel_size_nm / 600.0)
    tails = lfilter([1.0 - decay], [1.0, -decay], charged, axis=1)
    # A line charges as a whole or not: streaks.
    streaks = 1.0 + 0.45 * gaussian_filter1d(rng.standard_normal(labels.shape[0]), 0.8)[:, None]
    voltage = np.clip(conditions.accelerating_voltage_kV / 2.0, 0.0, 2.5) ** 0.7
    strength = CHARGING * conditions.charging * voltage
    return np.asarray(strength * (0.7 * charged + 1.3 * tails * streaks))


def _curtains(
    shape: tuple[int, ...], conditions: ImagingConditions, rng: np.random.Generator
) -> Array:
    """Return the relative brightness of vertical stripes that come and go down the image."""
    height, width = shape
    stripes = np.zeros(shape)
    for amplitude, across in ((CURTAIN_FINE, 1.3), (CURTAIN_BROAD, 7.0)):
        profile = gaussian_filter1d(rng.standard_normal(width), across, mode="wrap")
        profile *= amplitude / max(float(profile.std()), 1e-9)
        life = 1.0 + 0.5 * smooth_noise((height, width), 60.0, rng)
        stripes += profile[None, :] * np.clip(life, 0.0, 2.0)
    return conditions.curtaining * stripes


def _shading(
    shape: tuple[int, ...], conditions: ImagingConditions, rng: np.random.Generator
) -> Array:
    """Return the slow background: a slope and a bowl across the image."""
    v, u = np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in shape), indexing="ij")
    angle = rng.uniform(0.0, 2.0 * np.pi)
    slope = u * np.cos(angle) + v * np.sin(angle)
    bowl = rng.choice([-1.0, 1.0]) * (0.67 - u**2 - v**2)
    amplitude = SHADING * conditions.shading * rng.uniform(0.8, 1.2)
    return np.asarray(amplitude * (slope + 0.35 * bowl))


def _drifted(grey: Array, conditions: ImagingConditions, rng: np.random.Generator) -> Array:
    """Return the image with each line shifted: slow drift of the stage, and some jitter.

    The shift is some tenths of a pixel about 0, so the truth keeps its place.
    """
    height, width = grey.shape
    ramp = rng.uniform(-1.0, 1.0) * np.linspace(-1.0, 1.0, height)
    jitter = 0.5 * gaussian_filter1d(rng.standard_normal(height), 1.0)
    shift = DRIFT_PX * conditions.drift * (ramp + jitter)
    rows, columns = np.mgrid[:height, :width].astype(float)
    return np.asarray(
        map_coordinates(grey, [rows, columns + shift[:, None]], order=1, mode="nearest")
    )


def _contrast(grey: Array, conditions: ImagingConditions, rng: np.random.Generator) -> Array:
    """Return the grey as the operator's contrast and brightness of the day show it."""
    spread = conditions.gain_spread
    gain, offset, gamma = (rng.uniform(*limits) for limits in (GAIN, OFFSET, GAMMA))
    grey = np.clip(grey, 0.0, None) ** (1.0 + spread * (gamma - 1.0))
    return np.asarray((1.0 + spread * (gain - 1.0)) * grey + spread * offset)


def _noise(grey: Array, conditions: ImagingConditions, rng: np.random.Generator) -> Array:
    """Return electronic noise and shot noise, whose variance goes with the signal."""
    variance = 0.5 + np.clip(grey, 0.0, None)
    amplitude = NOISE * conditions.noise * np.sqrt(10.0 / conditions.dwell_us)
    return np.asarray(amplitude * np.sqrt(variance) * rng.standard_normal(grey.shape))
