"""Labels of a whole image from scribbles on it, by a forest: what runs in the sandbox.

``python -m bl_steer.server.retraining.scribbles`` reads paths as JSON from standard input, leaves
``labels.bin`` in its folder, and says in a line why it could not. `proposal` calls it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bl_steer import files
from bl_steer.analysis import segmentation
from bl_steer.analysis.segmentation import training
from bl_steer.analysis.segmentation.tiles import standardise

__all__ = ["label_all", "main"]

STRIP_PX = 512
"""Rows that are labelled at a time: bounds the memory of their features."""


def main() -> None:
    """Label the image of standard input."""
    task = json.loads(sys.stdin.read())
    image, mask = map(Path, task["paths"])
    try:
        (grey,) = files.read_micrographs(image).fields
        painted = files.read_colours(mask)
        labels = label_all(grey, painted if painted.ndim == 2 else painted[..., 0])
    except ValueError as error:
        sys.stdout.write(" ".join(str(error).split()) + "\n")
        return
    (Path(task["out"]) / "labels.bin").write_bytes(labels.tobytes())


def label_all(image: NDArray[Any], painted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels (H, W) by a forest that is grown from the painted pixels alone.

    Parameters
    ----------
    painted : labels (H, W), `UNLABELLED` where nobody painted

    Raises
    ------
    ValueError
        When fewer than two phases are painted, or the sizes differ.
    """
    if painted.shape != image.shape:
        raise ValueError(f"a mask must have its image's size {image.shape}, got {painted.shape}")
    present = np.unique(painted[painted != segmentation.UNLABELLED])
    if len(present) < 2:
        raise ValueError(f"two phases or more must be painted, got {len(present)}; paint others")
    numbers = np.full(256, segmentation.UNLABELLED, np.uint8)
    numbers[present] = np.arange(len(present))
    phases = segmentation.Phases(
        tuple(
            segmentation.Phase(str(label), None if not k else (k, 0, 0), (k, 0, 0))
            for k, label in enumerate(present)
        )
    )
    settings = training.TrainingSettings(network="forest")
    forest = training.grown(settings, phases, [(image, numbers[painted])])
    return present[_predicted(forest, standardise(image))].astype(np.uint8)


def _predicted(forest: Any, image: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the likeliest phase of each pixel, strip by strip with what lies beside."""
    strips = []
    for top in range(0, image.shape[0], STRIP_PX):
        above = max(0, top - forest.halo)
        part = image[above : top + STRIP_PX + forest.halo]
        votes = forest(torch.from_numpy(np.ascontiguousarray(part))[None, None])[0]
        strips.append(votes.argmax(0)[top - above : top - above + STRIP_PX].numpy())
    return np.concatenate(strips)


if __name__ == "__main__":
    main()
