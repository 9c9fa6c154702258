"""Slices as single images in a folder, and what all of them state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.files.errors import listed
from bl_steer.files.formats import FORMATS
from bl_steer.files.many import told_once
from bl_steer.files.planes import StoredStack, with_one_bar
from bl_steer.files.slice_depths import named_pitch_nm
from bl_steer.files.slice_names import (
    gap_notes,
    name_form,
    slice_numbers,
    step_notes,
    uncounted_notes,
)
from bl_steer.files.tiff.voxels import ONE_PALETTE

__all__ = ["one_stack", "slices_among"]

EQUAL_DEG = 0.5
"""Angles that headers state of a tilt are one to so much."""
LISTED = 4
"""Parts of a stack that are named."""


def slices_among(images: Sequence[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images of a folder that are its slices, and what to say of it.

    Those of the first format that is there, for figures may lie beside label maps; with those of
    others that go on with their numbers, as where a program changed its format midway.

    Parameters
    ----------
    images : in natural order

    Raises
    ------
    ValueError
        Where it cannot be told which images are the stack.
    """
    of_each = ([p for p in images if p.suffix.lower() in ends] for ends in FORMATS.values())
    files = next(filter(None, of_each), [])
    others = [path for path in images if path not in files]
    if not others:
        return files, []
    stems = {path.stem.lower() for path in files}
    forms = {name_form(path) for path in files}
    same_form = [path for path in others if "" in name_form(path) and name_form(path) in forms]
    further = [path for path in same_form if path.stem.lower() not in stems]
    series = Counter(name_form(path) for path in others if "" in name_form(path))
    if further and len(further) == len(same_form):
        files = [path for path in images if path in files or path in further]
        others = [path for path in others if path not in further]
        notes = [
            f"the slices in {folder} are of several formats, {_kinds(files)}, whose numbers go on "
            "with each other: they are taken as one stack"
        ]
    elif further or max(series.values(), default=0) > len(files):
        kinds, other = _kinds([*files, *others]), (further or others)[0].name
        raise ValueError(
            f"the slices of a stack must be told from other images, got {kinds} in {folder}, such "
            f"as {files[0].name} and {other}; take out those that are no slices of it, or are "
            "there twice"
        )
    else:
        notes = []
    if others:
        notes.append(
            f"the {len(files)} slices in {folder} are its {files[0].suffix} files; {len(others)} "
            f"other images, such as {others[0].name}, are left out"
        )
    return files, notes


def _kinds(files: Sequence[Path]) -> str:
    counts = Counter(path.suffix for path in files)
    return " and ".join(f"{count} {suffix} files" for suffix, count in counts.items())


def one_stack(
    files: Sequence[Path], slices: Sequence[StoredStack | None], where: str, leave_out_short: bool
) -> StoredStack:
    """Return slices as a stack, with what all that state it agree on.

    Parameters
    ----------
    files, slices : in their order, each slice of shape (H, W); None for one that is missing
    where : goes into the sentences, such as " in FOLDER"
    leave_out_short : slices of fewer rows than most, whose scan was broken off

    Raises
    ------
    ValueError
        Where they differ in shape or type.
    """
    gaps, numbers = gap_notes(files, where), slice_numbers(files) or range(len(files))
    every = zip(files, numbers, slices, strict=True)
    found = [(path, number, stored) for path, number, stored in every if stored is not None]
    paths, counted, images = zip(*found, strict=True)
    cut, notes = with_one_bar([path.name for path in paths], images)
    found = list(zip(paths, counted, cut, strict=True))
    if leave_out_short:
        whole = Counter(stored.array.shape for _, _, stored in found).most_common(1)[0][0]
        short = [path.name for path, _, stored in found if _is_short(stored.array.shape, whole)]
        found = [one for one in found if not _is_short(one[2].array.shape, whole)]
        if short:
            notes.append(
                f"{listed(short)} {'has' if len(short) == 1 else 'have'} fewer rows than the other "
                f"slices, {whole[0]}: the scan was broken off, or a header states a data bar that "
                "the others have not; the slice is taken as missing"
            )
    first_path, _, first = found[0]
    for path, _, stored in found:
        plane = stored.array
        if plane.ndim != 2:
            raise ValueError(
                f"slices must be single images, got shape {plane.shape} in {path.name}; give a "
                "stack by itself, or take out what is no slice"
            )
        if plane.shape != first.array.shape:
            raise ValueError(
                f"slices must be of one shape, got {plane.shape} in {path.name} and "
                f"{first.array.shape} in {first_path.name}; take out what is no slice"
            )
        if plane.dtype.name != first.array.dtype.name:
            raise ValueError(
                f"slices must be of one type, got {plane.dtype.name} in {path.name} and "
                f"{first.array.dtype.name} in {first_path.name}; save them alike"
            )
    _check_palettes([(path.name, stored.palette) for path, _, stored in found])
    kept = [stored for _, _, stored in found]
    known, unlike = _agreed(kept)
    known |= _tilt_of([(path.name, stored.known) for path, _, stored in found])
    if (pitch := named_pitch_nm(files)) is not None:
        known["named_pitch_nm"] = pitch
    else:
        notes = [*step_notes(files, where), *notes]
    used = {path for path, _, _ in found}
    left_out = {n: path.name for path, n in zip(files, numbers, strict=True) if path not in used}
    return StoredStack(
        np.stack([stored.array for stored in kept]),
        known,
        [
            *uncounted_notes(files, where),
            *notes,
            *unlike,
            *told_once((path.name, n) for path, _, stored in found for n in stored.notes),
        ],
        gaps,
        [number for _, number, _ in found],
        [path.name for path, _, _ in found],
        left_out,
    )


