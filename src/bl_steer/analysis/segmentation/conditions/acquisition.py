"""Know how the training micrographs were acquired, and say where new micrographs differ.

The acquisition metadata of files and catalogues are compared directly. Because they are often
missing, appearance is compared too: each change of the acquisition moves the numbers of
`appearance` in a direction of its own, which altered copies of the training images show, and a
matched filter along that direction tells a change from the spread between specimens. A small field
shows few features, and its numbers scatter more: how much, windows cut from the training images
show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from bl_steer.analysis.grey_levels import CLIPPED, clipped_shares
from bl_steer.analysis.segmentation.conditions.appearance import appearance
from bl_steer.analysis.segmentation.conditions.appearance_shifts import (
    FEWEST,
    directions_of_change,
    edge_px,
    matched_filters,
    scores_by_size,
)
from bl_steer.protocols import Array, Progress

__all__ = ["FEWEST", "Acquisition", "compared_images"]

FALSE_ALARMS = 0.005
"""Share of unseen specimens acquired alike that all tests together may flag, were their
scores distributed as Student's t. Their tails are heavier: some 1 % are flagged."""
N_COMPARED = 12
"""Images, spread evenly, whose appearance is compared: more would tell little else."""
FEW_EXCEED, FROM, BEYOND = 0.98, 0.2, 1.5
"""Of the training images, the share of whose clipped pixels is taken for usual; share of the pixels
from which on an image is named, and by how much what is usual beyond that raises it. Of simulated
specimens, whose contrast varies as in practice, 1.6 % of 900 have more, of real superalloys none;
all that lose a fifth of their pixels, at either end, have. That these are plateaus, where training
has texture, finds fewer of them and names no fewer others."""
RECORDED_BY_INSTRUMENTS = frozenset(
    {
        *("accelerating_voltage_kV", "bar_px", "etching_s", "file", "pitch_nm", "staining"),
        *("tilt_corrected", "tilt_correction_deg", "working_distance_mm"),
    }
)
"""Metadata that files and sessions record by themselves: to have them is no slip of a user."""

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
class Acquisition:
    """How the training images were acquired: their metadata and their appearance.

    Parameters
    ----------
    recorded : by name, the sorted values of the metadata in training, numbers or words
    mean : of the numbers of `appearance`; empty with fewer than `FEWEST` images
    weights : by change, what each number counts for in its score, which has mean 0 in training
    spread : by change, standard deviation of the score of a specimen left out of the fit
    count : images judged by appearance
    sizes : the same of windows of the training images, the smallest first, and of whole images:
        ``edge_px`` (root of the area), by change ``mean`` and ``spread`` of the score
    clipped : share of the pixels that hold the smallest, and the largest grey level, which hardly
        an image exceeds; empty where it was not recorded
    """

    recorded: Mapping[str, Sequence[Any]]
    mean: Sequence[float] = ()
    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    count: int = 0
    sizes: Sequence[Mapping[str, Any]] = ()
    clipped: Sequence[float] = ()

    @classmethod
    def of(
        cls,
        images: Sequence[NDArray[Any]],
        metadata: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """Learn from training images.

        Parameters
        ----------
        images : grey, each (H, W), one per specimen if possible
        metadata : of all images (a list holds one value for each), or one mapping for each
        """
        recorded = {key: sorted(values, key=str) for key, values in _recorded(metadata).items()}
        clipped = _clipped(images)
        numbers = [appearance(image) for image in images]
        table = np.array([row for row in numbers if row is not None])
        if len(table) < FEWEST:
            return cls(recorded, clipped=clipped)
        moves = directions_of_change(
            [i for i, row in zip(images, numbers, strict=True) if row is not None]
        )
        weights = matched_filters(table, moves)
        # Leave-one-out: a score of an image that took part in the fit would scatter too little.
        scores = [
            {
                k: float(w @ (row - others.mean(axis=0)))
                for k, w in matched_filters(others, moves).items()
            }
            for row, others in ((table[i], np.delete(table, i, axis=0)) for i in range(len(table)))
        ]
        spread = {k: float(np.sqrt(np.mean([score[k] ** 2 for score in scores]))) for k in weights}
        return cls(
            recorded,
            table.mean(axis=0).tolist(),
            {key: weight.tolist() for key, weight in weights.items()},
            spread,
            len(table),
            scores_by_size(images, table, weights, spread),
            clipped,
        )

    @property
    def least_clipped(self) -> tuple[float, float]:
        """Shares of clipped pixels from which an image is named, at the dark and bright end."""
        if not self.clipped:
            return CLIPPED, CLIPPED
        dark, bright = (FROM + BEYOND * max(0.0, usual - FROM) for usual in self.clipped)
        return dark, bright

    def unknown_names(self, metadata: Mapping[str, Any]) -> list[str]:
        """Name metadata that training does not know and nothing records by itself.

        They change nothing, and are likely to be misspelt.
        """
        known = sorted({"pixel_size_nm", *self.recorded})
        warnings = []
        for name in metadata:
            if name not in known and name not in RECORDED_BY_INSTRUMENTS:
                near = get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(known)}"
                warnings.append(
                    f"The model knows no acquisition metadata {name!r}: it changes nothing; {hint}"
                )
        return warnings

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data, for the model's card."""
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
        """Say how new micrographs were acquired otherwise than those in training.

        Several images acquired alike are judged together, which finds smaller changes than one
        alone. They are assumed to show one specimen: their common area counts, not their number.
        Give them as the network sees them: resampled, if they are.

        Parameters
        ----------
        images : (H, W), or several of them; some, see `compared_images`, are compared
        metadata : their acquisition metadata
        progress : called after each image that is compared
        """
        warnings = [
            sentence
            for key, values in _recorded(metadata or {}).items()
            if key in self.recorded
            for value in values
            if (sentence := _compare(key, value, self.recorded[key]))
        ]
        batch = [images] if isinstance(images, np.ndarray) and images.ndim == 2 else list(images)
        compared = [batch[k] for k in compared_images(len(batch))]
        return warnings + self._by_appearance(compared, progress)

    def _by_appearance(
        self, images: Sequence[NDArray[Any]], progress: Progress | None
    ) -> list[str]:
        if not self.count or not images:
            return []
        rows, edges = [], []
        for number, image in enumerate(images, 1):
            if (row := appearance(image)) is not None:
                rows.append(row)
                edges.append(edge_px(image))
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
        share = FALSE_ALARMS / len(self.weights) / 2
        quantile = float(student.ppf(1 - share, self.count - 1))
        moved = rows - np.asarray(self.mean)
        # As one image of their common area.
        edge = float(np.sqrt((edges**2).sum()))
        return {
            key: float(np.mean(moved @ weight - self._of_size("mean", key, edges)))
            / (quantile * float(self._of_size("spread", key, edge)))
            for key, weight in self.weights.items()
        }

    def _of_size(self, what: str, key: str, edge_px: Any) -> Any:
        """Return mean or spread of a score at a size: interpolated, or that of the nearest size."""
        if not self.sizes:  # a card of before sizes were learnt
            return self.spread[key] if what == "spread" else 0.0
        known = [np.log(size["edge_px"]) for size in self.sizes]
        return np.interp(np.log(edge_px), known, [size[what][key] for size in self.sizes])


