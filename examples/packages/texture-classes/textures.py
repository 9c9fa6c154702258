"""Three textures of etched metals, made from a seed: lamellae, grains, pores."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree


def micrograph(texture, seed, shape=(256, 256)):
    """Return a micrograph of a texture, 8 bits, with blur, shading and noise."""
    rng = np.random.default_rng([seed, sum(texture.encode())])
    ideal = {"lamellae": lamellae, "grains": grains, "pores": pores}[texture](rng, shape)
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    slope = rng.uniform(-0.2, 0.2, 2)
    grey = gaussian_filter(ideal, rng.uniform(0.6, 1.2)) + slope[0] * y + slope[1] * x
    grey += rng.normal(0, rng.uniform(0.04, 0.12), shape)
    contrast, brightness = rng.uniform(60, 110), rng.uniform(100, 150)
    return np.clip(brightness + contrast * (grey - 0.5), 0, 255).astype(np.uint8)


def lamellae(rng, shape):
    """Return bands of some pixels' width that turn slowly, values 0 … 1."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle, period = rng.uniform(0, np.pi), rng.uniform(7, 14)
    bend = gaussian_filter(rng.normal(size=shape), 24)
    phase = (x * np.cos(angle) + y * np.sin(angle)) / period + 0.6 * bend / bend.std()
    return 0.5 + 0.5 * np.tanh(2 * np.sin(2 * np.pi * phase))


def grains(rng, shape):
    """Return grains of single greys with dark boundaries, values 0 … 1."""
    size = rng.uniform(18, 32)
    seeds = rng.uniform(0, 1, (int(shape[0] * shape[1] / size**2), 2)) * shape
    points = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1).reshape(-1, 2)
    distance, owner = cKDTree(seeds).query(points, k=2)
    greys = rng.uniform(0.35, 1.0, len(seeds))[owner[:, 0]]
    return np.where(distance[:, 1] - distance[:, 0] < 2.0, 0.0, greys).reshape(shape)


def pores(rng, shape):
    """Return dark rounded pores in an even ground, values 0 … 1."""
    field = gaussian_filter(rng.normal(size=shape), rng.uniform(4, 8))
    return np.where(field < np.quantile(field, rng.uniform(0.12, 0.25)), 0.0, 0.85)
