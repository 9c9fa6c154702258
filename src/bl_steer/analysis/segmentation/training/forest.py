"""Grow a random forest of local features from labelled pixels: a first look, in seconds.

For networks, which see farther and take minutes, use `loop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from bl_steer.analysis.segmentation.networks import NETWORKS, Forest
from bl_steer.analysis.segmentation.networks.forest import local_features
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.analysis.segmentation.tiles import standardise
from bl_steer.analysis.segmentation.training.pairs import Labelled
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from bl_steer.protocols import Progress

__all__ = ["advice", "grown"]

MOST_PIXELS = 30_000
"""To learn from: bounds the time to some five seconds."""
SMALLEST_LEAF = 3
AT_A_TIME = 8
"""Trees, between reports of the progress."""
SECONDS_A_PIXEL = 2.2e-6
"""Of a patch, for the default network on one core (docs/benchmarks.md)."""


def grown(
    settings: TrainingSettings,
    phases: Phases,
    train: Sequence[Labelled],
    progress: Progress | None = None,
) -> Forest:
    """Return a forest that was grown from the labelled pixels alone; equal seeds, equal trees.

    Parameters
    ----------
    settings : ``widths`` (trees, leaves of each), ``rarity_power`` and ``seed`` count
    train : micrographs (H, W) with labels (H, W), each phase somewhere
    progress : called after every few trees
    """
    X, y = _pixels(train, len(phases), settings)
    trees, leaves = settings.widths or NETWORKS["forest"]
    classifier = RandomForestClassifier(
        0,
        min_samples_leaf=SMALLEST_LEAF,
        max_leaf_nodes=leaves,
        random_state=settings.seed,
        warm_start=True,
        n_jobs=1,
    )
    while classifier.n_estimators < trees:
        classifier.n_estimators = min(trees, classifier.n_estimators + AT_A_TIME)
        classifier.fit(X, y)
        if progress is not None:
            progress(classifier.n_estimators, trees)
    forest = Forest(len(phases), (trees, leaves))
    for number, grown_tree in enumerate(classifier.estimators_):
        _copy(grown_tree.tree_, forest, number)
    return forest


def advice(settings: TrainingSettings) -> str:
    """Say what a network would gain over a forest, and how long it would take."""
    network = TrainingSettings()
    pixels = network.steps * network.batch * network.patch_px**2
    return (
        f"A forest is a first look: network={network.network} takes some "
        f"{pixels * SECONDS_A_PIXEL / 60:.0f} minutes of one core a round, sees farther, and "
        "gained .04 of mean IoU on superalloy micrographs, and .3 on coatings whose phases are "
        "told by their place: compare their validation."
    )


def _pixels(
    train: Sequence[Labelled], n_phases: int, settings: TrainingSettings
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return features (n, n_features) and labels (n,) of labelled pixels, drawn by phase."""
    counts = np.array([[np.sum(mask == p) for p in range(n_phases)] for _, mask in train], float)
    # Half the power of a network's entropy: rare phases would be found in too many places.
    share = counts.sum(axis=0) ** (1.0 - settings.rarity_power / 2)
    wanted = MOST_PIXELS * share / share.sum()
    # Of each phase the same part in every micrograph, as far as it goes.
    parts = np.minimum(1.0, wanted / counts.sum(axis=0))
    rng = np.random.default_rng(settings.seed)
    X, y = [], []
    for image, mask in train:
        drawn = [
            rng.permutation(here)[: int(np.ceil(part * len(here)))]
            for phase, part in enumerate(parts)
            if len(here := np.flatnonzero(mask == phase))
        ]
        chosen = np.concatenate(drawn) if drawn else np.empty(0, np.intp)
        if len(chosen):
            X.append(local_features(standardise(image))[chosen])
            y.append(mask.ravel()[chosen])
    return np.concatenate(X), np.concatenate(y)


def _copy(tree: Any, forest: Forest, number: int) -> None:
    """Write a tree of scikit-learn into the arrays of a forest."""
    n = tree.node_count
    # Features are in single precision: the largest such number below a threshold parts them alike.
    threshold = tree.threshold.astype(np.float32)
    above = threshold > tree.threshold
    threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
    vote = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
    for target, values in (
        (forest.left, tree.children_left),
        (forest.right, tree.children_right),
        (forest.feature, tree.feature),
        (forest.threshold, threshold),
        (forest.vote, vote),
    ):
        target[number, :n] = torch.from_numpy(np.asarray(values)).to(target.dtype)
