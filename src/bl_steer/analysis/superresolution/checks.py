"""What a stack must be to be super-resolved, and what a user must know of its result.

Each check raises a `ValueError`, each warning is a sentence of the result of the analysis, so that
notebook, command line, callback and server say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.data_bars import BEGINS_HIGHER, bar_below
from bl_steer.analysis.grey_levels import few_levels
from bl_steer.analysis.margins import margins_of, strip_warnings
from bl_steer.analysis.superresolution.decimation import even_subset
from bl_steer.files.formats import LOSSY
from bl_steer.files.pixel_size import small_edges
from bl_steer.files.planes import some_planes
from bl_steer.protocols import Table
from bl_steer.slicing.bad_slices import called, lost_phases, steps_between, stored_twice
from bl_steer.slicing.breaks import break_warnings
from bl_steer.slicing.grey_phases import grey_phase_warnings
from bl_steer.slicing.motion import motion_warnings
from bl_steer.slicing.order import order_warnings
from bl_steer.slicing.shared_noise import NoiseOfSlices, copy_warnings, noise_warnings

__all__ = [
    "absent_labels",
    "anisotropy_warnings",
    "blank_slices",
    "check_count",
    "check_dtype",
    "check_extent",
    "check_labels",
    "check_lessons",
    "check_slices",
    "doubled_slices",
    "lesson_warnings",
    "like_labels",
    "limit_of",
    "lossy_warnings",
    "lost_phase_warnings",
    "stack_warnings",
    "voxel_warnings",
]

N_BLOCKS = 4
"""Blocks along y and along x, for the standard errors of the isotropy."""
LIMIT_SD = 4.0
LIMIT_RELATIVE = 0.1
"""A difference is worth a warning when it is both significant and large."""
LISTED = 5
"""Labels or slices that are named."""
SAME = 0.05
"""Relative deviation up to which two voxels count as one."""


def check_slices(slices: Any, n_phases: int | None) -> None:
    """Refuse what is no stack of finite grey levels or of labels.

    Parameters
    ----------
    n_phases : None for grey levels
    """
    if slices.ndim != 3 or min(slices.shape) < 1:
        raise ValueError(
            f"a stack must have the axes z, y, x, got shape {slices.shape}; give one stack"
        )
    check_dtype(slices.dtype, n_phases)
    if n_phases is not None:
        check_labels(slices, n_phases)
    elif not np.isfinite(slices).all():
        raise ValueError("grey levels must be finite, got some that are not; fill them first")


def check_dtype(dtype: Any, n_phases: int | None) -> None:
    """Refuse values that are no real numbers, or no whole ones for labels."""
    if n_phases is not None and (dtype.kind not in "ui" or n_phases < 2):
        raise ValueError(
            f"labels must be whole numbers 0 … {n_phases - 1}, got {dtype}; save them as uint8, "
            "and give the number of phases"
        )
    if dtype.kind not in "buif":
        raise ValueError(
            f"grey levels must be real numbers, got {dtype}; save them as uint8 or float32, such "
            "as the magnitude of complex ones"
        )


def check_labels(labels: NDArray[Any], n_phases: int) -> None:
    """Refuse labels that are not 0 … n_phases - 1."""
    least, most = int(np.min(labels)), int(np.max(labels))
    if least < 0 or most >= n_phases:
        raise ValueError(
            f"labels must be whole numbers 0 … {n_phases - 1}, got {labels.dtype} from {least} up "
            f"to {most}; number the phases from 0, and give how many there are"
        )


def check_lessons(slices: NDArray[Any]) -> None:
    """Refuse what nothing can be learnt from: one slice, or one value."""
    if len(slices) < 2:
        raise ValueError(
            f"a model must learn from two slices at least, got {len(slices)}; give the whole stack"
        )
    if slices.size and (slices == slices.flat[0]).all():
        raise ValueError(
            f"a model must learn from slices that hold a structure, got {slices.flat[0]} in every "
            "pixel; check the stack"
        )


def check_count(n_slices: int) -> None:
    """Refuse a stack that has nothing between its slices."""
    if n_slices < 2:
        raise ValueError(f"a stack must have two slices at least, got {n_slices}; take more")


def check_extent(shape: tuple[int, ...], voxel_nm: tuple[float, float, float]) -> None:
    """Refuse a voxel or an extent for which the depth cannot be compared with the plane."""
    z, y, x = voxel_nm
    if not (z > 0 and y > 0 and abs(y - x) <= 1e-3 * y):
        raise ValueError(
            f"a voxel must have positive edges, equal along y and x, got {voxel_nm} nm; resample "
            "the slices"
        )
    pitch_px = z / y
    if len(shape) != 3 or shape[0] < 3 or min(shape[1:]) < 3 * pitch_px + N_BLOCKS:
        raise ValueError(
            f"a stack must have three slices of three pitches at least, got shape {shape} "
            f"at a pitch of {pitch_px:g} px; take more"
        )


def lossy_warnings(metadata: Mapping[str, Any], n_phases: int | None) -> Iterator[str]:
    """Say that labels come from JPEG, of which grey levels are hardly changed."""
    if n_phases is not None and metadata.get("lossy"):
        yield f"the labels are from JPEG: {LOSSY}"


def lesson_warnings(
    slices: Any,
    n_phases: int | None,
    voxel_nm: tuple[float, float, float],
    metadata: Mapping[str, Any],
) -> Iterator[str]:
    """Say what a model should not learn from without a look, in slices in memory or in Zarr."""
    yield from lossy_warnings(metadata, n_phases)
    yield from absent_labels(even_subset(slices), n_phases)
    yield from stack_warnings(slices, n_phases, voxel_nm, metadata.get("slice_files", ()))


def stack_warnings(
    slices: Any,
    n_phases: int | None,
    voxel_nm: tuple[float, float, float],
    files: Sequence[str] = (),
) -> Iterator[str]:
    """Name slices that are not what a stack should have, in memory or in Zarr, by their files."""
    names = [f"{place} ({file})" for place, file in enumerate(files)]
    yield from small_edges("voxels", voxel_nm)
    yield from like_labels(even_subset(slices), n_phases)
    yield from blank_slices(slices, n_phases, names)
    yield from doubled_slices(slices, n_phases, names)
    yield from motion_warnings(_planes(slices), voxel_nm[0] / voxel_nm[1], names)
    labels = n_phases is not None
    yield from order_warnings(_planes(slices), names, labels=labels)
    yield from break_warnings(_planes(slices), names, labels=labels)
    if labels:
        yield from lost_phase_warnings(_planes(slices), slices=names)
    elif slices.dtype.kind != "b":
        yield from bar_warnings(slices, names)
        yield from grey_phase_warnings(slices, names)


def bar_warnings(slices: Any, names: Sequence[str] = ()) -> Iterator[str]:
    """Name a data bar below most of the slices, and strips at their sides, that are no specimen."""
    n = int(slices.shape[0])
    looked_at = (np.asarray(slices[z]) for z in sorted({0, n // 2, n - 1}))
    bars = [margins_of(plane, bar_below(plane))[0] for plane in looked_at]
    rows = max(rows for rows, _ in bars)
    if 2 * sum(rows > 0 for rows, _ in bars) > len(bars):
        yield (
            f"the last {rows} of {slices.shape[1]} rows of the slices look like a data bar, "
            "and are super-resolved as if they were the specimen: crop the slices above it, or "
            "give them to bl-steer slices, which cuts it off"
            + ("" if all(sharp for _, sharp in bars) else f"; {BEGINS_HIGHER}")
        )
    else:
        rows = 0
    yield from strip_warnings((plane[: len(plane) - rows] for plane in _planes(slices)), n, names)


def lost_phase_warnings(
    labels: Iterable[NDArray[Any]], names: Sequence[str] = (), slices: Sequence[str] = ()
) -> Iterator[str]:
    """Name the slices of which one has a phase and the next all but none.

    Parameters
    ----------
    labels : maps (H, W), in order of depth
    names : of the phases; their numbers where they are not known
    slices : names of the slices, as of `bl_steer.slicing.bad_slices.called`
    """
    for phase, lost in lost_phases(labels).items():
        shown = _shown(lost, slices)
        name = names[phase] if names else f"phase {phase}"
        number = "slice" if len(lost) == 1 else f"{len(lost)} slices"
        yield (
            f"{number} ({shown}) {'has' if len(lost) == 1 else 'have'} next to no {name}, which "
            "those beside have: it was lost in the segmentation, or is missing in the images; look "
            f"at {'it' if len(lost) == 1 else 'them'}, and segment anew or leave out"
        )


def _shown(slices: Sequence[int], names: Sequence[str]) -> str:
    return ", ".join(called(slices[:LISTED], names)) + ", …" * (len(slices) > LISTED)


def _planes(slices: Any) -> Iterator[NDArray[Any]]:
    return (plane for some in some_planes(slices) for plane in some)


def absent_labels(slices: NDArray[Any], n_phases: int | None) -> Iterator[str]:
    """Name the labels that are asked for and do not occur in slices that a model learns from."""
    if n_phases is None:
        return
    absent = sorted(set(range(n_phases)) - set(np.unique(slices).tolist()))
    if absent:
        shown = ", ".join(map(str, absent[:LISTED])) + (", …" if len(absent) > LISTED else "")
        yield (
            f"of labels 0 … {n_phases - 1}, {shown} do not occur in the slices; is the number of "
            f"phases, n_phases={n_phases}, right?"
        )


def blank_slices(slices: Any, n_phases: int | None, names: Sequence[str] = ()) -> Iterator[str]:
    """Name the slices that show nothing, in memory or in Zarr; labels of one phase are sound."""
    if n_phases is not None:
        return
    blank = [z for z, plane in enumerate(_planes(slices)) if len(few_levels([plane])) == 1]
    if blank:
        yield (
            f"of slices 0 … {slices.shape[0] - 1}, {_shown(blank, names)} hold one grey level in "
            "every pixel: what is inserted beside them shows nothing; take the parts before and "
            "after by themselves"
        )


def doubled_slices(slices: Any, n_phases: int | None, names: Sequence[str] = ()) -> Iterator[str]:
    """Name the slices that are that before once more, whole or in part, in memory or in Zarr."""
    labels, noise = n_phases is not None, NoiseOfSlices()
    planes = _planes(slices) if labels else noise.through(_planes(slices))
    doubled = stored_twice(steps_between(planes, labels=labels), labels=labels)
    shared = {place: own for place, own in noise.shared().items() if place not in doubled}
    yield from noise_warnings(dict(zip(called(shared, names), shared.values(), strict=True)))
    yield from copy_warnings(noise.copies, names)
    if doubled:
        yield (
            f"of slices 0 … {slices.shape[0] - 1}, {_shown(doubled, names)} "
            f"{'show' if len(doubled) > 1 else 'shows'} the same face as the slice before: it was "
            "stored twice, or was not milled in between; bl-steer slices takes such a slice as "
            "missing, and keeps the depths of the others"
        )


def like_labels(slices: NDArray[Any], n_phases: int | None) -> Iterator[str]:
    """Warn of what is taken as grey levels and looks like labels."""
    if n_phases is not None:
        return
    values = few_levels(slices)
    if not values or not all(float(value).is_integer() for value in values):
        return
    known = values == list(range(len(values))) or values == [0, 255]
    remedy = "" if known else "number them from 0 as uint8, and "
    yield (
        f"the slices hold the whole numbers {', '.join(f'{value:g}' for value in values)} alone, "
        f"as labels do, and are taken as grey levels; if they are labels, {remedy}train with "
        f"n_phases={len(values)}"
    )


def voxel_warnings(
    voxel_nm: tuple[float, float, float],
    *,
    learnt_pitch_px: float,
    learnt_voxel_nm: Sequence[float] | None,
) -> Iterator[str]:
    """Compare the voxel of a stack with that of a model's training, where that is known."""
    pitch_px = voxel_nm[0] / voxel_nm[1]
    if abs(pitch_px / learnt_pitch_px - 1) >= SAME:
        yield (
            f"the model learnt a pitch of {learnt_pitch_px:g} px and the stack has {pitch_px:g}; "
            "train another"
        )
    elif learnt_voxel_nm is not None:
        ratios = [own / learnt for own, learnt in zip(voxel_nm, learnt_voxel_nm, strict=True)]
        if max(abs(ratio - 1) for ratio in ratios) >= SAME:
            own, learnt = (
                " × ".join(f"{edge:g}" for edge in voxel) for voxel in (voxel_nm, learnt_voxel_nm)
            )
            yield (
                f"the model learnt from voxels of {learnt} nm and the stack has {own}; are the "
                "pitch and the pixel size of the stack right? Else train another"
            )


