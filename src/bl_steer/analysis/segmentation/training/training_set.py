"""Pairs brought into one form: read, at one pixel size, split by sample, and described."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.analysis.segmentation.training.loop import Labelled
from bl_steer.analysis.segmentation.training.pairs import (
    Pair,
    describe_samples,
    find_pairs,
    load_pair,
    split_by_sample,
)
from bl_steer.files import read_all
from bl_steer.files.pixel_size import check_pixel_size

__all__ = ["LabelledField", "TrainingSet", "at_pixel_size"]

SHARES = (0.7, 0.15, 0.15)
SAME_PIXEL_SIZE = 0.02


@dataclass(frozen=True)
class LabelledField:
    """A micrograph (H, W) with its labels (H, W), its sample and how it was recorded."""

    image: NDArray[Any]
    labels: NDArray[np.uint8]
    sample: str
    conditions: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def pair(self) -> Labelled:
        """Micrograph and labels alone."""
        return self.image, self.labels


@dataclass(frozen=True)
class TrainingSet:
    """Labelled micrographs in three parts; no sample is in two of them.

    Parameters
    ----------
    train, validation, test : to learn from, to choose the weights by, and to report on; `test` may
        be empty
    pixel_size_nm : of all of them; None where it is not known
    notes : what a reader should check, one sentence each
    """

    phases: Phases
    train: Sequence[LabelledField]
    validation: Sequence[LabelledField]
    test: Sequence[LabelledField]
    pixel_size_nm: float | None = None
    notes: Sequence[str] = ()

    @classmethod
    def read(
        cls,
        place: str | Path,
        phases: Phases,
        *,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        sample_pattern: str | None = None,
        pixel_size_nm: float | None = None,
        shares: Sequence[float] = SHARES,
        seed: int = 0,
    ) -> Self:
        """Read pairs from folders or catalogues.

        Parameters
        ----------
        place : of the pairs, as `find_pairs` takes it
        validation, test : of pairs kept apart by hand; without, samples of `place` are held back
        pixel_size_nm : that all micrographs are brought to; by default the median of those known
        shares : of the parts, where samples are held back
        seed : of the split

        Raises
        ------
        ValueError
            When there are no pairs, or a pixel size is no positive number.
        """
        check_pixel_size(pixel_size_nm)
        pairs = find_pairs(place, sample_pattern=sample_pattern)
        notes = [describe_samples(pairs)]
        parts = _parts(pairs, validation, test, sample_pattern, shares, seed)
        read = iter(read_all(lambda pair: _read(pair, phases), [p for part in parts for p in part]))
        fields = [list(islice(read, len(part))) for part in parts]
        for one in (one for part in fields for one in part):
            check_pixel_size(one.conditions.get("pixel_size_nm"))
        size = pixel_size_nm or _median_size([one for part in fields for one in part])
        train, held, reported = ([at_pixel_size(one, size) for one in part] for part in fields)
        return cls(phases, train, held, reported, size, notes)

    def describe(self) -> dict[str, Any]:
        """Return what a model card says of the data, JSON-compatible."""
        return {
            part: [
                {
                    "name": one.name,
                    "sample": one.sample,
                    "shape": list(one.image.shape),
                    "sha256": _sha256(one),
                    "conditions": one.conditions,
                }
                for one in fields
            ]
            for part, fields in (
                ("train", self.train),
                ("validation", self.validation),
                ("test", self.test),
            )
        }


def _parts(
    pairs: list[Pair],
    validation: str | Path | None,
    test: str | Path | None,
    sample_pattern: str | None,
    shares: Sequence[float],
    seed: int,
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Return the pairs of the three parts, with those kept apart by hand in theirs."""
    wanted = np.asarray(shares, dtype=float)
    kept = [
        [] if place is None else find_pairs(place, sample_pattern=sample_pattern)
        for place in (validation, test)
    ]
    for number, given in enumerate(kept, start=1):
        wanted[number] = 0.0 if given else wanted[number]
    # A test is reported, a validation is needed: with few samples the test is given up first.
    if len({pair.sample for pair in pairs}) < np.count_nonzero(wanted) and not kept[1]:
        wanted[2] = 0.0
    train, held, reported = split_by_sample(pairs, tuple(wanted / wanted.sum()), seed)
    return train, kept[0] or held, kept[1] or reported


def _read(pair: Pair, phases: Phases) -> LabelledField:
    image, labels = load_pair(pair, phases)
    return LabelledField(image, labels, pair.sample, dict(pair.conditions), pair.image.name)


def _median_size(fields: Sequence[LabelledField]) -> float | None:
    sizes = [one.conditions["pixel_size_nm"] for one in fields if _size(one) is not None]
    return float(np.median(sizes)) if sizes else None


def _size(one: LabelledField) -> float | None:
    size = one.conditions.get("pixel_size_nm")
    return None if size is None else float(size)


def at_pixel_size(one: LabelledField, pixel_size_nm: float | None) -> LabelledField:
    """Return a field resampled to the common pixel size, where its own is known and differs."""
    own = _size(one)
    if own is None or pixel_size_nm is None or abs(own / pixel_size_nm - 1) <= SAME_PIXEL_SIZE:
        return one
    from bl_steer.analysis.segmentation.tiles import resample

    shape = tuple(max(1, round(edge * own / pixel_size_nm)) for edge in one.image.shape)
    rows = (np.arange(shape[0]) * one.labels.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * one.labels.shape[1]) // shape[1]
    return LabelledField(
        resample(np.asarray(one.image, np.float32), shape),
        one.labels[np.ix_(rows, columns)],
        one.sample,
        one.conditions,
        one.name,
    )


def _sha256(one: LabelledField) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(one.image).tobytes())
    digest.update(one.labels.tobytes())
    return digest.hexdigest()
