"""Know the conditions that a model was trained under, and say where new micrographs differ.

What files and catalogues record is compared directly. Because records are often missing, how the
micrographs look is compared too: each change of conditions moves the numbers of `appearance` in a
direction of its own, which altered copies of the training images show, and a matched filter
along that direction tells a change from the spread between specimens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.appearance import ASPECTS, altered, appearance
from bl_steer.protocols import Array

__all__ = ["FEWEST", "Conditions"]

FEWEST = 8
"""Training images below which their spread says too little to judge appearance."""
FALSE_ALARMS = 0.05
"""Share of unseen specimens under equal conditions that all tests together may flag."""
N_ALTERED = 6  # images that are altered: their mean direction is known well enough

_NAMES = {
    "pixel_size_nm": "magnification",
    "accelerating_voltage_kV": "accelerating voltage",
    "etching_s": "etching",
}
_CAUSES = {
    "smaller": ("features look smaller", "features look larger", "the magnification"),
    "larger": ("features look larger", "features look smaller", "the magnification"),
    "blur": ("edges look less sharp", "edges look sharper",
             "the accelerating voltage, the focus, the magnification or the etching"),
    "noise": ("the image is noisier", "the image is less noisy",
              "the dwell time, the beam current or the accelerating voltage"),
    "relief": ("edges stand out more", "edges stand out less",
               "the etching or the accelerating voltage"),
    "greys": ("the middle phase looks darker against the others",
              "the middle phase looks brighter against the others",
              "the staining, the etching or the accelerating voltage"),
}  # fmt: skip


@dataclass(frozen=True)
class Conditions:
    """What the training images have in common.

    Parameters
    ----------
    recorded : by condition, the sorted values found in training, numbers or words
    mean : of the numbers of `appearance`; empty with fewer than `FEWEST` images
    weights : by change, what each number counts for in its score, which has mean 0 in training
    spread : by change, standard deviation of the score of a specimen that was left out
    count : images judged by appearance
    """

    recorded: Mapping[str, Sequence[Any]]
    mean: Sequence[float] = ()
    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    count: int = 0

    @classmethod
    def of(
        cls,
        images: Sequence[NDArray[Any]],
        metadata: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """Learn the conditions of training images.

        Parameters
        ----------
        images : grey, each (H, W), one per specimen if possible
        metadata : of all images (a list holds one value for each), or one mapping for each
        """
        recorded = {key: sorted(values, key=str) for key, values in _recorded(metadata).items()}
        numbers = [appearance(image) for image in images]
        found = np.array([row for row in numbers if row is not None])
        if len(found) < FEWEST:
            return cls(recorded)
        moves = _moves([i for i, row in zip(images, numbers, strict=True) if row is not None])
        weights = _weights(found, moves)
        left_out = [
            {k: float(w @ (row - others.mean(axis=0))) for k, w in _weights(others, moves).items()}
            for row, others in ((found[i], np.delete(found, i, axis=0)) for i in range(len(found)))
        ]
        spread = {k: float(np.sqrt(np.mean([one[k] ** 2 for one in left_out]))) for k in weights}
        return cls(
            recorded,
            found.mean(axis=0).tolist(),
            {key: weight.tolist() for key, weight in weights.items()},
            spread,
            len(found),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the conditions as JSON-compatible data, for the model's card."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Restore what `to_dict` returned."""
        return cls(**data)

    def warnings_for(
        self,
        images: NDArray[Any] | Sequence[NDArray[Any]],
        metadata: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Say in which conditions new micrographs differ from those in training.

        Several images taken alike are judged together, which finds smaller changes than one
        alone. Give them as the network sees them: resampled, if they are.

        Parameters
        ----------
        images : (H, W), or several of them
        metadata : their conditions as recorded
        """
        told = [
            sentence
            for key, values in _recorded(metadata or {}).items()
            if key in self.recorded
            for value in values
            if (sentence := _compare(key, value, self.recorded[key]))
        ]
        batch = [images] if isinstance(images, np.ndarray) and images.ndim == 2 else list(images)
        return told + self._by_appearance(batch)

    def _by_appearance(self, images: Sequence[NDArray[Any]]) -> list[str]:
        if not self.count:
            return []
        rows = [row for image in images if (row := appearance(image)) is not None]
        if not rows:
            return ["appearance: the image shows no structure to compare with training; look at it"]
        limits = self._limits(len(rows))
        moved = np.mean(rows, axis=0) - np.asarray(self.mean)
        scores = {key: float(np.dot(w, moved)) / limits[key] for key, w in self.weights.items()}
        beyond = sorted((k for k in scores if abs(scores[k]) > 1), key=lambda k: -abs(scores[k]))
        # One change moves several scores; the two largest name it.
        return [
            f"appearance: {_CAUSES[key][scores[key] < 0]} than in training "
            f"({abs(scores[key]):.1f} times the limit for {self.count} training images); "
            f"{_CAUSES[key][2]} may have changed: label some micrographs under the new conditions"
            for key in beyond[:2]
        ]

    def _limits(self, count: int) -> dict[str, float]:
        """Return the limit of each score for the mean of `count` images (Student's t)."""
        from scipy.stats import t

        share = FALSE_ALARMS / len(self.weights) / 2
        # The spread is that of one image against a mean of count − 1.
        shrink = np.sqrt((1 / count + 1 / self.count) / (1 + 1 / (self.count - 1)))
        quantile = float(t.ppf(1 - share, self.count - 1) * shrink)
        return {key: quantile * spread for key, spread in self.spread.items()}


def _recorded(
    metadata: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> dict[str, set[float | str]]:
    found: dict[str, set[float | str]] = {}
    for one in [metadata] if isinstance(metadata, Mapping) else metadata:
        for key, value in one.items():
            for item in value if isinstance(value, list | tuple | np.ndarray) else [value]:
                if isinstance(item, str) and item:
                    found.setdefault(key, set()).add(item)
                elif isinstance(item, int | float | np.number) and np.isfinite(item):
                    found.setdefault(key, set()).add(float(item))
    return found


def _compare(key: str, value: float | str, known: Sequence[Any]) -> str | None:
    name = _NAMES.get(key, key)
    remedy = "train with micrographs taken so, or expect errors and check by eye"
    numbers = [item for item in known if isinstance(item, float)]
    if isinstance(value, str) or not numbers:
        if str(value).lower() in {str(item).lower() for item in known}:
            return None
        return (
            f"{name}: {key} = {value} was not in training ({', '.join(map(str, known))}); {remedy}"
        )
    low, high = min(numbers), max(numbers)
    if 0.98 * low <= value <= 1.02 * high:
        return None
    if key == "pixel_size_nm" and low / 2 <= value <= high * 2:
        remedy = "within a factor of 2 the image is resampled to it: check small features by eye"
    unit = key.rpartition("_")[2] if "_" in key else ""
    span = f"{low:g}-{high:g}" if high > low else f"{low:g}"
    return f"{name}: {key} = {value:g} {unit} is outside {span} {unit} in training; {remedy}"


def _moves(images: Sequence[NDArray[Any]]) -> dict[str, Array]:
    """Return how the numbers of `appearance` move with each change, the mean over images."""
    moves: dict[str, list[Array]] = {}
    for image in images[:: -(-len(images) // N_ALTERED)]:
        before = appearance(image)
        for change, other in altered(image).items():
            after = appearance(other)
            if before is not None and after is not None:
                moves.setdefault(change, []).append(after - before)
    return {change: np.mean(rows, axis=0) for change, rows in moves.items()}


def _weights(numbers: Array, moves: Mapping[str, Array]) -> dict[str, Array]:
    """Return the matched filter of each change: inverse covariance times move, of unit scale.

    The covariance between specimens is shrunk after Ledoit and Wolf (2004).
    """
    from sklearn.covariance import ledoit_wolf

    scale = numbers.std(axis=0, ddof=1) + 1e-9
    covariance, _ = ledoit_wolf((numbers - numbers.mean(axis=0)) / scale, assume_centered=True)
    weights = {}
    for change, move in moves.items():
        weight = np.linalg.solve(covariance, move / scale)
        weights[change] = weight / np.sqrt(weight @ covariance @ weight) / scale
    # Scale moves its two lengths alike whatever else it does. Staining moves the greys alone, and
    # how far cannot be learnt from unstained images.
    names = np.array(list(ASPECTS))
    scale_free = (names == "crossings") / scale - 1.0 * (names == "correlation_length") / scale
    return weights | {"smaller": scale_free, "greys": (names == "middle_greys") / scale}
