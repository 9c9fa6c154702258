"""Know the conditions that a model was trained under, and say where new micrographs differ.

What files and catalogues record is compared directly. Because records are often missing, how the
micrographs look is compared too: each change of conditions moves the numbers of `appearance` in a
direction of its own, which altered copies of the training images show, and a matched filter
along that direction tells a change from the spread between specimens. A small field shows few
features, and its numbers scatter more: how much, windows cut from the training images show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.appearance import (
    ASPECTS,
    LARGEST,
    SMALLEST,
    altered,
    appearance,
)
from bl_steer.protocols import Array, Progress

__all__ = ["FEWEST", "Conditions", "looked_at"]

FEWEST = 8
"""Training images below which their spread says too little to judge appearance."""
FALSE_ALARMS = 0.005
"""Share of unseen specimens under equal conditions that all tests together may flag, were their
scores distributed as Student's t. Their tails are heavier: some 1 % are flagged."""
JUDGED = 12
"""Images, spread evenly, whose looks are compared: more would tell little else."""
CUTS = (2, 4)
"""Windows along the edge of a training image, of which those on its diagonal are looked at."""
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
    sizes : the same of windows of the training images, the smallest first, and of the whole ones:
        ``edge_px`` (root of the area), by change ``mean`` and ``spread`` of the score
    """

    recorded: Mapping[str, Sequence[Any]]
    mean: Sequence[float] = ()
    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    count: int = 0
    sizes: Sequence[Mapping[str, Any]] = ()

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
            _sizes(images, found, weights, spread),
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
        progress: Progress | None = None,
    ) -> list[str]:
        """Say in which conditions new micrographs differ from those in training.

        Several images taken alike are judged together, which finds smaller changes than one
        alone. They are taken to show one specimen: their common area counts, not their number.
        Give them as the network sees them: resampled, if they are.

        Parameters
        ----------
        images : (H, W), or several of them; some, see `looked_at`, are compared
        metadata : their conditions as recorded
        progress : told of each image that is looked at
        """
        told = [
            sentence
            for key, values in _recorded(metadata or {}).items()
            if key in self.recorded
            for value in values
            if (sentence := _compare(key, value, self.recorded[key]))
        ]
        batch = [images] if isinstance(images, np.ndarray) and images.ndim == 2 else list(images)
        return told + self._by_appearance([batch[k] for k in looked_at(len(batch))], progress)

    def _by_appearance(
        self, images: Sequence[NDArray[Any]], progress: Progress | None
    ) -> list[str]:
        if not self.count:
            return []
        rows, edges = [], []
        for number, image in enumerate(images, 1):
            if (row := appearance(image)) is not None:
                rows.append(row)
                edges.append(_edge_px(image))
            if progress is not None:
                progress(number, len(images))
        if not rows:
            return ["appearance: the image shows no structure to compare with training; look at it"]
        scores = self._scores(np.array(rows), np.array(edges))
        beyond = sorted((k for k in scores if abs(scores[k]) > 1), key=lambda k: -abs(scores[k]))
        # One change moves several scores; the two largest name it.
        return [
            f"appearance: {_CAUSES[key][scores[key] < 0]} than in training "
            f"({abs(scores[key]):.1f} times the limit for {self.count} training images); "
            f"{_CAUSES[key][2]} may have changed: label some micrographs under the new conditions"
            for key in beyond[:2]
        ]

    def _scores(self, rows: Array, edges: Array) -> dict[str, float]:
        """Return the mean score of images, in units of its limit (Student's t).

        Parameters
        ----------
        rows : numbers of `appearance`, (n, 9)
        edges : root of each image's area, (n,), px
        """
        from scipy.stats import t

        share = FALSE_ALARMS / len(self.weights) / 2
        quantile = float(t.ppf(1 - share, self.count - 1))
        moved = rows - np.asarray(self.mean)
        # As one image of their common area.
        edge = float(np.sqrt((edges**2).sum()))
        return {
            key: float(np.mean(moved @ weight - self._of_size("mean", key, edges)))
            / (quantile * float(self._of_size("spread", key, edge)))
            for key, weight in self.weights.items()
        }

    def _of_size(self, what: str, key: str, edge_px: Any) -> Any:
        """Return mean or spread of a score for images of a size, or of the nearest known."""
        if not self.sizes:  # a card of before sizes were learnt
            return self.spread[key] if what == "spread" else 0.0
        known = [np.log(one["edge_px"]) for one in self.sizes]
        return np.interp(np.log(edge_px), known, [one[what][key] for one in self.sizes])


def looked_at(count: int) -> list[int]:
    """Return which of some images are compared with the training's.

    >>> looked_at(3), looked_at(100)[:4]
    ([0, 1, 2], [0, 9, 18, 27])
    """
    if not count:
        return []
    chosen: list[int] = np.unique(np.linspace(0, count - 1, JUDGED).round().astype(int)).tolist()
    return chosen


def _edge_px(image: NDArray[Any]) -> float:
    rows, columns = (min(n, LARGEST) for n in image.shape)
    return float(np.sqrt(rows * columns))


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


def _sizes(
    images: Sequence[NDArray[Any]],
    numbers: Array,
    weights: Mapping[str, Array],
    spread: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Return mean and spread of each score for windows of the images, and for whole images.

    Windows scatter more than whole images do, about a mean of their own: shading is taken out, and
    long lengths with it. The spread of whole ones, of specimens that were left out, is scaled.
    """
    mean = numbers.mean(axis=0)
    edge = float(np.median([_edge_px(image) for image in images]))
    sizes = [
        {
            "edge_px": edge,
            "mean": dict.fromkeys(weights, 0.0),
            "spread": dict(spread),
        }
    ]
    for cut in CUTS:
        windows = (appearance(window) for one in images for window in _windows(one, cut))
        found = np.array([row for row in windows if row is not None])
        if len(found) < FEWEST:
            break
        scores = {key: (found - mean) @ weight for key, weight in weights.items()}
        whole = {key: (numbers @ weight).std() + 1e-12 for key, weight in weights.items()}
        sizes.insert(
            0,
            {
                "edge_px": edge / cut,
                "mean": {key: float(score.mean()) for key, score in scores.items()},
                "spread": {
                    key: spread[key] * max(1.0, float(score.std() / whole[key]))
                    for key, score in scores.items()
                },
            },
        )
    return sizes


def _windows(image: NDArray[Any], cut: int) -> Iterator[NDArray[Any]]:
    """Yield the windows on the diagonal of an image cut into `cut` times `cut`."""
    rows, columns = (n // cut for n in image.shape)
    if min(rows, columns) >= SMALLEST:
        for k in range(cut):
            yield image[k * rows : (k + 1) * rows, k * columns : (k + 1) * columns]


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
