"""Find the pairs of micrograph and painted mask that a model learns from, and split them.

A folder or a catalogue (CSV) lists the pairs; all its problems are reported at once. Pairs of one
sample never come apart: scores on a part of a sample that the model has seen are worth nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.masks import DecodedMask, read_mask
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.analysis.segmentation.training.catalogue import pairs_listed
from bl_steer.files.annotations import images_of, is_annotation
from bl_steer.files.ilastik import EXPORTS
from bl_steer.files.images import Micrographs, folder_named, list_images, read_micrographs
from bl_steer.files.images.pages import size_of

__all__ = [
    "Labelled",
    "Pair",
    "describe_samples",
    "find_pairs",
    "load_pair",
    "masks_among",
    "split_by_sample",
]

_MASK_WORD = r"(?:masks?|annot(?:ations?)?|labels?|(?:simple )?segmentation|gt|rois?|roiset)"
_MASK_NAME = re.compile(rf"[ _.-]{_MASK_WORD}$", re.IGNORECASE)
_IMAGE_NAME = re.compile(r"[ _.-](?:images?|img)$", re.IGNORECASE)
_MASK_FOLDERS = ("masks", "mask", "labels", "annotations", "annot")
_TRIALS = 64  # of the split: far more than a dozen samples need

Labelled = tuple[NDArray[Any], NDArray[np.uint8]]
"""A micrograph (H, W) and its labels (H, W)."""


@dataclass(frozen=True)
class Pair:
    """A micrograph and its painted mask.

    Parameters
    ----------
    sample : what both come from: the unit that a split keeps together
    metadata : how the micrograph was acquired: ``{"pixel_size_nm": 10.0, "staining": "none"}``
    """

    image: Path
    mask: Path
    sample: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def find_pairs(folder_or_csv: str | Path, *, sample_pattern: str | None = None) -> list[Pair]:
    """Find pairs in a folder, or read them from a catalogue.

    Folders may be laid out as ``X/`` beside ``X_annot/`` or ``X_masks/`` (give X), as ``images/``
    and ``masks/`` within one, or with ``name.*`` beside ``name_mask.*``. Annotations of tools may
    have the very name of their image (``name.json``), and one file of COCO is the mask of each
    image that it lists. A catalogue has the columns ``image`` and ``mask`` (paths relative to it),
    if known ``sample``, and any acquisition metadata.

    Parameters
    ----------
    sample_pattern : regular expression; its first group (or all of it) in the name of an image is
        the sample. By default it is what names share up to a separator: ``spot3`` of
        ``spot3_0d_3.tif``; see `describe_samples`.

    Raises
    ------
    ValueError
        If there are no pairs, or any has no mask, no image, or a mask of another size.
    """
    source = Path(folder_or_csv)
    if source.is_dir():
        rows, problems = _pairs_in(source)
    elif source.is_file():
        rows, problems = pairs_listed(source)
    else:
        raise ValueError(
            f"pairs must be in a folder or a catalogue (CSV), got {str(source)!r}, which does not "
            "exist; check the path"
        )
    problems += [problem for image, mask, _ in rows for problem in _mismatch(image, mask)]
    if problems:
        raise ValueError(
            f"pairs in {source} must be complete, got {len(problems)} problems: "
            + "; ".join(problems)
        )
    samples = _samples([image for image, _, _ in rows], sample_pattern)
    return [
        Pair(image, mask, str(metadata.pop("sample", sample)), metadata)
        for (image, mask, metadata), sample in zip(rows, samples, strict=True)
    ]


def describe_samples(pairs: Sequence[Pair]) -> str:
    """Say which samples the pairs belong to, for a reader to check."""
    counts = Counter(pair.sample for pair in pairs)
    if len(counts) == len(pairs) > 1:
        return (
            f"{len(pairs)} pairs, and each counts as a sample of its own: if some show the same "
            "specimen, give sample_pattern or a column 'sample'."
        )
    listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    some = "1 pair" if len(pairs) == 1 else f"{len(pairs)} pairs"
    return f"{some} of {'1 sample' if len(counts) == 1 else f'{len(counts)} samples'}: {listed}."


def masks_among(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are masks by their name and have their micrograph beside them.

    >>> masks_among([Path("a.tif"), Path("a_mask.png"), Path("b_mask.png")])
    [PosixPath('a_mask.png')]
    """
    stems = {(path.parent, path.stem) for path in paths}
    return [
        path
        for path in paths
        if (stem := _MASK_NAME.sub("", path.stem)) != path.stem and (path.parent, stem) in stems
    ]


