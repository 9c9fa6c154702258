"""What a label volume must be to be measured, and how far its measures can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bl_steer.analysis.structure.blocks import MIN_BLOCKS, MIN_EDGE, Blocks
from bl_steer.analysis.structure.directions import DIRECTIONS
from bl_steer.files.images.image_metadata import doubtful_voxel
from bl_steer.files.pixel_size import small_edges
from bl_steer.files.probabilities import INSTEAD, are_probabilities
from bl_steer.protocols import Array, Table

__all__ = [
    "MAX_PHASES",
    "check_labels",
    "check_phases",
    "check_voxel",
    "empty_phase_warnings",
    "interval_warnings",
    "orientation_warnings",
    "plane_warnings",
    "resolution_warnings",
    "thin_part_warnings",
    "unlabelled_warnings",
    "voxel_warnings",
    "white_named",
    "white_notes",
]

THIN_PARTS = 1.4
"""Of a measure with what is one voxel thick to that without, or the reverse, worth a warning. In
electrodes whose films are resolved it is 1.25 at the most."""
FEW_ORIENTATIONS = 1.15
"""Of a measure whose directions are taken for few to that over all directions, or the reverse,
worth a warning. Isotropic electrodes with voxels of 1:1 to 12:1 draw none."""
WHITE = 255
"""What Fiji, GIMP and QuPath write for the second of two phases."""
MAX_PHASES = 16
MAX_RATIO = 1000
"""Of the longest edge of a voxel to the shortest; beyond it a unit is wrong."""
LEAST_EDGE_NM, MOST_EDGE_NM = 1e-6, 1e9
"""Beyond them no voxel was meant, and volumes leave the range of floats."""
NEARLY = 0.95
"""Share of a pixel's edge from which a voxel counts as no thinner."""
RESOLVED = 4
"""Steps of the counting lines that a mean chord must span. Pairs of neighbours miss parts that are
thinner than a step, and with shorter chords such parts are no longer rare."""


def check_labels(labels: Any) -> Any:
    """Return a label volume (Z, Y, X), one plane as the only one of a stack; refuse all else.

    Shape and type tell, and fractions in the first planes.
    """
    if np.ndim(labels) == 2:
        labels = np.asarray(labels)[None]
    shape, dtype = tuple(np.shape(labels)), np.dtype(getattr(labels, "dtype", type(labels)))
    if len(shape) != 3 or 0 in shape:
        raise ValueError(
            f"a label volume must have the axes z, y, x, got shape {shape}; stack the label maps "
            "of the slices, one grey value a phase"
        )
    if dtype.kind == "f":
        some = np.asarray(labels[: min(4, shape[0])])
        if are_probabilities(some, channels=False):
            raise ValueError(
                "labels must be whole numbers 0 … 255, one for each phase, got fractions of 0 to 1 "
                f"({dtype}): of probabilities, {INSTEAD}; grey levels, segment first (bl-steer "
                "segment run)"
            )
        if not np.isfinite(some).all():
            raise ValueError(
                f"labels must be whole numbers 0 … 255, one for each phase, got {dtype} with NaN; "
                "give what has no label a number of its own, such as 255, and name it as a phase"
            )
    if dtype.kind not in "bui":
        raise ValueError(
            f"labels must be whole numbers 0 … 255, one for each phase, got {dtype}; segment the "
            "grey values first (bl-steer segment run), or convert labels to uint8"
        )
    return labels


def check_voxel(
    voxel_size_nm: Sequence[float] | None, stated: str = ""
) -> tuple[float, float, float]:
    """Return the edges of a voxel, nm; `ValueError` unless there are three positive ones.

    Parameters
    ----------
    stated : what a file says of its voxel that cannot be read
    """
    edges = () if voxel_size_nm is None else tuple(float(edge) for edge in voxel_size_nm)
    if len(edges) != 3 or not all(math.isfinite(edge) and edge > 0 for edge in edges):
        shown = ", ".join(f"{edge:g}" for edge in edges) or "nothing"
        raise ValueError(
            "a voxel must have three positive edges z, y, x in nm, got "
            f"{f'nothing: {stated}' if stated and not edges else shown}; give them in nm, "
            "voxel_size_nm=100,10,10 for slices 100 nm apart with pixels of 10 nm"
        )
    if max(edges) > MAX_RATIO * min(edges):
        raise ValueError(
            f"a voxel must have edges that differ by a factor of {MAX_RATIO} at most, got "
            f"{', '.join(f'{edge:g}' for edge in edges)} nm; give all three in nm, as 100,10,10"
        )
    if not all(LEAST_EDGE_NM <= edge <= MOST_EDGE_NM for edge in edges):
        raise ValueError(
            f"a voxel must have edges of {LEAST_EDGE_NM:g} to {MOST_EDGE_NM:g} nm, got "
            f"{', '.join(f'{edge:g}' for edge in edges)} nm; give all three in nm, as 100,10,10"
        )
    return edges[0], edges[1], edges[2]


