"""What a user should know of segmented micrographs; every warning of the analysis ``segment``.

What the readers of files noticed comes with the inputs (`bl_steer.protocols.Inputs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.analysis.data_bars import BEGINS_HIGHER
from bl_steer.analysis.shared_pixels import SharedPixels, chained
from bl_steer.protocols import Progress

__all__ = [
    "bar_warnings",
    "copy_warnings",
    "count_compared",
    "doubt_warnings",
    "doubtful",
    "negative_warnings",
    "place_warnings",
    "size_warnings",
    "texture_warnings",
    "too_small",
    "warnings_for",
    "weak_phase_warnings",
    "weight_warnings",
]

LEAST_DOUBT = 0.03
"""Mean uncertainty up to which no model is in doubt, however sure it was of its few held-out pairs.
Of forests of four simulated pairs, images up to it had 99.5 % of the pixels right, blurred ones
with more than 3 % wrong had .041 and more."""
LEAST_PX = 32
"""Edge below which a block of a field, a sixteenth of it, has fewer than 8 x 8 pixels."""
SAME_SIZE = 1.02
"""Ratio of pixel sizes up to which fields have one magnification, as `segment` takes it."""
LISTED = 3
"""Fields that are named; the others are counted."""


def texture_warnings(levels: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Say which fields show nothing, or look like label maps: they have no intervals.

    Parameters
    ----------
    levels : of the fields that hold but a handful, by the names under which the user knows them
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


def weight_warnings(sizes_nm: Sequence[float | None]) -> Iterator[str]:
    """Say how fields are weighted in the sample's fractions where their pixels are unlike.

    Parameters
    ----------
    sizes_nm : edge of a pixel of each field
    """
    known = [size for size in sizes_nm if size is not None]
    if not known:
        return
    if len(known) < len(sizes_nm):
        yield (
            f"{len(sizes_nm) - len(known)} of {len(sizes_nm)} fields have no known pixel size: in "
            "the fractions of all together each counts by its pixels, and not by its area; give "
            "the pixel size, or fields that have one"
        )
    elif max(known) > SAME_SIZE * min(known):
        yield (
            f"the fields have pixels of {min(known):.4g} nm to {max(known):.4g} nm: in the "
            "fractions of all together each counts by its area, one with the largest pixels "
            f"{(max(known) / min(known)) ** 2:.3g} times as much as one with as many of the "
            "smallest; give fields of one magnification to count them by their pixels"
        )


def too_small(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the fields of which no part tells how much the phases vary."""
    return {name: shape for name, shape in shapes.items() if min(shape) < LEAST_PX}


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


def copy_warnings(copies: Sequence[SharedPixels], titles: Mapping[str, str]) -> Iterator[str]:
    """Name the images that are there twice, and those that were cut from one recording.

    Parameters
    ----------
    copies : those that share pixels
    titles : of the fields, by their names
    """
    for kind in ("same", "cut", "turned"):
        pairs = [
            pair
            for pair in copies
            if kind == ("turned" if pair.turned else "same" if pair.same else "cut")
        ]
        if not pairs:
            continue
        first, second = titles[pairs[0].first], titles[pairs[0].second]
        if kind == "turned":
            more = f", as are {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
            yield (
                f"{second} is {first} mirrored or turned, {pairs[0].share:.0%} of the smaller one"
                f"{more}: what they share counts twice in the fractions, and they count as one "
                "field in the interval; give each image once"
            )
        elif kind == "same":
            more = f", and {len(pairs) - 1} more images are there twice" if len(pairs) > 1 else ""
            yield (
                f"{second} and {first} are the same image, pixel by pixel{more}: it counts twice "
                "in the fractions, and once in their interval; give each image once"
            )
        else:
            more = f", as do {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
            yield (
                f"{second} and {first} share pixels, {pairs[0].share:.0%} of the smaller one"
                f"{more}: they were cut from one recording, or saved in two forms; what they share "
                "counts twice in the fractions, and they count as one field in the interval; give "
                "fields that do not overlap"
            )


def place_warnings(
    titles: Mapping[str, str],
    places: Sequence[tuple[int, ...]],
    copies: Sequence[SharedPixels] = (),
) -> Iterator[str]:
    """Name the fields that seem to overlap.

    Parameters
    ----------
    titles : of all fields, by their names
    places : numbers of the fields at each place, as of `same_places`
    copies : those that share pixels, and are named for that
    """
    names = list(titles)
    for place in places:
        if any({names[number] for number in place} <= group for group in chained(copies)):
            continue
        *others, last = (titles[names[number]] for number in place)
        yield (
            f"{', '.join(others)} and {last} seem to show one place, in whole or in part: laid on "
            "each other they look alike, because they overlap, or because independent places of "
            "the sample do, as those along one layer; for the interval of all fields they count as "
            "one, in the fractions what they share counts more than once; give fields that do not "
            "overlap"
        )


def bar_warnings(seen: Mapping[str, tuple[int, bool]]) -> Iterator[str]:
    """Name the images whose last rows look like a data bar: `bar_below` of each, by its name."""
    bars = {name: bar for name, bar in seen.items() if bar[0]}
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
) -> Iterator[str]:
    """Say which fields the model is in doubt about.

    Parameters
    ----------
    fields : of `doubtful`, by the names under which the user knows them
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


def negative_warnings(seen: Mapping[str, tuple[float, float] | None]) -> Iterator[str]:
    """Name the images that look like negatives to a model, where bright and dark are exchanged.

    Parameters
    ----------
    seen : `seems_negative` of each image, by the name under which it is known
    """
    negatives = {title: both for title, both in seen.items() if both is not None}
    if negatives:
        (first, (own, negative)), *others = negatives.items()
        names = ", ".join(list(negatives)[:LISTED])
        more = f" and {len(negatives) - LISTED} more" if len(negatives) > LISTED else ""
        yield (
            f"{names}{more} look{'' if others else 's'} to the model like a negative, by "
            f"details and mean uncertainty together ({own:.2g}, of the negative {negative:.2g}"
            f"{f' of {first}' * bool(others)}): bright and dark may be exchanged, or "
            "the specimen may be of another kind; invert the image, and compare"
        )


def weak_phase_warnings(model: segmentation.SegmentationModel) -> Iterator[str]:
    """Name the phases that a model hardly finds, by the pairs that it was not trained with."""
    for name, iou in model.weak_phases.items():
        yield (
            f"the model hardly finds {name}: of what it and the masks of held-out pairs call so, "
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
    images : grey, each (H, W), without those that hold but a handful of grey levels
    metadata : a value for all images, or a list with one for each
    progress : called after each image that is compared; see `count_compared`
    """
    weak = list(weak_phase_warnings(model))
    told = metadata.get("pixel_size_nm")
    if isinstance(told, (int, float)) and model.pixel_size_nm is None:
        weak.append(
            f"the pixel size of {told:g} nm is not used: the model was trained with none; where "
            "that of its pairs was another, train it with their pixel sizes"
        )
    recorded = model.card.get("conditions")
    if recorded is None:
        return weak + segmentation.Acquisition({}).unknown_names(metadata)
    training = segmentation.Acquisition.from_dict(recorded)
    return (
        weak + training.unknown_names(metadata) + training.warnings_for(images, metadata, progress)
    )