def load_pair(
    pair: Pair, phases: Phases, unpainted: str | None = None, *, called: str | None = None
) -> tuple[Micrographs, DecodedMask]:
    """Read a pair: the file of one grey field (H, W), and its mask, as `read_mask` takes it.

    Parameters
    ----------
    called : as in `read_mask`

    Raises
    ------
    ValueError
        If either cannot be read, or the mask does not fit.
    """
    read = read_micrographs(pair.image)
    if len(read.fields) != 1:
        raise ValueError(
            f"{pair.image.name} must hold one field, got {len(read.fields)}; save each with its "
            "mask"
        )
    try:
        return read, read_mask(pair.mask, phases, read, unpainted=unpainted, called=called)
    except ValueError as error:
        known = str(error).startswith(pair.mask.name)
        raise ValueError(str(error) if known else f"{pair.mask.name}: {error}") from None


def split_by_sample(
    pairs: Sequence[Pair], shares: Sequence[float] = (0.7, 0.15, 0.15), seed: int = 0
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Split pairs into training, validation and test, with no sample in two of them.

    Parameters
    ----------
    shares : of the pairs, for the three parts; a part of share 0 stays empty

    Raises
    ------
    ValueError
        If the shares do not sum to 1, or there are fewer samples than parts.
    """
    counts = Counter(pair.sample for pair in pairs)
    share = np.asarray(shares, dtype=float)
    if share.shape != (3,) or not (np.all(share >= 0) and abs(share.sum() - 1) < 1e-6):
        raise ValueError(f"shares must be three, not negative, of sum 1, got {tuple(shares)}")
    parts = [int(part) for part in np.flatnonzero(share)]
    if len(counts) < len(parts):
        raise ValueError(
            f"samples must be at least {len(parts)} for as many parts, got {len(counts)}: "
            f"{sorted(counts)}; paint another sample, or set shares such as (1, 0, 0)"
        )
    rng = np.random.default_rng(seed)
    trials = [_assign(counts, share * len(pairs), parts, rng) for _ in range(_TRIALS)]
    part_of = min(trials, key=lambda trial: trial[0])[1]
    train, val, test = ([p for p in pairs if part_of[p.sample] == part] for part in range(3))
    return train, val, test


def _assign(
    counts: Mapping[str, int], sizes: NDArray[np.float64], parts: list[int], rng: Any
) -> tuple[float, dict[str, int]]:
    """Assign samples in random order, each to the part that lacks most; return the misfit too."""
    lacking = sizes.copy()
    part_of: dict[str, int] = {}
    names = sorted(counts)
    for number, index in enumerate(rng.permutation(len(names))):
        name = names[index]
        part = parts[number] if number < len(parts) else max(parts, key=lambda p: lacking[p])
        part_of[name] = part
        lacking[part] -= counts[name]
    return float(np.abs(lacking).sum()), part_of


def _key(path: Path) -> str:
    return _IMAGE_NAME.sub("", _MASK_NAME.sub("", path.stem)).lower()


def _pairs_in(folder: Path) -> tuple[list[tuple[Path, Path, dict[str, Any]]], list[str]]:
    images, masks = _layout(folder)
    by_key: dict[str, list[Path]] = {}
    by_name: dict[str, list[Path]] = {}
    for mask in masks:
        listed = images_of(mask) if is_annotation(mask) else []
        for name in listed:
            by_name.setdefault(Path(name).stem.lower(), []).append(mask)
        if not listed:
            by_key.setdefault(_key(mask), []).append(mask)
    rows: list[tuple[Path, Path, dict[str, Any]]] = []
    problems = [] if images else [f"no images in {folder} itself{_below(folder)}"]
    for image in images:
        own = [*by_key.pop(_key(image), []), *by_name.get(image.stem.lower(), [])]
        if len(own) == 1:
            rows.append((image, own[0], {}))
        else:
            names = [f"{m.parent.name}/{m.name}" for m in own] or [f"name it {image.stem}_mask.png"]
            problems.append(f"{image.name} has {len(own) or 'no'} masks ({', '.join(names)})")
    problems += [f"{mask.name} has no image" for left in by_key.values() for mask in left]
    return rows, problems


def _layout(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images and masks of a folder; masks beside it only if those within lack some."""
    within = folder_named(folder, "images")
    inside = [f for name in _MASK_FOLDERS if (f := folder_named(folder, name)).is_dir()]
    if within.is_dir() and inside:
        return list_images(within), _masks_in(inside[0])
    files = list_images(folder)
    masks_here = [path for path in files if _MASK_NAME.search(path.stem)]
    images = [path for path in files if path not in masks_here]
    named = {_key(path) for path in images}
    if not named or named - {_key(path) for path in masks_here}:
        for name in _MASK_FOLDERS:
            if (masks := folder_named(folder.parent, f"{folder.name}_{name}")).is_dir():
                return files, _masks_in(masks)
    # Other files lie in such a folder, too: an annotation has its image's name, or lists images.
    further = [path for path in _annotations_in(folder) if _key(path) in named or images_of(path)]
    return images, [*masks_here, *further]


def _masks_in(folder: Path) -> list[Path]:
    return [*list_images(folder), *_annotations_in(folder)]


def _annotations_in(folder: Path) -> list[Path]:
    """Return the files in a folder that may hold outlines, or be exports of ilastik."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and not path.name.startswith(".")
        and (is_annotation(path) or path.suffix.lower() in EXPORTS)
    )


def _below(folder: Path) -> str:
    """Name a folder below that has its masks beside it, as a hint."""
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        if any(inner.with_name(f"{inner.name}_{name}").is_dir() for name in _MASK_FOLDERS):
            return f" (did you mean {inner}?)"
    return ""


def _mismatch(image: Path, mask: Path) -> list[str]:
    if is_annotation(mask) or mask.suffix.lower() in EXPORTS:
        return []  # told as they are read
    try:
        sizes = size_of(image), size_of(mask)
    except ValueError as error:
        return [str(error)]
    if sizes[0] == sizes[1]:
        return []
    return [f"{mask.name} has {sizes[1]} pixels, its image {sizes[0]}"]


def _samples(images: Sequence[Path], pattern: str | None) -> list[str]:
    stems = [_IMAGE_NAME.sub("", image.stem) for image in images]
    if pattern is not None:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"sample_pattern must be a regular expression, got {pattern!r} ({error}); try "
                r"'^(\w+?)_'"
            ) from None
        matches = [compiled.search(stem) for stem in stems]
        lost = [stem for stem, match in zip(stems, matches, strict=True) if match is None]
        if lost:
            raise ValueError(
                f"sample_pattern must fit each name, got {pattern!r} for {lost[:5]}; try '^[^_]+'"
            )
        return [m[1] if m.re.groups else m[0] for m in matches if m is not None]
    words = [re.split(r"[ _.-]+", stem) for stem in stems]
    # The last word is the number of the field; what stands before it may name the sample.
    for length in range(1, max((len(w) for w in words), default=1)):
        names = ["_".join(w[: min(length, len(w) - 1)] or w) for w in words]
        if len(set(names)) > 1:
            return names
    return [image.name for image in images]
