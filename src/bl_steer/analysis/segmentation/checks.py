"""What a user should know of segmented micrographs; every warning of the analysis ``segment``.

What the readers of files noticed comes with the inputs (`bl_steer.protocols.Inputs`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.analysis.data_bars import BEGINS_HIGHER, bar_below
from bl_steer.analysis.grey_levels import few_levels
from bl_steer.protocols import Progress

__all__ = [
    "bar_warnings",
    "count_compared",
    "doubled_warnings",
    "doubt_warnings",
    "doubtful",
    "size_warnings",
    "texture_warnings",
    "textureless",
    "too_small",
    "warnings_for",
    "weak_phase_warnings",
]

NEGATIVE = 0.7
"""Mean uncertainty of an image's negative beside its own, from which it is told to look inverted:
of 8 unseen specimens the negatives had 2 to 6 times that of the images."""
LEAST_SHARE = 0.01
"""Of each phase in an image and in its negative, for the two to be compared."""
NEGATIVE_PX = 256
"""Edge of the part of an image that is compared with its negative."""
LEAST_DOUBT = 0.03
"""Mean uncertainty up to which no model is in doubt, however sure it was of its few held-out pairs.
Of forests of four simulated pairs, images up to it had 99.5 % of the pixels right, blurred ones
with more than 3 % wrong had .041 and more."""
LEAST_PX = 32
"""Edge below which a block of a field, a sixteenth of it, has fewer than 8 x 8 pixels."""
LISTED = 3
"""Fields that are named; the others are counted."""


def textureless(images: Iterable[tuple[str, NDArray[Any]]]) -> dict[str, list[float]]:
    """Return the grey levels of those fields that hold a handful: no texture to judge phases by.

    Parameters
    ----------
    images : name and grey levels (H, W) of each field
    """
    return {name: levels for name, image in images if (levels := few_levels([image]))}


def texture_warnings(levels: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Say which fields show nothing, or look like label maps: they have no intervals.

    Parameters
    ----------
    levels : of `textureless`, by the name under which the user knows a field
    """
    fields: dict[tuple[float, ...], list[str]] = {}
    for name, values in levels.items():
        fields.setdefault(tuple(values), []).append(name)
    for values, names in fields.items():
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        subject = f"{', '.join(names[:LISTED])}{more} hold{'s' if len(names) == 1 else ''}"
        shown = ", ".join(f"{value:g}" for value in values)
        if len(values) == 1:
            yield (
                f"{subject} the grey level {shown} in every pixel, and nothing to segment: the "
                "phases are no measurement, and fractions have no interval; leave it out, or take "
                "it anew"
            )
        else:
            yield (
                f"{subject} the grey levels {shown} alone, as a label map does, and no texture "
                "that tells phases: they are no measurement, and fractions have no interval; give "
                "the micrograph itself, or measure label maps with the analysis structure"
            )


