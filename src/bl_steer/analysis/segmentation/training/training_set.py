"""Pairs brought into one form: read, at one pixel size, split by sample, and described."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.grey_levels import less_mean, mean_and_deviation, on_pedestal
from bl_steer.analysis.segmentation.masks.fit import misplaced_masks
from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases
from bl_steer.analysis.segmentation.tiles import resample
from bl_steer.analysis.segmentation.training.exchanged import exchanged_phases
from bl_steer.analysis.segmentation.training.pairs import (
    Labelled,
    Pair,
    describe_samples,
    find_pairs,
    load_pair,
    split_by_sample,
)
from bl_steer.analysis.shared_pixels import Fingerprint, chained, orientations, shared_pixels
from bl_steer.files.many import read_all, told_once
from bl_steer.files.pixel_size import (
    check_pixel_size,
    contradictions,
    resampled_edges,
    small_edges,
)

__all__ = ["LabelledField", "TrainingSet", "at_pixel_size"]

SHARES = (0.7, 0.15, 0.15)
SAME_PIXEL_SIZE = 0.02
PARTS = (("train", "training"), ("val", "valid", "validation"), ("test", "testing"))
"""Names of the folders of a set that is in parts already."""
USE = ("train", "validate", "test")
LISTED = 5  # images that stand in two parts, and are named
SAME, CUT = "are the same image", "share pixels, as parts of one image do, mirrored ones too"
ONE_SAMPLE = (
    "All pairs show one sample: a third of each validates, and the scores tell nothing of others; "
    "paint another one."
)


@dataclass(frozen=True)
class LabelledField:
    """A micrograph (H, W) with its labels (H, W), its sample and how it was acquired."""

    image: NDArray[Any]
    labels: NDArray[np.uint8]
    sample: str
    metadata: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    notes: Sequence[str] = ()
    """What a reader should know of micrograph and mask."""
    first_number: int | None = None
    """Of the phases in a mask whose own numbers told it, 0 or 1; None of any other."""

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
        source: str | Path,
        phases: Phases,
        *,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        sample_pattern: str | None = None,
        pixel_size_nm: float | None = None,
        unpainted: str | None = None,
        shares: Sequence[float] = SHARES,
        seed: int = 0,
    ) -> Self:
        """Read pairs from folders or catalogues.

        Parameters
        ----------
        source : of the pairs, as `find_pairs` takes it; a folder with ``train`` and ``val`` or
            ``test`` side by side holds its parts already
        validation, test : of pairs held out by hand; without, samples of `source` are held out,
            and of a single one a third of each field, to validate
        pixel_size_nm : that all micrographs are brought to; by default the median of those known
        unpainted : what grey pixels, those in no outline and the number 0 are: a phase's name or
            ``unlabelled``; by default the phase without paint, or what the file's tool means
        shares : of the parts, where samples are held out
        seed : of the split

        Raises
        ------
        ValueError
            When there are no pairs, masks are numbered in different ways, or a pixel size is no
            positive number.
        """
        check_pixel_size(pixel_size_nm)
        phases.bare_label(unpainted)
        source, beside_validation, beside_test = _beside(Path(source))
        validation, test = validation or beside_validation, test or beside_test
        pairs = find_pairs(source, sample_pattern=sample_pattern)
        notes = [describe_samples(pairs)]
        parts = _parts(pairs, validation, test, sample_pattern, shares, seed)
        listed = [pair for part in parts for pair in part]
        read = iter(read_all(lambda pair: _read(pair, phases, unpainted), listed))
        fields = [list(islice(read, len(part))) for part in parts]
        every = [labelled for part in fields for labelled in part]
        _check_numbers(every)
        if not fields[1] and shares[1]:
            thirds = [_cut(labelled) for labelled in fields[0]]
            fields[:2] = [rest for rest, _ in thirds], [third for _, third in thirds]
            notes.append(ONE_SAMPLE)
        notes += [*_in_two_parts(fields), *_notes_of(every, phases)]
        for labelled in every:
            check_pixel_size(labelled.metadata.get("pixel_size_nm"))
        size = pixel_size_nm or _median_size(every)
        stated = [one.metadata.get("pixel_size_nm") for one in every]
        notes += [*small_edges("pixels", size, *stated), *resampled_edges(size, *stated)]
        train, to_validate, to_test = (
            [at_pixel_size(labelled, size) for labelled in part] for part in fields
        )
        return cls(phases, train, to_validate, to_test, size, notes)

    def describe(self) -> dict[str, Any]:
        """Return what a model card says of the data, JSON-compatible."""
        return {
            part: [
                {
                    "name": labelled.name,
                    "sample": labelled.sample,
                    "shape": list(labelled.image.shape),
                    "sha256": _sha256(labelled),
                    "conditions": labelled.metadata,
                }
                for labelled in fields
            ]
            for part, fields in (
                ("train", self.train),
                ("validation", self.validation),
                ("test", self.test),
            )
        }


def _beside(source: Path) -> tuple[Path, Path | None, Path | None]:
    """Return where the pairs of a set are that lie in parts, side by side; else the source alone.

    >>> _beside(Path("nowhere"))
    (PosixPath('nowhere'), None, None)
    """
    folders = {path.name.lower(): path for path in source.iterdir()} if source.is_dir() else {}
    train, *held_out = (
        next((folders[name] for name in names if name in folders), None) for names in PARTS
    )
    if train is None or not any(held_out):
        return source, None, None
    return train, held_out[0], held_out[1]


def _cut(labelled: LabelledField) -> tuple[LabelledField, LabelledField]:
    """Return two thirds of a field and the third at an edge that leaves most phases in both."""

    def parted(axis: int, last: bool) -> tuple[LabelledField, LabelledField]:
        third = -(-labelled.image.shape[axis] // 3)
        at = [labelled.image.shape[axis] - third if last else third]
        images, labels = (np.split(a, at, axis) for a in (labelled.image, labelled.labels))
        first, second = (
            replace(labelled, image=i, labels=m) for i, m in zip(images, labels, strict=True)
        )
        return (first, second) if last else (second, first)

    def phases(part: LabelledField) -> int:
        return len(np.setdiff1d(part.labels, UNLABELLED))

    return max(
        (parted(axis, last) for axis in (0, 1) for last in (True, False)),
        key=lambda parts: (phases(parts[0]), phases(parts[1])),
    )


def _in_two_parts(parts: Sequence[Sequence[LabelledField]]) -> Iterator[str]:
    """Name what stands in two parts: images that share pixels, or samples of the same name."""
    places: dict[str, tuple[str, int]] = {}
    prints: dict[str, Fingerprint] = {}
    samples: dict[str, set[int]] = {}
    for number, part in enumerate(parts):
        for place, labelled in enumerate(part):
            samples.setdefault(labelled.sample, set()).add(number)
            # Augmentation makes mirrored and turned images.
            forms = [labelled.image, *(orientations(labelled.image) if number else ())]
            for form, image in enumerate(forms):
                key = f"{number}/{place}/{form}"
                places[key] = labelled.name, number
                prints[key] = Fingerprint.of(image)
    told = set()
    for group in chained(shared_pixels(prints)):
        first, *others = sorted(group)
        for other in others:
            if places[first][1] != places[other][1]:
                same = prints[first].digest == prints[f"{other[:-1]}0"].digest
                told.add((*places[other], *places[first], SAME if same else CUT))
    for name, own, earlier, before, what in sorted(told)[:LISTED]:
        yield (
            f"{name}, to {USE[own]} with, and {earlier}, to {USE[before]} with, {what}: its "
            "score is that of an image which the model has seen; leave one of them out."
        )
    if len(told) > LISTED:
        yield f"{len(told) - LISTED} more images share pixels with one of another part."
    twice = sorted(name for name, numbers in samples.items() if len(numbers) > 1)
    if twice and len(samples) < sum(map(len, parts)):
        yield (
            f"the sample {', '.join(twice[:5])}{' and more' * (len(twice) > 5)} is both among the "
            "pairs to train with and among those to validate or test with: where it is one "
            "specimen, the scores are better than those of others will be."
        )


def _parts(
    pairs: list[Pair],
    validation: str | Path | None,
    test: str | Path | None,
    sample_pattern: str | None,
    shares: Sequence[float],
    seed: int,
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Return the pairs of the three parts; those held out by hand are in theirs."""
    split = np.asarray(shares, dtype=float)
    by_hand = [
        [] if source is None else find_pairs(source, sample_pattern=sample_pattern)
        for source in (validation, test)
    ]
    for number, part in enumerate(by_hand, start=1):
        split[number] = 0.0 if part else split[number]
    if len({pair.sample for pair in pairs}) == 1 and split[1]:
        return pairs, [], by_hand[1]
    # A test is reported, a validation is needed: with few samples the test is given up first.
    if len({pair.sample for pair in pairs}) < np.count_nonzero(split) and not by_hand[1]:
        split[2] = 0.0
    train, to_validate, to_test = split_by_sample(pairs, tuple(split / split.sum()), seed)
    return train, by_hand[0] or to_validate, by_hand[1] or to_test


