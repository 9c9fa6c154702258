"""Masks of one grey value a pixel, as the programs that label images write them.

bl_steer's own hold the labels 0, 1, … and 255 for unlabelled. Fiji, QuPath and GIMP save a mask of
two phases as 0 and 255, Weka and Dragonfly spread the labels over the grey values, ilastik and
napari count from 1 and leave 0 to what was not annotated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import UNLABELLED, Phase, Phases

__all__ = ["labels_of_greys"]

Labels = NDArray[np.uint8]


def labels_of_greys(
    mask: NDArray[Any], phases: Phases, unpainted: str | None = None
) -> tuple[Labels, list[str], int | None]:
    """Return the labels (H, W) of a mask, how they were told, and the number of the first phase.

    What is NaN or -1, which no phase has, is unlabelled.

    The last is None where numbers are grey levels, and where it was told what 0 is.

    Parameters
    ----------
    mask : shape (H, W), whole numbers of any type
    unpainted : what 0 is, a phase's name or ``unlabelled``; the other phases are then counted from
        1 on; None where the numbers are to tell

    Raises
    ------
    ValueError
        If the values are no labels in any of the ways that are known.
    """
    absent = np.isnan(mask) if mask.dtype.kind == "f" else np.zeros(mask.shape, bool)
    absent |= mask == -1 if mask.dtype.kind in "fi" else False
    if not absent.any() or absent.all():
        return _labels_of_numbers(mask, phases, unpainted)
    what = " and ".join(
        name for name, there in (("NaN", (mask != mask).any()), ("-1", (mask == -1).any())) if there
    )
    labels = np.full(mask.shape, np.uint8(UNLABELLED))
    labels[~absent], told, first = _labels_of_numbers(mask[~absent], phases, unpainted)
    return (
        labels,
        [f"{what} in {absent.mean():.2%} of the pixels is read as unlabelled.", *told],
        first,
    )


def _labels_of_numbers(
    mask: NDArray[Any], phases: Phases, unpainted: str | None
) -> tuple[Labels, list[str], int | None]:
    """Return what `labels_of_greys` does, of the pixels that are labelled, in any shape."""
    bare = None if unpainted is None else phases.bare_label(unpainted)
    values = np.unique(mask)
    if mask.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
        values = np.unique(mask := mask.astype(np.int64))
    labels = (
        None if mask.dtype.kind == "f" else _table(values.astype(int).tolist(), mask, phases, bare)
    )
    if labels is None:
        known = [*range(len(phases)), UNLABELLED]
        if bare is not None:
            known = [*range(len(phases) + (bare == UNLABELLED)), UNLABELLED]
        wrong = [v for v in values.tolist() if v not in known]
        right = [v for v in values.tolist() if v in known]
        share = np.mean(~np.isin(mask, known))
        raise ValueError(
            f"labels must be 0 to {known[-2]} or {UNLABELLED} (unlabelled) for the phases "
            f"{', '.join(phases.names)}, got {wrong[:8]}{' and more' * (len(wrong) > 8)} in "
            f"{share:.2%} of the pixels{f', beside {right}' if right else ''}; "
            f"{_remedy(values, mask, bare)}"
        )
    lookup = np.array([labels[value] for value in values.astype(int).tolist()], np.uint8)
    decoded = lookup[np.searchsorted(values, mask)]
    counted = None if bare is not None else _first_number(labels, len(phases))
    if any(label != value for value, label in labels.items()):
        return decoded, [_told(labels, phases)], counted
    if bare is None and 0 in labels and UNLABELLED not in labels:
        hint = (
            f"0 is read as {phases.names[0]}: where it means not annotated, as in ilastik and "
            "napari, save 255 there, or give unpainted=unlabelled."
        )
        return decoded, [hint], counted
    return decoded, [], counted


def _remedy(values: NDArray[Any], mask: NDArray[Any], bare: int | None) -> str:
    """Say how values that are no labels of the phases are to be told, or saved."""
    saved = "save the numbers 0, 1, … of the phases, or paint the mask in colours"
    if mask.dtype.kind == "f" or bare not in (None, UNLABELLED):
        return saved
    numbers = values.astype(int).tolist()
    for count in range(2, len(numbers) + 1):
        named = Phases(
            tuple(Phase(str(k), (k, k + 1, 0) if k else None, (0, 0, 0)) for k in range(count))
        )
        labels = _table(numbers, mask, named, bare) or {}
        if {*labels.values(), UNLABELLED} == {*range(count), UNLABELLED}:
            return f"these are numbers of {count} phases: give phases=NAMES of all {count}"
    return saved


def _table(
    values: list[int], mask: NDArray[Any], phases: Phases, bare: int | None
) -> dict[int, int] | None:
    """Return the label of each value, None where the values are no labels."""
    n = len(phases)
    white = 65535 if max(values) > 255 and mask.dtype.itemsize > 1 else 255
    if bare is not None:
        return _counted_from_1(values, white, phases, bare)
    if values == [0, white] and n == 2:
        painted = _by_paint(values, white, phases)
        unpainted = phases.bare_label() % UNLABELLED  # the first one where all have paint
        return {0: unpainted, white: 1 - unpainted} if painted is None else painted
    if all(0 <= value < n or value == UNLABELLED for value in values):
        _refuse_ambiguous(values, phases)
        return {value: value for value in values}
    if (painted := _by_paint(values, white, phases)) is not None:
        return painted
    even = np.rint(np.linspace(0, white, n))
    if len(values) == n and np.abs(np.array(values) - even).max() <= 1:
        return {value: label for label, value in enumerate(values)}
    if values[0] >= 0 and values[-1] == n:
        return {value: value - 1 if value else UNLABELLED for value in values}
    return None


def _refuse_ambiguous(values: list[int], phases: Phases) -> None:
    """Refuse numbers where the phase without paint, which 0 may mean, is not the first one."""
    bare = phases.bare_label()
    if bare in (0, UNLABELLED) or values == [UNLABELLED]:
        return
    first, unpainted = phases.names[0], phases.names[bare]
    raise ValueError(
        f"numbers must be clear, got {values[:8]} where 0 may be {first}, the first phase, or "
        f"{unpainted}, the one without paint; say it with unpainted={unpainted} or "
        f"unpainted={first} (the others then count from 1), or name {unpainted} first"
    )


def _counted_from_1(
    values: list[int], white: int, phases: Phases, bare: int
) -> dict[int, int] | None:
    """Return the labels where 0 is told, and the phases beside it count from 1."""
    others = [label for label in range(len(phases)) if label != bare]
    if values == [0, white] and len(phases) == 2:
        return {0: bare, white: others[-1]}
    labels = {0: bare, UNLABELLED: UNLABELLED, **dict(enumerate(others, 1))}
    return {value: labels[value] for value in values} if set(values) <= set(labels) else None


def _by_paint(values: list[int], white: int, phases: Phases) -> dict[int, int] | None:
    """Return the labels of values that are the grey paints of phases, 0 that of one without."""
    labels = {
        round(phase.paint[0] * white / 255): label
        for label, phase in enumerate(phases)
        if phase.paint is not None and len(set(phase.paint)) == 1
    }
    bare = [label for label, phase in enumerate(phases) if phase.paint is None]
    if labels and len(bare) == 1:
        labels.setdefault(0, bare[0])
    return {value: labels[value] for value in values} if set(values) <= set(labels) else None


def _first_number(labels: dict[int, int], n: int) -> int | None:
    """Return 0 or 1, from which labels count; None where values are grey levels."""
    for first in (0, 1):
        numbered = {first + label: label for label in range(n)} | {UNLABELLED: UNLABELLED}
        numbered.setdefault(0, UNLABELLED)
        if all(numbered.get(value) == label for value, label in labels.items()):
            return first
    return None


def _name(label: int, phases: Phases) -> str:
    return "unlabelled" if label == UNLABELLED else phases.names[label]


def _told(labels: dict[int, int], phases: Phases) -> str:
    names = [f"{value} as {_name(label, phases)}" for value, label in labels.items()]
    return f"The grey values are read so: {', '.join(names)}."
