"""Phases as a user writes them: a preset's name, a JSON file, ``name:colour,…`` or names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from PIL import ImageColor

from bl_steer.analysis.segmentation.phases import (
    FIBSEM_PHASES,
    OPTICAL_PHASES,
    Colour,
    Phase,
    Phases,
)

__all__ = ["PHASE_PRESETS", "parse_phases"]

PHASE_PRESETS = {"fibsem": FIBSEM_PHASES, "optical": OPTICAL_PHASES}

SHOWN: tuple[Colour, ...] = (
    (0, 90, 115),
    (213, 94, 0),
    (240, 228, 66),
    (86, 180, 233),
    (204, 121, 167),
    (0, 158, 115),
)
"""Colours in figures for phases that a user names: most are Okabe and Ito's, made for colour-blind
readers too; the first three differ most."""

UNPAINTED = "none"


def parse_phases(text: str) -> Phases:
    """Return phases from their written form.

    Parameters
    ----------
    text : ``"fibsem"`` or ``"optical"``; the path of a JSON file with a list of ``name``,
        ``paint`` and ``show``; or ``"matrix:none,secondary:blue,tertiary:#ff0000"``, in the order
        of the labels, where ``none`` is the phase of what is left unpainted; or names alone,
        ``"matrix,secondary"``, where masks hold numbers or outlines: their paints are the colours
        of figures

    Raises
    ------
    ValueError
        When it is none of these, or a colour has no such name.

    Examples
    --------
    >>> parse_phases("matrix:none,particles:blue").names
    ('matrix', 'particles')
    """
    if text in PHASE_PRESETS:
        return PHASE_PRESETS[text]
    if text.endswith(".json"):
        return _read(Path(text))
    rows = [part.partition(":") for part in text.split(",")]
    are_names = len(rows) > 1 and ":" not in text
    if not all(name.strip() and (are_names or colour.strip()) for name, _, colour in rows):
        raise ValueError(
            f"phases must be {', '.join(PHASE_PRESETS)}, a .json file, NAME:COLOUR,… or NAME,NAME,"
            f"… for masks that hold numbers, got {text!r}; try matrix:none,particles:blue"
        )
    return Phases(
        tuple(
            Phase(name.strip(), shown if are_names else _paint(colour.strip()), shown)
            for (name, _, colour), shown in zip(rows, _shown(), strict=False)
        )
    )


def _shown() -> Iterator[Colour]:
    """Yield colours, none of them twice: `SHOWN`, then others around the circle of hues."""
    yield from SHOWN
    for number in count():
        # The golden angle leaves no two hues alike; so many degrees are a whole number of 8 bits.
        red, green, blue = ImageColor.getrgb(f"hsl({137.508 * number % 360:.3f},70%,45%)")[:3]
        yield red, green, blue


def _paint(text: str) -> Colour | None:
    if text == UNPAINTED:
        return None
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise ValueError(
            f"a phase's paint must be a colour's name, #rrggbb or none, got {text!r}; try red"
        ) from error
    return red, green, blue


def _read(path: Path) -> Phases:
    try:
        return Phases.from_list(json.loads(path.read_text()))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"phases must be a JSON list of name, paint and show, got {error} in {path}; see "
            "'phases' in the card.json of a model"
        ) from error