def _read(pair: Pair, phases: Phases, unpainted: str | None) -> LabelledField:
    read, mask = load_pair(pair, phases, unpainted)
    stated = dict(read.metadata)
    if read.pixel_size_nm is not None:
        stated["pixel_size_nm"] = read.pixel_size_nm
    told = pair.metadata.get("pixel_size_nm")
    notes = [
        *(note.removeprefix(f"{pair.image.name}: ") for note in read.notes),
        *contradictions("a pixel", told, read.pixel_size_nm),
        *mask.report.notes,
    ]
    known = {**stated, **pair.metadata}
    image, name = read.fields[0], pair.image.name
    return LabelledField(image, mask.labels, pair.sample, known, name, notes, mask.report.first)


def _check_numbers(fields: Sequence[LabelledField]) -> None:
    """Refuse masks of one set whose phases count from 0 and from 1: each alone cannot tell."""
    names: dict[int, str] = {}
    for labelled in fields:
        if labelled.first_number is not None:
            names.setdefault(labelled.first_number, labelled.name)
    if len(names) > 1:
        read = " and ".join(f"from {first} on in that of {name}" for first, name in names.items())
        raise ValueError(
            f"the masks of a set must number the phases alike, got numbers {read}; save "
            "255 where nothing is labelled, or say what 0 is, such as unpainted=unlabelled"
        )


