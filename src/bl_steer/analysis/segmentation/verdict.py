"""What the analysis ``segment`` finds in its fields and says of them, and which have no interval.

One verdict for fields in memory (`analysis`) and planes on disk (`from_zarr`): each is looked at
once, and what is kept of it is small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.analysis.data_bars import bar_below
from bl_steer.analysis.grey_levels import (
    clipped_shares,
    clipped_warnings,
    few_levels,
    step_warnings,
)
from bl_steer.analysis.margins import Margin, margin_warnings, margins_of, specimen_in
from bl_steer.analysis.segmentation.checks import (
    bar_warnings,
    copy_warnings,
    doubt_warnings,
    doubtful,
    negative_warnings,
    place_warnings,
    size_warnings,
    texture_warnings,
    too_small,
    warnings_for,
    weight_warnings,
)
from bl_steer.analysis.segmentation.fields import FieldOfView
from bl_steer.analysis.shared_pixels import (
    Fingerprint,
    SharedPixels,
    chained,
    orientations,
    shared_pixels,
)
from bl_steer.files.pixel_size import small_edges
from bl_steer.protocols import Progress, Table

__all__ = ["Look", "Verdict", "look_at", "verdict_on"]

MOST_TURNED = 64
"""Fields that are looked for in later and earlier ones mirrored and turned: planes of a stack are
not, and each takes eight times as long to look at."""


@dataclass(frozen=True)
class Textured:
    """What is kept of a field that shows more than a handful of grey levels."""

    bar: tuple[int, bool]
    margins: tuple[Margin, ...]
    steps: tuple[str, ...]
    clipped: tuple[float, float]
    fingerprint: Fingerprint
    turned: tuple[Fingerprint, ...]
    negative: tuple[float, float] | None


@dataclass(frozen=True)
class Look:
    """What is kept of a field that was looked at.

    Parameters
    ----------
    title : by which its user knows it
    shape : rows and columns
    size_nm : edge of a pixel
    levels : its grey levels, where they are but a handful
    textured : what else was seen, where they are more
    """

    title: str
    shape: tuple[int, ...]
    size_nm: float | None
    levels: Sequence[float]
    textured: Textured | None


@dataclass(frozen=True)
class Verdict:
    """Tables of segmented fields, and what to say of them."""

    tables: dict[str, Table]
    warnings: tuple[str, ...]


def look_at(
    model: segmentation.SegmentationModel, fields: Iterable[FieldOfView]
) -> dict[str, Look]:
    """Return what is seen in fields, by their names; each is taken once."""
    looks: dict[str, Look] = {}
    known = _conditions(model)
    for field in fields:
        image = field.image
        levels = few_levels([image])
        textured = None
        if not levels:
            bar, margins = margins_of(image, bar_below(image))
            textured = Textured(
                bar,
                margins,
                tuple(step_warnings([(field.title, image)])),
                clipped_shares(specimen_in(image, bar[0], margins), known.least_clipped),
                Fingerprint.of(image),
                tuple(map(Fingerprint.of, orientations(image) if len(looks) < MOST_TURNED else ())),
                segmentation.seems_negative(model, image, field.size_nm),
            )
        looks[field.name] = Look(field.title, image.shape, field.size_nm, levels, textured)
    return looks


def verdict_on(
    model: segmentation.SegmentationModel,
    looks: Mapping[str, Look],
    labels: Mapping[str, NDArray[np.uint8]],
    mean_uncertainty: Callable[[str], float],
    *,
    image_of: Callable[[str], NDArray[Any]],
    metadata: Mapping[str, Any],
    progress: Progress | None = None,
) -> Verdict:
    """Return tables and warnings of segmented fields.

    Parameters
    ----------
    looks : of `look_at`
    labels : label map (H, W) of each field; they may be read one after another
    mean_uncertainty : of the field of a name
    image_of : the field of a name, as it was looked at; called for the dozen that is compared
    metadata : a value for all fields, or a list with one for each
    progress : called after each field that is compared with the training
    """
    titles = {name: look.title for name, look in looks.items()}
    seen = {name: look.textured for name, look in looks.items() if look.textured is not None}
    small = too_small({name: looks[name].shape for name in seen})
    doubts = doubtful(
        model,
        {n: (mean_uncertainty(n), float(np.prod(looks[n].shape)) ** 0.5) for n in seen},
    )
    copies = shared_pixels(
        {name: look.fingerprint for name, look in seen.items()},
        {name: look.turned for name, look in seen.items()},
    )
    flat = {name: look.levels for name, look in looks.items() if name not in seen}
    sizes = [look.size_nm for look in looks.values()]
    shares = _fractions(model, labels, {*flat, *small, *doubts}, sizes, copies)
    names = list(seen)
    compared = [
        specimen_in(image_of(name), seen[name].bar[0], seen[name].margins)
        for name in (names[k] for k in segmentation.compared_images(len(names)))
    ]

    def titled(of_fields: Mapping[str, Any]) -> dict[str, Any]:
        return {titles[name]: value for name, value in of_fields.items()}

    return Verdict(
        {
            "fractions": _by_field(list(labels), model.phases.names, shares),
            "sample": {
                "phase": np.array(model.phases.names),
                "fraction": shares.mean,
                "fraction_low": shares.mean_low,
                "fraction_high": shares.mean_high,
            },
        },
        (
            *small_edges("pixels", *sizes),
            *weight_warnings(sizes),
            *bar_warnings(titled({name: look.bar for name, look in seen.items()})),
            *margin_warnings(titled({name: look.margins for name, look in seen.items()})),
            *next((look.steps for look in seen.values() if look.steps), ()),
            *clipped_warnings(
                titled({name: look.clipped for name, look in seen.items()}),
                _conditions(model).clipped,
            ),
            *copy_warnings(copies, titles),
            *place_warnings(titles, shares.same_place, copies),
            *size_warnings(titled(small)),
            *texture_warnings(titled(flat)),
            *doubt_warnings(model, titled(doubts)),
            *negative_warnings(titled({name: look.negative for name, look in seen.items()})),
            *warnings_for(model, compared, metadata, progress),
        ),
    )


def _conditions(model: segmentation.SegmentationModel) -> segmentation.Acquisition:
    """Return how the training images were acquired; nothing where the model does not say."""
    recorded = model.card.get("conditions")
    return (
        segmentation.Acquisition.from_dict(recorded) if recorded else segmentation.Acquisition({})
    )


def _fractions(
    model: segmentation.SegmentationModel,
    labels: Mapping[str, NDArray[np.uint8]],
    unsure: set[str],
    sizes: Sequence[float | None],
    copies: Sequence[SharedPixels],
) -> segmentation.Fractions:
    """Return the fractions of fields, without an interval for those that are no measurement."""
    sd = model.card.get("fraction_error_sd")
    return segmentation.phase_fractions(
        labels.values(),
        len(model.phases),
        model_sd=None if sd is None else np.asarray(sd),
        no_measurement=[number for number, name in enumerate(labels) if name in unsure],
        pixel_nm=sizes,
        copies=[
            [number for number, name in enumerate(labels) if name in group]
            for group in chained(copies)
        ],
    )


def _by_field(fields: list[str], phases: tuple[str, ...], shares: segmentation.Fractions) -> Table:
    return {
        "field": np.repeat(np.array(fields), len(phases)),
        "phase": np.tile(np.array(phases), len(fields)),
        "fraction": shares.fraction.ravel(),
        "fraction_low": shares.low.ravel(),
        "fraction_high": shares.high.ravel(),
    }