def _clipped(images: Sequence[NDArray[Any]]) -> list[float]:
    """Return the shares of clipped pixels that few images exceed; none without images."""
    shares = [clipped_shares(image, (0.0, 0.0)) for image in images]
    usual: list[float] = np.quantile(shares, FEW_EXCEED, axis=0).tolist() if shares else []
    return usual


def compared_images(count: int) -> list[int]:
    """Return which of some images are compared with the training's.

    >>> compared_images(3), compared_images(100)[:4]
    ([0, 1, 2], [0, 9, 18, 27])
    """
    if not count:
        return []
    chosen: list[int] = np.unique(
        np.linspace(0, count - 1, N_COMPARED).round().astype(int)
    ).tolist()
    return chosen


def _recorded(
    metadata: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> dict[str, set[float | str]]:
    """Return the values of each name, words and finite numbers."""
    values: dict[str, set[float | str]] = {}
    for row in [metadata] if isinstance(metadata, Mapping) else metadata:
        for key, value in row.items():
            for item in value if isinstance(value, list | tuple | np.ndarray) else [value]:
                if isinstance(item, str) and item:
                    values.setdefault(key, set()).add(item)
                elif isinstance(item, int | float | np.number) and np.isfinite(item):
                    values.setdefault(key, set()).add(float(item))
    return values


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