def check_phases(present: Sequence[int], names: Mapping[int, str]) -> None:
    """Refuse labels that are no phases, and phases that cannot be told apart.

    Parameters
    ----------
    present : labels that occur in the volume
    names : of the phases, by label
    """
    if len(present) > MAX_PHASES:
        raise ValueError(
            f"a volume must hold labels, one whole number for each of {MAX_PHASES} phases at most, "
            f"got {len(present)} different values {present[0]} … {present[-1]}, as grey levels "
            "have; segment the stack first (bl-steer segment run), and measure its label maps"
        )
    unknown = [label for label in present if label not in names]
    if unknown:
        known = ", ".join(f"{label}:{name}" for label, name in sorted(names.items()))
        raise ValueError(
            f"every label must be a named phase ({known}), got {', '.join(map(str, unknown))} in "
            "the volume too; name them, or relabel those voxels"
        )
    if len(present) < 2 or len(names) > MAX_PHASES or len(set(names.values())) < len(names):
        raise ValueError(
            f"a volume must hold two to {MAX_PHASES} phases of different names, got "
            f"{len(present)} in the volume and the names {', '.join(names.values())}; check the "
            "labels and their names"
        )


def white_named(present: Sequence[int], names: Mapping[int, str]) -> dict[int, str]:
    """Return names by label: those of 0 and 1 for labels 0 and 255, as Fiji writes two phases."""
    if list(present) == [0, WHITE] and list(names) == [0, 1]:
        return {0: names[0], WHITE: names[1]}
    return dict(names)


def unlabelled_warnings(told: Mapping[int, str] | None, used: Mapping[int, str]) -> Iterator[str]:
    """Say that 255 beside labels 0, 1, … is measured as a phase, where nobody has named it."""
    *labels, last = used
    counts = len(labels) > 1 and labels == list(range(labels[0], labels[0] + len(labels)))
    if told is None and last == WHITE and counts and labels[0] < 2:
        yield (
            f"label {WHITE} is measured as a phase beside {labels[0]} … {labels[-1]}: it is "
            "written where nothing is known, as between slices that are missing; crop the volume "
            "to what is labelled, or name it with phases=NAMES if it is one"
        )


