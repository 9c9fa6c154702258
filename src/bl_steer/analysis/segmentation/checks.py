"""What a user should know of segmented micrographs; every warning of the analysis ``segment``.

What the readers of files noticed comes with the inputs (`bl_steer.protocols.Inputs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.analysis.grey_levels import few_levels
from bl_steer.protocols import Progress

__all__ = ["count_compared", "texture_warnings", "textureless", "warnings_for"]

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
    recorded = model.card.get("conditions")
    if recorded is None:
        return segmentation.Acquisition({}).unknown_names(metadata)
    training = segmentation.Acquisition.from_dict(recorded)
    return training.unknown_names(metadata) + training.warnings_for(images, metadata, progress)