def too_small(images: Iterable[tuple[str, NDArray[Any]]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the fields of which no part tells how much the phases vary."""
    return {name: image.shape for name, image in images if min(image.shape) < LEAST_PX}


def size_warnings(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Say which fields are too small for an interval, by the names under which they are known."""
    if shapes:
        name, shape = next(iter(shapes.items()))
        more = f" and {len(shapes) - 1} more" if len(shapes) > 1 else ""
        yield (
            f"{name}{more} has {' x '.join(map(str, shape))} px, too few to tell how far its "
            f"fractions are off: there is no interval; give images of at least {LEAST_PX} px along "
            "each edge"
        )


def doubled_warnings(images: Iterable[tuple[str, NDArray[Any]]]) -> Iterator[str]:
    """Name the images that are there twice, by the names of their fields."""
    first: dict[bytes, str] = {}
    twice: list[tuple[str, str]] = []
    for name, image in images:
        content = np.ascontiguousarray(image).tobytes()
        digest = hashlib.sha256(f"{image.dtype}{image.shape}".encode() + content).digest()
        if first.setdefault(digest, name) != name:
            twice.append((name, first[digest]))
    if twice:
        name, earlier = twice[0]
        more = f", and {len(twice) - 1} more images are there twice" if len(twice) > 1 else ""
        yield (
            f"{name} and {earlier} are the same image, pixel by pixel{more}: it counts twice in "
            "the fractions, and makes their interval too narrow; give each image once"
        )


def bar_warnings(images: Iterable[tuple[str, NDArray[Any]]]) -> Iterator[str]:
    """Name the images (H, W) whose last rows look like a data bar, by the names of their fields."""
    seen = ((name, bar_below(image)) for name, image in images)
    bars = {name: bar for name, bar in seen if bar[0]}
    if bars:
        first = next((name for name, (_, sharp) in bars.items() if not sharp), next(iter(bars)))
        rows, sharp = bars[first]
        remedy = f"give bar_px={rows}, or crop the image above it"
        if not sharp:
            remedy = f"{BEGINS_HIGHER}, give their number as bar_px, or crop the image above them"
        more = f", as do {len(bars) - 1} more" if len(bars) > 1 else ""
        yield (
            f"the last {rows} rows of {first} look like a data bar{more}, and are counted as "
            f"phases: {remedy}"
        )


def doubtful(
    model: segmentation.SegmentationModel, uncertainty: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """Return the fields of which the model is less sure than of any that it was validated with.

    Parameters
    ----------
    uncertainty : mean over the pixels of each field, and the root of its area, px: of a small field
        a model is less sure

    Returns
    -------
    fields : how many times its limit the uncertainty of each is, the largest first; none where the
        model was saved without the uncertainty of its held-out pairs
    """
    known = model.card.get("uncertainty")
    if known is None:
        return {}
    # The fewer were held out, the less is the largest of them the largest there is.
    margin = 1.5 + 1 / known["count"]
    sizes = np.log(known["edge_px"])
    beyond = {
        name: value
        / max(LEAST_DOUBT, margin * float(np.interp(np.log(edge_px), sizes, known["largest"])))
        for name, (value, edge_px) in uncertainty.items()
    }
    return dict(sorted(((n, r) for n, r in beyond.items() if r > 1), key=lambda item: -item[1]))


def doubt_warnings(
    model: segmentation.SegmentationModel,
    fields: Mapping[str, float],
    worst: tuple[str, NDArray[Any]] | None,
) -> Iterator[str]:
    """Say which fields the model is in doubt about, and whether their negative is clearer to it.

    Parameters
    ----------
    fields : of `doubtful`, by the names under which the user knows them
    worst : name and grey levels (H, W) of the field of the largest uncertainty, in doubt or not;
        None where there is none
    """
    if fields:
        names = list(fields)
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        yield (
            f"the model is in doubt about {', '.join(names[:LISTED])}{more}: its mean "
            f"uncertainty is {fields[names[0]]:.2f} times the limit that the "
            f"{model.card['uncertainty']['count']} held out in training give for that size, and "
            "there is no interval; other conditions, or what was not trained, may be the cause: "
            "look at the label maps"
        )
    if model.card.get("uncertainty") is None:
        yield (
            "the model does not say how unsure it may be (saved by an earlier version, or without "
            "held-out pairs): no alarm tells images that it does not know; look at the label maps, "
            "or train it anew"
        )
    if worst is None:
        return
    title, image = worst
    rows, columns = (
        slice(max(0, (edge - NEGATIVE_PX) // 2), max(0, (edge - NEGATIVE_PX) // 2) + NEGATIVE_PX)
        for edge in image.shape
    )
    part = np.asarray(image[rows, columns], np.float64)
    seen = [segmentation.segment(model, grey, keep_probability=False) for grey in (part, -part)]
    own, negative = (found.mean_uncertainty for found in seen)
    # Of two phases the negative is an image of the two exchanged, and neither is the clearer.
    whole = min(found.expected.min() for found in seen) > LEAST_SHARE
    if whole and negative < NEGATIVE * own:
        yield (
            f"of {title}, which it is least sure of, the model is surer of the negative (mean "
            f"uncertainty {negative:.2g} for {own:.2g}): bright and dark may be exchanged, in "
            "others of its kind too; invert the image, and compare"
        )


def weak_phase_warnings(model: segmentation.SegmentationModel) -> Iterator[str]:
    """Name the phases that a model hardly finds, by the pairs that validated it."""
    for name, iou in model.weak_phases.items():
        yield (
            f"the model hardly finds {name}: of what it and the masks of the validation call so, "
            f"{iou:.0%} agree (IoU {iou:.2f}); its share is no measurement: paint more of it, or "
            "train longer, or with larger patches"
        )


def count_compared(model: segmentation.SegmentationModel, n_fields: int) -> int:
    """Return how many fields are compared with the training's: steps of the progress."""
    recorded = model.card.get("conditions") or {}
    return len(segmentation.compared_images(n_fields)) if recorded.get("count") else 0


def warnings_for(
    model: segmentation.SegmentationModel,
    images: Sequence[NDArray[Any]],
    metadata: Mapping[str, Any],
    progress: Progress | None = None,
) -> list[str]:
    """Say how micrographs differ from those in training, and which metadata mean nothing.

    All fields are judged together: they were acquired alike, which finds smaller changes.

    Parameters
    ----------
    images : grey, each (H, W), those without `textureless` ones
    metadata : a value for all images, or a list with one for each
    progress : called after each image that is compared; see `count_compared`
    """
    weak = list(weak_phase_warnings(model))
    recorded = model.card.get("conditions")
    if recorded is None:
        return weak + segmentation.Acquisition({}).unknown_names(metadata)
    training = segmentation.Acquisition.from_dict(recorded)
    return (
        weak + training.unknown_names(metadata) + training.warnings_for(images, metadata, progress)
    )
