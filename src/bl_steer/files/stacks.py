"""Stacks of slices and label volumes from files: TIFF, a folder of images, NumPy, Zarr."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files import archives, list_images
from bl_steer.files.archives import archive_arrays
from bl_steer.files.errors import FileFormatError, in_one_line, listed
from bl_steer.files.formats import (
    FORMATS,
    LOSSY,
    READ,
    ZARR_FILES,
    is_zarr,
    unread_images,
    way_to_tiff,
)
from bl_steer.files.ilastik import read_numbers, whole_file
from bl_steer.files.images.coloured_marks import marked_pixels
from bl_steer.files.images.pages import MAX_PIXELS, read_indices, read_page
from bl_steer.files.many import read_each, unsound
from bl_steer.files.planes import StoredStack, with_edges, with_whole_labels
from bl_steer.files.slice_folder import one_stack, slices_among
from bl_steer.files.slice_names import in_order, natural_key
from bl_steer.files.tiff.voxels import palette_notes, palette_of, read_voxels
from bl_steer.files.volumes.nrrd_files import read_nrrd
from bl_steer.files.volumes.ome_zarr import of_group

__all__ = [
    "KNOWN",
    "WANTED",
    "StoredStack",
    "check_apart",
    "open_slices",
    "open_stack",
    "open_zarr",
]

LABELS = "labels"  # name of the array of a stack that is asked for as numbers as they are stored
COLOURED = 16  # rows and columns from which a last axis of 3 or 4 is that of colours
NARROW = 4  # times as many slices and rows as columns
KNOWN = ("voxel_size_nm", "phases")
"""What a file may say besides the voxels."""
WANTED = f"a TIFF of several pages, a folder of slices ({READ}), .npy, .npz, .nrrd, .zarr or .h5"
NUMBERED = "of a label map, number the phases, a number a pixel"
COLOURS = f"convert a micrograph to grey levels; {NUMBERED}"


def check_apart(stack: Path, out: Path, names: Sequence[str] = ()) -> None:
    """Refuse results among the slices of a stack, inside a Zarr, or in place of the stack.

    Parameters
    ----------
    names : of the files and Zarr groups that `out` is to hold

    Raises
    ------
    ValueError
        When the results would do harm; nothing is read or made.
    """
    source, target = stack.resolve(), out.resolve()
    written = {target, *(target / name for name in names)}
    inside = any(
        (folder / name).exists() for folder in (target, *target.parents) for name in ZARR_FILES
    )
    if inside or written & {source, *filter(is_zarr, source.parents)}:
        raise ValueError(
            f"results must go to a folder apart from the stack {stack} and from any Zarr, got "
            f"{out}; give another with out=DIR"
        )


def open_stack(
    path: str | Path, name: str = "slices", *, leave_out_short: bool = False, or_plane: bool = False
) -> StoredStack:
    """Open a stack; a Zarr array and an .npy stay on disk.

    Parameters
    ----------
    path : a TIFF of several pages; a folder of single images in the order of the numbers in their
        names; ``.npy``; ``.npz`` or a Zarr group with one array of three axes; a Zarr array;
        OME-Zarr; NRRD; HDF5, or one of its datasets as ``FILE.h5/NAME``
    name : of the array to take where an ``.npz`` or a group holds several
    leave_out_short : single images of fewer rows than most, whose scan was broken off, and those
        that cannot be read, if they are fewer than half
    or_plane : a single image is a stack of one plane

    Raises
    ------
    FileNotFoundError
        When there is nothing at the path.
    ValueError
        When it is no stack, empty, damaged, or in colours; pickles are refused.
    """
    path = Path(path)
    if not whole_file(path).exists():
        raise FileNotFoundError(
            f"a stack must be {WANTED}, got {str(path)!r}, which does not exist; check the path"
        )
    if is_zarr(path):
        stack = _zarr(path, name)
    elif path.is_dir():
        stack = _folder(path, name, leave_out_short)
    else:
        read = _reader(path)
        with in_one_line(path):
            stack = read(path, name)
    if or_plane and len(stack.array.shape) == 2:
        stack = replace(stack, array=np.asarray(stack.array)[None])
    _check_shape(stack.array.shape, path)
    stack = replace(stack, notes=[*stack.notes, *_depth_last(stack.array.shape)])
    stack = with_edges(with_whole_labels(stack) if name == LABELS else stack)
    if stated := stack.known.get("stated_voxel"):
        return replace(
            stack, known={**stack.known, "stated_voxel": f"{whole_file(path).name} states {stated}"}
        )
    return stack


def open_zarr(path: str | Path, name: str = "slices") -> Any:
    """Open a Zarr array (Z, Y, X) for reading; nothing is loaded. Errors as in `open_stack`."""
    array = _zarr(Path(path), name).array
    _check_shape(array.shape, path)
    return array


def _check_shape(shape: tuple[int, ...], path: str | Path) -> None:
    if len(shape) != 3:
        raise ValueError(
            f"a stack must have the axes z, y, x, got shape {shape} in {path}; stack the slices, "
            "one value a pixel"
        )
    if shape[2] in (3, 4) and min(shape[:2]) >= COLOURED:
        raise ValueError(
            f"a stack must have one value a pixel, got shape {shape} in {path}, as an image in "
            f"colours has; {COLOURS}"
        )
    if 0 in shape:
        raise ValueError(
            f"a stack must hold slices, got an empty one of shape {shape} in {path}; save it anew"
        )


def _depth_last(shape: tuple[int, ...]) -> list[str]:
    """Return a sentence where the last axis is so short that it may be the depth."""
    if min(shape[:2]) < NARROW * max(8, shape[2]):
        return []
    return [
        f"the stack has {shape[0]} slices of {shape[1]} × {shape[2]} px: its axes are taken as z, "
        "y, x; where the last one is the depth, save it with that one first (in NumPy, "
        "moveaxis(stack, -1, 0))"
    ]


def _zarr(path: Path, name: str) -> StoredStack:
    import zarr  # here: it takes half a second, and most stacks are of another kind

    try:
        node: Any = zarr.open(str(path), mode="r")
    except Exception as error:  # there are many ways not to be a Zarr
        raise ValueError(
            f"a stack must be a Zarr array, got {path}, where none can be opened; save it with "
            "zarr.save_array"
        ) from error
    with in_one_line(path):
        if isinstance(node, zarr.Group) and (found := of_group(node, name)) is not None:
            return StoredStack(*found)
        array = _chosen(dict(node.arrays()), name) if isinstance(node, zarr.Group) else node
        _check_axes(array)
    attributes = {**node.attrs, **array.attrs}
    return StoredStack(array, {key: attributes[key] for key in KNOWN if key in attributes})


def _check_axes(array: Any) -> None:
    """Refuse an array of Zarr, or of xarray, that names its axes in another order than z, y, x."""
    named = getattr(array.metadata, "dimension_names", None)
    names = [str(axis).lower() for axis in named or array.attrs.get("_ARRAY_DIMENSIONS") or ()]
    if set(names[-3:]) == set("zyx") and names[-3:] != list("zyx"):
        raise FileFormatError(
            f"must have the axes z, y, x, in this order, got {', '.join(names)}; transpose it "
            "before it is saved"
        )


def _chosen(arrays: Mapping[str, Any], name: str) -> Any:
    """Return the array of a name, or the only one of three axes, or the only one."""
    volumes = [key for key, array in arrays.items() if array.ndim == 3]
    for likely in ([name] if name in arrays else [], volumes, list(arrays)):
        if len(likely) == 1:
            return arrays[likely[0]]
    raise FileFormatError(
        f"must hold one array of three axes, or {name}, got {listed(sorted(arrays))}; save the "
        "stack by itself, or give the path of one array in a Zarr group"
    )


def _folder(folder: Path, name: str, leave_out_short: bool) -> StoredStack:
    images = list_images(folder)
    files, left_out = slices_among(images, folder)
    if not files:
        raise ValueError(
            f"a folder must hold slices ({READ}), got none in {folder}; put them there, numbered "
            f"in the order of z{''.join(f' ({note})' for note in unread_images(folder))}"
        )
    stored = _stacked(files, f" in {folder}", leave_out_short, name)
    return replace(stored, notes=[*stored.notes, *unread_images(folder), *left_out])


def open_slices(paths: Sequence[str | Path], *, leave_out_short: bool = False) -> StoredStack:
    """Read single slices in the order of the numbers in their names, as those of one folder.

    Parameters
    ----------
    leave_out_short : as in `open_stack`

    Raises
    ------
    ValueError
        When a name does not tell an order, or a file is no slice or unlike the others.
    """
    files = sorted(map(Path, paths), key=natural_key)
    names = [path.name for path in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"slices must have names of their own, which tell their order, got {twice[0]} more "
            "than once; rename them, or give one stack"
        )
    return _stacked(files, leave_out_short=leave_out_short)


def _stacked(
    files: Sequence[Path], where: str = "", leave_out_short: bool = False, name: str = "slices"
) -> StoredStack:
    """Return slices, in their order, as a stack; `where` goes into sentences: " in FOLDER"."""
    files, order = in_order(files, where)  # before anything is read
    slices, problems = read_each(partial(_slice, name=name), files)
    if problems and not (leave_out_short and 2 * len(problems) < len(files)):
        raise unsound(problems)
    stored = one_stack(files, slices, where, leave_out_short)
    order += [f"{problem}; the slice is taken as missing" for problem in problems]
    return replace(stored, notes=[*order, *stored.notes])


def _slice(path: Path, name: str) -> StoredStack:
    """Return an image (H, W), or whatever shape there is, with the pixel size that it states."""
    if not path.is_file():
        raise ValueError(
            f"{path.name} must be an image, got a link to a file that does not exist; "
            "put the file back, or take the link out"
        )
    if path.suffix.lower() in FORMATS["TIFF"]:
        with in_one_line(path):
            return _tiff(path, name)
    notes: list[str] = []
    page, metadata = read_page(path, MAX_PIXELS, notes=notes)
    is_jpeg = path.suffix.lower() in FORMATS["JPEG"]
    metadata |= {"lossy": True} if is_jpeg else {}
    indices = read_indices(path)
    if indices is not None:
        indices = indices[: len(page)]
        notes += palette_notes(page, indices)
        return StoredStack(indices, metadata, notes, palette=palette_of(page, indices))
    notes += [LOSSY] * (name == LABELS and is_jpeg)
    with in_one_line(path):
        grey = page if page.ndim == 2 else _grey(page, notes)
    return StoredStack(grey, metadata, notes)


def _grey(colours: NDArray[Any], notes: list[str]) -> NDArray[Any]:
    """Return the one value of each pixel (…, C) whose channels are alike, without alpha."""
    shown = colours[..., :-1] if colours.shape[-1] in (2, 4) else colours
    if shown is not colours and (colours[..., -1] != colours[..., -1].max()).any():
        notes.append("what is transparent is taken as it is stored: the alpha channel is left out")
    if (shown != shown[..., :1]).any():
        if (coloured := marked_pixels(shown)) is not None:
            raise FileFormatError(
                f"must hold one value a pixel, got colours in {coloured.mean():.2%} of them, as a "
                "scale bar, an arrow or text over a grey image has; give a micrograph without such "
                f"marks; {NUMBERED}"
            )
        raise FileFormatError(f"must hold one value a pixel, got colours; {COLOURS}")
    return np.ascontiguousarray(shown[..., 0])


def _reader(path: Path) -> Callable[[Path, str], StoredStack]:
    """Return what reads a file, by its first bytes."""
    try:
        with whole_file(path).open("rb") as file:
            head = file.read(6)
    except OSError as error:
        raise ValueError(
            f"a stack must be readable, got {str(path)!r} ({error.strerror}); give a file that you "
            "may read"
        ) from error
    readers = {
        b"II": _tiff,
        b"MM": _tiff,
        b"\x93NUMPY": _npy,
        b"PK": _npz,
        b"NRRD": _nrrd,
        b"\x89HDF": _hdf5,
        **dict.fromkeys((b"\x89PNG", b"\xff\xd8\xff", b"BM"), _slice),
    }
    for signature, read in readers.items():
        if head.startswith(signature):
            return read
    what = f"{str(path)!r}, {'which is of another kind' if head else 'an empty file'}"
    raise ValueError(f"a stack must be {WANTED}, got {what}; {way_to_tiff(path)}")


def _tiff(path: Path, name: str) -> StoredStack:
    as_shown = name != LABELS
    voxels, coloured, known, notes = read_voxels(path, archives.MAX_BYTES, as_shown=as_shown)
    palette = known.pop("palette", {})
    return StoredStack(_grey(voxels, notes) if coloured else voxels, known, notes, palette=palette)


def _nrrd(path: Path, _name: str) -> StoredStack:
    return StoredStack(*read_nrrd(path, archives.MAX_BYTES))


def _hdf5(path: Path, _name: str) -> StoredStack:
    numbers, is_ilastik, known = read_numbers(path)
    notes = ["ilastik numbers labels from 1 on: 0 is what nobody has labelled"]
    return StoredStack(numbers, known, notes * (is_ilastik and bool((numbers == 0).any())))


def _npy(path: Path, _name: str) -> StoredStack:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.nbytes > archives.MAX_BYTES:
        raise FileFormatError(
            f"must hold at most {archives.MAX_BYTES / 2**30:.0f} GiB, got "
            f"{array.nbytes / 2**30:.3g} GiB; save it with zarr.save_array, of which parts are read"
        )
    return StoredStack(array)


def _npz(path: Path, name: str) -> StoredStack:
    arrays = archive_arrays(path)
    known = {key: arrays.pop(key).tolist() for key in KNOWN if key in arrays}
    return StoredStack(_chosen(arrays, name), known)
