"""Which texture does each part of a micrograph show? Before and after the classifier.

Features are taken tile by tile: how much grey varies at each size of detail, in both directions,
and how its values are spread. They do not change with brightness and contrast.
"""

from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter

CLASSES = ("lamellae", "grains", "pores")
COLOURS = ("#0072B2", "#E69F00", "#CC79A7")
SCALES_PX = (1.0, 2.0, 4.0, 8.0, 16.0)
PERCENTILES = (5, 25, 50, 75, 95)
TILE_PX = 64


def prepare(inputs, params):
    """Return the features of all tiles of all micrographs, shape (n_tiles, n_features)."""
    return np.vstack([features(image, params.tile_px) for _, image in fields(inputs)])


def finish(prediction, inputs, params):
    """Return a row for each micrograph and for each tile, and a map of classes.

    `prediction` is what `predict_proba` returns: shape (n_tiles, n_classes).
    """
    grids = {name: grid(image, params.tile_px) for name, image in fields(inputs)}
    ends = np.cumsum([rows * columns for rows, columns in grids.values()])
    parts = dict(zip(grids, np.split(prediction, ends[:-1]), strict=True))
    named = np.array(CLASSES)
    means = np.array([part.mean(axis=0) for part in parts.values()])
    unsure = [name for name, mean in zip(grids, means, strict=True) if mean.max() < params.certain]
    return {
        "tables": {
            "micrographs": {
                "field": np.array(list(grids)),
                "texture": named[means.argmax(axis=1)],
                "probability": means.max(axis=1),
            },
            "tiles": {
                "field": np.repeat(np.array(list(grids)), [len(part) for part in parts.values()]),
                "row": np.concatenate([np.repeat(np.arange(r), c) for r, c in grids.values()]),
                "column": np.concatenate([np.tile(np.arange(c), r) for r, c in grids.values()]),
                "texture": named[prediction.argmax(axis=1)],
                "probability": prediction.max(axis=1),
            },
        },
        "arrays": {
            f"{name}_texture": part.argmax(axis=1).astype(np.uint8).reshape(grids[name])
            for name, part in parts.items()
        },
        "figures": {
            name: lambda image=image, part=parts[name], shape=grids[name]: draw(
                image, part.argmax(axis=1).reshape(shape), params.tile_px
            )
            for name, image in fields(inputs)
        },
        "warnings": [f"{name} is no single texture; look at its tiles." for name in unsure],
    }


def fields(inputs):
    """Yield name and micrograph (H, W) of each field of view; a stack has many."""
    for name, array in inputs.arrays.items():
        if array.ndim == 2:
            yield name, array
        else:
            for plane, image in enumerate(array):
                yield f"{name}_{plane:04d}", image


def grid(image, tile_px):
    """Return how many rows and columns of tiles a micrograph has."""
    rows, columns = image.shape[0] // tile_px, image.shape[1] // tile_px
    if not rows or not columns:
        raise ValueError(
            f"a micrograph must be at least {tile_px} px wide and high, got {image.shape}; "
            "take a smaller tile, or a larger field"
        )
    return rows, columns


def features(image, tile_px=TILE_PX):
    """Return the features of a micrograph's tiles, shape (n_tiles, n_features)."""
    rows, columns = grid(image, tile_px)
    grey = np.asarray(image, float)
    grey = (grey - np.median(grey)) / (np.percentile(grey, 84) - np.percentile(grey, 16) + 1e-9)
    smooth = [grey, *(gaussian_filter(grey, scale) for scale in SCALES_PX)]
    details = [finer - coarser for finer, coarser in pairwise(smooth)]
    maps = [np.abs(detail) for detail in details]
    for image_at_scale in smooth[1:]:
        down, across = np.gradient(image_at_scale)
        maps += [np.abs(down), np.abs(across)]
    means = [tiles(one, rows, columns, tile_px).mean(axis=1) for one in maps]
    spread = np.percentile(tiles(smooth[2], rows, columns, tile_px), PERCENTILES, axis=1)
    return np.column_stack([*np.log(np.array(means) + 1e-6), *spread])


def tiles(image, rows, columns, tile_px):
    """Return the pixels of each tile, shape (n_tiles, tile_px²)."""
    cut = image[: rows * tile_px, : columns * tile_px]
    parts = cut.reshape(rows, tile_px, columns, tile_px).swapaxes(1, 2)
    return parts.reshape(rows * columns, -1)


def draw(image, textures, tile_px):
    """Draw a micrograph with the texture of each tile laid over it."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(4.6, 5.0), layout="constrained")
    ax = figure.subplots()
    ax.imshow(image, cmap="gray")
    height, width = textures.shape[0] * tile_px, textures.shape[1] * tile_px
    ax.imshow(
        textures,
        cmap=ListedColormap(COLOURS),
        vmin=-0.5,
        vmax=len(CLASSES) - 0.5,
        alpha=0.35,
        interpolation="nearest",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )
    ax.set(xlabel="x (px)", ylabel="y (px)", xlim=(-0.5, image.shape[1] - 0.5))
    ax.set_ylim(image.shape[0] - 0.5, -0.5)
    patches = [Patch(color=c, alpha=0.6, label=n) for n, c in zip(CLASSES, COLOURS, strict=True)]
    figure.legend(handles=patches, loc="outside upper center", ncols=3, frameon=False)
    return figure