def _check_palettes(palettes: Sequence[tuple[str, Mapping[int, Sequence[int]]]]) -> None:
    """Refuse slices of which one has another colour for a number than another one has.

    Parameters
    ----------
    palettes : name of each slice, and the colour of each number in it
    """
    first: dict[int, tuple[str, Sequence[int]]] = {}
    for name, palette in palettes:
        for number, colour in palette.items():
            before, known = first.setdefault(number, (name, colour))
            if known != colour:
                differ = f"{known} for {number} in {before} and {colour} in {name}"
                raise ValueError(f"slices {ONE_PALETTE.format(differ)}")


def _is_short(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an image has the columns of whole ones and fewer rows."""
    return len(shape) == len(whole) == 2 and shape[1] == whole[1] and shape[0] < whole[0]


def _agreed(slices: Sequence[StoredStack]) -> tuple[dict[str, Any], list[str]]:
    """Return what the slices state and agree on, and a sentence on a pixel that changes."""
    known: dict[str, Any] = {}
    unlike: list[str] = []
    for key in dict.fromkeys(key for stored in slices for key in stored.known):
        values = [stored.known[key] for stored in slices if key in stored.known]
        if all(value == values[0] for value in values):
            known[key] = values[0]
        elif key == "pixel_size_nm":
            unlike.append(
                f"the slices state pixels of {min(values):g} to {max(values):g} nm: none of them "
                "is used; take out those of another magnification, or give the size"
            )
            known["stated_voxel"] = (
                f"pixels of {min(values):g} to {max(values):g} nm: take out those of another "
                "magnification"
            )
    return known, unlike


def _tilt_of(stated: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return what slices say together of a tilt correction, or in words where they differ.

    Parameters
    ----------
    stated : name of each slice, in order, with what it states

    Examples
    --------
    >>> on, off = {"tilt_corrected": True}, {"tilt_corrected": False}
    >>> _tilt_of([("a", on), ("b", on), ("c", off)])
    {'stated_tilt': 'on in a … b, off in c'}
    """
    said = [
        (name, bool(known["tilt_corrected"]), known.get("tilt_correction_deg"))
        for name, known in stated
        if "tilt_corrected" in known
    ]
    angles = [angle for _, _, angle in said if angle is not None]
    if len({on for _, on, _ in said}) < 2 and max(angles, default=0) - min(angles, default=0) < (
        EQUAL_DEG
    ):
        return {"tilt_correction_deg": angles[0]} if angles else {}

    def state(one: tuple[str, bool, float | None]) -> str:
        at = "" if one[2] is None else f" at {one[2]:.0f}°"
        return f"on{at}" if one[1] else "off"

    parts = [(what, [name for name, _, _ in run]) for what, run in groupby(said, key=state)]
    shown = [
        f"{what} in {names[0]}" + (f" … {names[-1]}" if len(names) > 1 else "")
        for what, names in parts[:LISTED]
    ]
    return {"stated_tilt": ", ".join(shown) + (" and so on" if len(parts) > LISTED else "")}
