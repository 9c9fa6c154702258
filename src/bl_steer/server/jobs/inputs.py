"""Which analysis takes which uploads, and how they become its inputs.

`kinds` and `check_uploads` are for the access point, before a job is queued: they open no file.
`read_inputs` is for the job's own process.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bl_steer.protocols import Inputs

__all__ = ["InputKind", "check_params", "check_uploads", "kinds", "read_inputs"]

IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy", ".npz")
"""The last one only as a beamline sends it: `bl_steer.processing.input_files`."""
STACKS = (".tif", ".tiff", ".npy", ".npz", ".zip")
POINTS = (".csv", ".tsv", ".txt", ".npz")
ZIPPED = ".zip"
MAX_MEMBERS = 100_000


@dataclass(frozen=True)
class InputKind:
    """Uploads that an analysis takes.

    Parameters
    ----------
    suffixes : of the files' names, in lower case
    most : number of files
    """

    suffixes: tuple[str, ...]
    most: int = 1


_KINDS = {
    "segment": InputKind(IMAGES, most=64),
    "superres": InputKind((*STACKS, ".png"), most=1000),
    "structure": InputKind(STACKS),
    "components": InputKind(POINTS),
    "advise": InputKind(POINTS),
}


def kinds() -> Mapping[str, InputKind]:
    """Return the analyses of this library that take uploads, with what they take."""
    return dict(_KINDS)


def check_uploads(kind: InputKind, file_names: Sequence[str]) -> None:
    """Raise `ValueError` that names all files that an analysis does not take."""
    if not 1 <= len(file_names) <= kind.most:
        wanted = "one file" if kind.most == 1 else f"1 to {kind.most} files"
        raise ValueError(f"an analysis must have {wanted}, got {len(file_names)}; choose others")
    wrong = [name for name in file_names if not name.lower().endswith(kind.suffixes)]
    if wrong:
        raise ValueError(
            f"files must end in {', '.join(kind.suffixes)}, got {', '.join(wrong)}; convert them"
        )


def check_params(analysis: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an analysis' parameters, all of them, as JSON; `ValueError` names the wrong ones."""
    from bl_steer.processing.registry import find_analysis, make_params

    return make_params(find_analysis(analysis), values).model_dump(mode="json")


def read_inputs(analysis: str, paths: Sequence[Path], scratch: Path) -> tuple[Inputs, list[str]]:
    """Return uploads as an analysis' inputs, and what the user should know of them.

    Parameters
    ----------
    scratch : folder for what has to be unpacked

    Raises
    ------
    ValueError
        When a file is not what the analysis needs.
    """
    if analysis not in _KINDS:
        raise ValueError(
            f"uploads must be for one of {', '.join(_KINDS)}, got {analysis!r}; choose one of them"
        )
    from bl_steer.processing.input_files import are_exact_inputs, read_exact_inputs

    check_uploads(_KINDS[analysis], [path.name for path in paths])
    paths = [_unpacked(path, scratch) for path in paths]
    if len(paths) == 1 and are_exact_inputs(paths[0]):
        return read_exact_inputs(paths[0]), []
    if analysis == "segment":
        from bl_steer.analysis.segmentation import inputs_from_files

        return inputs_from_files(paths), []
    if analysis == "structure":
        from bl_steer.analysis.structure import inputs_from_file

        return inputs_from_file(paths[0]), []
    if analysis == "superres":
        return _slices(paths)
    from bl_steer.files.points import map_inputs, point_inputs

    return (map_inputs if analysis == "components" else point_inputs)(paths[0]), []


def _slices(paths: Sequence[Path]) -> tuple[Inputs, list[str]]:
    """Return one stack, or single slices in the order of the numbers in their names."""
    import numpy as np

    from bl_steer.analysis.segmentation import inputs_from_files
    from bl_steer.files.slice_folder import natural_key
    from bl_steer.files.stacks import gap_notes, open_stack

    if len(paths) == 1:
        stored = open_stack(paths[0])
        source = {"files": [paths[0].name]}
        return Inputs({"slices": np.asarray(stored.array[:])}, {}, source), [*stored.notes]
    paths = sorted(paths, key=natural_key)
    names = [path.name for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"slices must have names of their own, which tell their order, got {twice[0]} more "
            "than once; rename them, or give one stack"
        )
    read = inputs_from_files(paths)
    if len(read.arrays) > len(paths):
        origin = [Path(one).name for one in read.source["files"]]
        stack = next(name for name in origin if origin.count(name) > 1)
        raise ValueError(
            f"several files must be single slices, got {stack} with {origin.count(stack)} of them "
            f"among {len(paths)} files; give one stack, or single slices"
        )
    kinds = {(array.shape, str(array.dtype)) for array in read.arrays.values()}
    if len(kinds) > 1:
        shown = " and ".join(f"{shape} of {dtype}" for shape, dtype in sorted(kinds)[:2])
        raise ValueError(f"slices must be of one shape and type, got {shown}; make them alike")
    sizes = {size for size in read.metadata.get("pixel_size_nm", []) if size}
    known = {"pixel_size_nm": sizes.pop()} if len(sizes) == 1 else {}
    slices = np.stack(list(read.arrays.values()))
    return Inputs({"slices": slices}, known, {"files": names}), [*read.notes, *gap_notes(paths)]


def _unpacked(path: Path, scratch: Path) -> Path:
    """Return the folder of a zipped Zarr; any other file as it is."""
    if path.suffix.lower() != ZIPPED:
        return path
    target = scratch / f"{path.stem.removesuffix('.zarr')}.zarr"
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise ValueError(
                    f"a Zarr must have at most {MAX_MEMBERS} files, got {len(members)}"
                )
            archive.extractall(target)  # it takes neither "..", nor absolute paths, nor links
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"a zipped Zarr must be a sound zip, got {path.name} ({error}); pack it anew"
        ) from error
    # Either the Zarr's own files were packed, or the folder that holds them.
    inner = [one for one in target.iterdir() if one.is_dir()]
    if not any((target / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        if len(inner) != 1:
            raise ValueError(f"a zipped Zarr must hold one array, got {path.name} without")
        return inner[0].rename(target.with_name(f"inner-{target.name}"))
    return target