def empty_phase_warnings(phases: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    """Name the phases that were named and have no voxel."""
    if empty := [name for name, count in zip(phases, counts, strict=True) if not count]:
        yield (
            f"no voxel of the volume is {' or '.join(empty)}: are the names those of the labels, "
            "in their order?"
        )


def white_notes(told: Mapping[int, str] | None, used: Mapping[int, str]) -> Iterator[str]:
    """Say that labels 0 and 255 were taken for the two phases that were named."""
    if told is not None and WHITE in used and WHITE not in told:
        yield f"labels 0 and {WHITE} are read as the phases {' and '.join(used.values())}"


def voxel_warnings(voxel_nm: tuple[float, float, float], *, by_hand: bool) -> Iterator[str]:
    """Ask for the unit of tiny voxels, and for the order of edges that were given by hand."""
    yield from small_edges("voxels", voxel_nm)
    z, *pixel = voxel_nm
    if by_hand:
        yield from doubtful_voxel(voxel_nm, "you state")
    if by_hand and z < NEARLY * max(pixel):
        yield (
            f"a voxel of {z:g} nm along z and {pixel[0]:g} × {pixel[1]:g} nm in the slices is "
            "thinner than wide, as is rare; the order is Z,Y,X"
        )


def interval_warnings(
    shape: tuple[int, int, int],
    voxel_nm: tuple[float, float, float],
    chords_nm: Array,
    *,
    blocks: int,
) -> Iterator[str]:
    """Say that there are no intervals, or that they are too narrow.

    Parameters
    ----------
    chords_nm : mean chords of each phase along z, y, x, (n_phases, 3)
    blocks : along each axis, as asked for

    Notes
    -----
    Intervals come from drawing blocks as if these were independent. Blocks that are hardly wider
    than a feature share it with their neighbours, and differ too little from each other.
    """
    parts = Blocks.of(shape, blocks)
    used = f"{' × '.join(map(str, parts.shape))} along z, y and x"
    if len(parts) < MIN_BLOCKS:
        enough = len(Blocks.of(shape, MIN_BLOCKS)) >= MIN_BLOCKS
        yield (
            f"no intervals: there must be {MIN_BLOCKS} blocks, each edge {MIN_EDGE} voxels or "
            f"more, got {used} in the volume of {' × '.join(map(str, shape))} voxels; take "
            f"{f'more blocks than {blocks} along each axis' if enough else 'a larger volume'}"
        )
        return
    # An axis of one voxel cannot be cut, as `plane_warnings` says.
    if fewer := [k for k in range(3) if shape[k] > 1 and parts.shape[k] < blocks]:
        short = " and ".join(
            f"{parts.shape[k]} along {'zyx'[k]} ({shape[k]} voxels)" for k in fewer
        )
        yield (
            f"intervals come from fewer blocks than the {blocks} along each axis that were asked "
            f"for: {short}, since each edge of a block has {MIN_EDGE} voxels or more; {used} in all"
        )
    edges = np.array(shape) / np.array(parts.shape) * np.array(voxel_nm)
    # Where no chord ends within the box, they are at least as long; one voxel has none.
    known = np.where(np.isfinite(chords_nm), chords_nm, 0.0).max(axis=0)
    longest = np.where(known > 0, known, np.array(shape) * np.array(voxel_nm))
    longest[np.array(shape) == 1] = 1e-9 * edges[np.array(shape) == 1]
    if (edges < 2 * longest).any():
        axis = int(np.argmin(edges / longest))
        n = parts.shape[axis]
        remedy = "take a larger volume"
        if fitting := _wide_enough(shape, voxel_nm, longest, max(parts.shape)):
            remedy = f"take {fitting} blocks along each axis, or a larger volume"
        yield (
            f"intervals are too narrow: the {n} block{'s' if n > 1 else ''} along {'zyx'[axis]} "
            f"{'are' if n > 1 else 'is'} {edges[axis]:.4g} nm wide, under twice the mean chord of "
            f"{longest[axis]:.4g} nm; {remedy}"
        )


def _wide_enough(
    shape: tuple[int, int, int], voxel_nm: tuple[float, float, float], chords_nm: Array, used: int
) -> int | None:
    """Return how many blocks along each axis, fewer than were used, are wide enough; else None."""
    for blocks in range(used - 1, 0, -1):
        parts = Blocks.of(shape, blocks)
        edges = np.array(shape) / np.array(parts.shape) * np.array(voxel_nm)
        if len(parts) >= MIN_BLOCKS and (edges >= 2 * chords_nm).all():
            return blocks
    return None


def plane_warnings(shape: tuple[int, int, int]) -> Iterator[str]:
    """Say what one plane does not tell of a structure in space."""
    flat = [axis for axis, n in zip("zyx", shape, strict=True) if n == 1]
    if flat:
        yield (
            f"the volume is one voxel thick along {' and '.join(flat)}: areas and triple lines are "
            "those of an isotropic structure that looks alike in all sections, their intervals "
            "know nothing of other directions, and parts are those of the section; give more "
            "planes where the structure has a direction"
        )


def thin_part_warnings(table: Table, what: str, unit: str, thick: Array) -> Iterator[str]:
    """Name the areas or lines that hang on what is one voxel thick.

    Parameters
    ----------
    table : ``areas`` or ``triple_lines``
    what, unit : of its column, such as ``length`` and ``um``
    thick : the same without what is one voxel thick
    """
    shown = {"um2": "µm²", "um": "µm"}[unit]
    names = list(zip(*(table[k] for k in sorted(table) if k.startswith("phase_")), strict=True))
    for row, amount, other in zip(names, table[f"{what}_{unit}"], thick, strict=True):
        least, largest = sorted((float(amount), float(other)))
        if largest > THIN_PARTS * least:
            yield (
                f"the {what} {'–'.join(row)} is {amount:.4g} {shown} as labelled and {other:.4g} "
                "without what is one voxel thick (single voxels, the thinnest films, edges of "
                "sharp wedges): what of it is the specimen's cannot be told at this voxel; see "
                f"labels_least_{unit} and labels_largest_{unit}"
            )


def orientation_warnings(
    table: Table, what: str, unit: str, ratio: Array, directions: str
) -> Iterator[str]:
    """Name the areas or lines of which the directions disagree, as flat and straight ones do.

    Parameters
    ----------
    table, what, unit : as for `thin_part_warnings`
    ratio : of the measure if it is flat or straight, to that over all directions
    directions : what counted them
    """
    shown = {"um2": "µm²", "um": "µm"}[unit]
    names = list(zip(*(table[k] for k in sorted(table) if k.startswith("phase_")), strict=True))
    for row, amount, times in zip(names, table[f"{what}_{unit}"], ratio, strict=True):
        if max(times, 1 / times) > FEW_ORIENTATIONS:
            yield (
                f"the {what} {'–'.join(row)} has few orientations, of which the {directions} see "
                f"too much or too little: {amount:.4g} {shown} in their mean, {amount * times:.4g} "
                f"if all is {'flat' if unit == 'um2' else 'straight'}; see labels_least_{unit} and "
                f"labels_largest_{unit}"
            )


def resolution_warnings(
    phases: Sequence[str],
    voxel_nm: tuple[float, float, float],
    chords_nm: Array,
    *,
    directions: int,
) -> Iterator[str]:
    """Name the phases that are hardly thicker than a few voxels.

    Parameters
    ----------
    chords_nm : as for `interval_warnings`
    directions : of the lines that counted interfaces: 13 or 49
    """
    thick = RESOLVED * DIRECTIONS[directions]
    thin = chords_nm < thick * np.array(voxel_nm)
    for phase, name in enumerate(phases):
        if thin[phase].any():
            axis = int(np.argmax(thin[phase]))
            yield (
                f"{name} is barely resolved: its mean chord along {'zyx'[axis]} is "
                f"{chords_nm[phase, axis]:.4g} nm, under {thick} voxels; its areas and lines are "
                "uncertain beyond the intervals"
            )