def _notes_of(fields: Sequence[LabelledField], phases: Phases) -> list[str]:
    """Return what is to be said of the pairs, each sentence once."""
    notes = told_once((labelled.name, note) for labelled in fields for note in labelled.notes)
    for contrary, note in exchanged_phases([one.pair for one in fields], phases.names):
        names = [fields[number].name for number in contrary]
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        notes.append(f"{', '.join(names[:LISTED])}{more}: {note}")
    notes += misplaced_masks([one.pair for one in fields], [one.name for one in fields])
    return notes


def _median_size(fields: Sequence[LabelledField]) -> float | None:
    sizes = [size for labelled in fields if (size := _size(labelled)) is not None]
    return float(np.median(sizes)) if sizes else None


def _size(labelled: LabelledField) -> float | None:
    size = labelled.metadata.get("pixel_size_nm")
    return None if size is None else float(size)


def at_pixel_size(labelled: LabelledField, pixel_size_nm: float | None) -> LabelledField:
    """Return a field resampled to the common pixel size, where its own is known and differs."""
    own = _size(labelled)
    if own is None or pixel_size_nm is None or abs(own / pixel_size_nm - 1) <= SAME_PIXEL_SIZE:
        return labelled
    shape = tuple(max(1, round(edge * own / pixel_size_nm)) for edge in labelled.image.shape)
    rows = (np.arange(shape[0]) * labelled.labels.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * labelled.labels.shape[1]) // shape[1]
    return replace(
        labelled,
        image=resample(_single(labelled.image), shape),
        labels=labelled.labels[np.ix_(rows, columns)],
    )


def _single(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image in single precision, standardised where an offset would swallow it."""
    mean, deviation = mean_and_deviation(image)
    if on_pedestal(mean, deviation):
        return less_mean(image, mean, deviation)
    return np.asarray(image, np.float32)


def _sha256(labelled: LabelledField) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(labelled.image).tobytes())
    digest.update(labelled.labels.tobytes())
    return digest.hexdigest()
