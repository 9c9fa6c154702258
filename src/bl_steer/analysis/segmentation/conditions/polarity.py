"""Is an image seen as those of the training were, or are bright and dark exchanged?

How sure a network is does not tell: a forest may be as sure of an image as of its negative. What
tells is which of the two has the grey levels, slopes and curvatures of the training images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.model import SegmentationModel
from bl_steer.analysis.segmentation.networks.forest import local_features
from bl_steer.analysis.segmentation.segmentation import segment
from bl_steer.analysis.segmentation.tiles import resample, standardise
from bl_steer.protocols import Array

__all__ = ["Polarity", "seems_negative"]

MIDDLE_PX, UNCERTAIN_PX = 384, 256
"""Edge of the part of an image whose features, and whose uncertainty, are looked at."""
LEAST_PX = 32
"""Edge below which an image shows too little."""
NEGATIVE = 0.7
"""Mean uncertainty of a negative beside that of its image, which alone tells one: of 8 unseen
specimens of the simulation the negatives had 2 to 6 times that of the images."""
LEAST_SHARE = 0.01
"""Of each phase in an image and in its negative, for that to be believed."""
MOST_BY_SCORE = 1.5
"""Times its limit that a score counts for a negative: specimens of other kinds have large ones."""
MOST_IMAGES, MOST_PIXELS = 16, 2000
"""That are learnt from, and pixels of each."""
COMBINATIONS = 200
"""Of the features, drawn at random; of each the value in an image less that in its negative."""
PER_FEATURE, STRENGTH, DECAY = 0.25, 1.2, 0.01
STEPS = 6
MOST = 4.0
"""Logarithm of the odds that a single pixel can say."""
LEAST_SPREAD = 0.4
"""Of the mean score, that scores of specimens are taken to scatter at least: few are known."""


@dataclass(frozen=True)
class Polarity:
    """Tells images like those of the training from their negatives.

    Parameters
    ----------
    scale : standard deviation of each local feature, (n_features,)
    weights : of the combinations of features, (n,)
    limit : score above which an image is right, and below whose negative it is a negative;
        infinite where scores of right images are near 0, as those of two phases alike
    """

    scale: Sequence[float]
    weights: Sequence[float]
    limit: float

    @classmethod
    def of(cls, training: Sequence[NDArray[Any]], held_out: Sequence[NDArray[Any]]) -> Self | None:
        """Learn from training images (H, W), if any shows enough; the limit from those held out.

        Notes
        -----
        Logistic regression of pixels of images against those of their negatives, in odd functions
        of the local features: the score of a negative is that of the image with the other sign. Of
        scores x of right images with mean m and standard deviation s, and negatives alike around
        -m, the odds of a negative are exp(-2 m x / s²); they are e⁴ at the limit.
        """
        features = [_features(image) for image in _spread(training)]
        if not features:
            return None
        rng = np.random.default_rng(0)
        X = np.concatenate([rows[rng.permutation(len(rows))[:MOST_PIXELS]] for rows in features])
        scale = np.sqrt((X.var(axis=0) + _negative(X).var(axis=0)) / 2) + 1e-9
        A = _odd(X / scale)
        weights = np.zeros(A.shape[1])
        for _ in range(STEPS):  # Newton's
            wrong = 1 / (1 + np.exp(np.clip(A @ weights, -30, 30)))
            slope = DECAY * weights - (A * wrong[:, None]).mean(axis=0)
            curvature = (A * (wrong * (1 - wrong))[:, None]).T @ A / len(A)
            weights -= np.linalg.solve(curvature + DECAY * np.eye(len(weights)), slope)
        learnt = cls(scale.tolist(), weights.tolist(), float("inf"))
        scores = np.array([learnt.score(image) for image in _spread(held_out)])
        mean = float(scores.mean()) if len(scores) else 0.0
        if mean <= 0:
            return learnt
        deviation = max(LEAST_SPREAD * mean, float(scores.std(ddof=min(1, len(scores) - 1))))
        return cls(learnt.scale, learnt.weights, 2 * deviation**2 / mean)

    def score(self, image: NDArray[Any]) -> float:
        """Return the mean over pixels of the log of the odds that an image (H, W) is right."""
        odds = _odd(_features(image) / np.asarray(self.scale)) @ np.asarray(self.weights)
        return float(np.clip(odds, -MOST, MOST).mean())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data, for the model's card."""
        return asdict(self) | {"limit": self.limit if np.isfinite(self.limit) else None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Restore what `to_dict` returned."""
        limit = data["limit"]
        return cls(data["scale"], data["weights"], float("inf") if limit is None else limit)


def seems_negative(
    model: SegmentationModel, image: NDArray[Any], pixel_size_nm: float | None = None
) -> tuple[float, float] | None:
    """Return the mean uncertainty of an image that may be a negative, and of its negative; or None.

    The score of its `Polarity` beside the limit and the logarithm of the ratio of uncertainties
    beside that of `NEGATIVE` are added: each tells a negative alone where it is 1, and the other 0.

    Parameters
    ----------
    image : (H, W), of which the middle is looked at
    pixel_size_nm : where it differs from the model's, the image is resampled
    """
    if min(image.shape) < LEAST_PX:
        return None
    known = model.card.get("polarity")
    by_score = 0.0
    if known is not None:
        polarity = Polarity.from_dict(known)
        by_score = -polarity.score(_as_trained(model, image, pixel_size_nm)) / polarity.limit
        if by_score < -MOST_BY_SCORE:
            return None
    part = np.asarray(_middle_of(image, UNCERTAIN_PX), np.float64)
    seen = [
        segment(model, grey, pixel_size_nm=pixel_size_nm, keep_probability=False)
        for grey in (part, -part)
    ]
    own, negative = (max(found.mean_uncertainty, 1e-6) for found in seen)
    # Where a phase is absent, or of two, the negative is an image of two phases exchanged.
    if by_score < 1 and min(found.expected.min() for found in seen) <= LEAST_SHARE:
        return None
    told = min(by_score, MOST_BY_SCORE) + log(negative / own) / log(NEGATIVE)
    return (own, negative) if told > 1 else None


def _as_trained(
    model: SegmentationModel, image: NDArray[Any], pixel_size_nm: float | None
) -> NDArray[Any]:
    """Return the middle of an image in pixels of the model's size."""
    if pixel_size_nm is None or model.pixel_size_nm is None:
        return image
    ratio = pixel_size_nm / model.pixel_size_nm
    part = standardise(_middle_of(image, max(LEAST_PX, round(MIDDLE_PX / ratio))))
    return resample(part, tuple(max(2, round(edge * ratio)) for edge in part.shape))


def _middle_of(image: NDArray[Any], edge_px: int) -> NDArray[Any]:
    """Return the middle of an image (H, W), so many pixels wide and high at most."""
    top, left = (max(0, (edge - edge_px) // 2) for edge in image.shape)
    return image[top : top + edge_px, left : left + edge_px]


def _spread(images: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return some of many images, evenly, of those that show something."""
    images = [i for i in images if min(i.shape) >= LEAST_PX and np.isfinite(i).all()]
    chosen = np.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).round().astype(int)
    return [images[number] for number in chosen.tolist()]


def _features(image: NDArray[Any]) -> Array:
    """Return local features of some pixels of the middle, (n, n_features)."""
    part = standardise(_middle_of(image, MIDDLE_PX))
    rows = local_features(part)
    # Neighbours say the same.
    return np.asarray(rows[:: max(1, len(rows) // (2 * MOST_PIXELS))], np.float64)


def _negative(X: Array) -> Array:
    """Return the features of the negative: at each scale grey, slope, larger, smaller curvature."""
    grey, slope, larger, smaller = np.moveaxis(X.reshape(len(X), -1, 4), 2, 0)
    return np.stack([-grey, slope, -smaller, -larger], axis=2).reshape(X.shape)


def _odd(X: Array) -> Array:
    """Return combinations of features that change their sign in the negative, (n, n_odd)."""
    # The only generator whose numbers numpy promises never to change: weights are stored.
    rng = np.random.RandomState(0)
    n = X.shape[1]
    mixing = rng.normal(size=(n, COMBINATIONS))
    mixing *= rng.uniform(size=mixing.shape) < PER_FEATURE
    offset = rng.normal(size=COMBINATIONS)
    image, negative = (np.tanh(x @ (STRENGTH * mixing) + offset) for x in (X, _negative(X)))
    return np.asarray(image - negative)