def anisotropy_warnings(correlation: Table, chords: Table) -> Iterator[str]:
    """Name the property in which depth and plane differ most, of correlation and of chords.

    Parameters
    ----------
    correlation, chords : as `isotropy.Isotropy` has them
    """
    aside = "the slices lie aside of each other (2 px rms shorten chords along z by 5 to 9 %), "
    off = np.abs(correlation["along_z"] - correlation["in_plane"])
    notable = (off > LIMIT_SD * correlation["difference_sd"]) & (off > LIMIT_RELATIVE)
    if notable.any():
        worst = int(np.argmax(np.where(notable, off, 0)))
        less = correlation["along_z"][worst] < correlation["in_plane"][worst]
        yield (
            f"the two-point correlation at {correlation['lag_nm'][worst]:g} nm is "
            f"{correlation['along_z'][worst]:.2f} along z and {correlation['in_plane'][worst]:.2f} "
            f"in the plane: {aside if less else ''}pitch or pixel size are wrong, or the sample is "
            "not isotropic; what is inserted will look like the plane"
        )
    off = np.abs(np.log(chords["ratio"]))
    notable = (off > LIMIT_SD * chords["ratio_sd"] / chords["ratio"]) & (off > LIMIT_RELATIVE)
    if notable.any():
        worst = int(np.argmax(np.where(notable, off, 0)))
        phase = chords["phase"][worst]
        name = str(phase) if isinstance(phase, str) else f"phase {int(phase)}"
        yield (
            f"chords of {name} are {chords['ratio'][worst]:.2f} times as long along z as in the "
            f"plane: {aside if chords['ratio'][worst] < 1 else ''}the pitch is wrong, or the "
            "sample is not isotropic"
        )


def limit_of(pitch_nm: float) -> str:
    """Return what super-resolution cannot do, for the user."""
    return (
        f"features thinner than the pitch of {pitch_nm:g} nm may lie between two slices unseen; "
        "they cannot be recovered, and what is inserted there is a guess by the likeness of the "
        "plane"
    )
