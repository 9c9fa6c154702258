"""Which analysis takes which uploads, and how they become its inputs.

`kinds` and `check_uploads` are for the web process, before a job is queued: they open no file.
`read_inputs` is for the job's own process.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bl_steer.analysis import segmentation, slices, structure, superresolution
from bl_steer.files import list_images
from bl_steer.files.formats import SUFFIXES, ZARR_FILES
from bl_steer.files.images.microscope_headers import sidecar_stems
from bl_steer.files.maps.points import map_inputs, point_inputs
from bl_steer.files.maps.spreadsheets import BOOK_ENDINGS
from bl_steer.processing.input_files import are_exact_inputs, read_exact_inputs
from bl_steer.protocols import Inputs

__all__ = ["InputKind", "check_uploads", "kinds", "read_inputs", "unpacked"]

IMAGES = (*SUFFIXES, ".npz")
"""The last one only as a beamline sends it: `bl_steer.processing.input_files`."""
STACKS = (".tif", ".tiff", ".npy", ".npz", ".h5", ".hdf5", ".dream3d", ".nrrd", ".zip")
SLICES = tuple(dict.fromkeys((*STACKS, *SUFFIXES)))
MAPS = (".npz",)
POINTS = (".csv", ".tsv", ".txt", *BOOK_ENDINGS, ".npz")
SIDECARS = (".txt", ".hdr")
"""As JEOL, Hitachi and Tescan write them beside images."""
ZIPPED = ".zip"
MAX_MEMBERS = 100_000


@dataclass(frozen=True)
class InputKind:
    """Uploads that an analysis takes.

    Parameters
    ----------
    suffixes : of the files' names, in lower case
    most : number of files
    beside : of text files that microscopes write beside their images, which are read with these
    """

    suffixes: tuple[str, ...]
    most: int = 1
    beside: tuple[str, ...] = ()

    def takes_one(self, file_name: str) -> bool:
        """Return whether it takes a file, by its name."""
        return file_name.lower().endswith((*self.suffixes, *self.beside))

    def counted(self, file_names: Iterable[str]) -> int:
        """Return the number of files without those that lie beside images."""
        return sum(not self.is_beside(name) for name in file_names)

    def is_beside(self, file_name: str) -> bool:
        """Return whether a file is text beside an image, by its name."""
        return bool(self.beside) and file_name.lower().endswith(self.beside)


def kinds() -> Mapping[str, InputKind]:
    """Return the analyses of this library that take uploads, with what they take."""
    return {analysis: kind for analysis, (kind, _) in _UPLOADS.items()}


def check_uploads(kind: InputKind, file_names: Sequence[str]) -> None:
    """Raise `ValueError` that names all files that an analysis does not take."""
    counted = kind.counted(file_names)
    if not 1 <= counted <= kind.most:
        number = "one file" if kind.most == 1 else f"1 to {kind.most} files"
        raise ValueError(f"an analysis must have {number}, got {counted}; choose others")
    wrong = [name for name in file_names if not kind.takes_one(name)]
    if wrong:
        raise ValueError(
            f"files must end in {', '.join(kind.suffixes)}, got {', '.join(wrong)}; convert them"
        )


def read_inputs(analysis: str, paths: Sequence[Path], scratch: Path) -> Inputs:
    """Return uploads as an analysis' inputs, with what the user should know of them as notes.

    Parameters
    ----------
    scratch : folder for what has to be unpacked

    Raises
    ------
    ValueError
        When a file is not what the analysis needs.
    """
    if analysis not in _UPLOADS:
        raise ValueError(
            f"uploads must be for one of {', '.join(_UPLOADS)}, got {analysis!r}; choose one of "
            "them"
        )
    kind, read = _UPLOADS[analysis]
    check_uploads(kind, [path.name for path in paths])
    paths, notes = _with_sidecars(kind, paths, scratch)
    paths = [unpacked(path, scratch) for path in paths]
    if len(paths) == 1 and are_exact_inputs(paths[0]):
        return read_exact_inputs(paths[0])
    inputs = read(paths)
    return replace(inputs, notes=[*inputs.notes, *notes]) if notes else inputs


def _with_sidecars(
    kind: InputKind, paths: Sequence[Path], scratch: Path
) -> tuple[list[Path], list[str]]:
    """Return images where the text files of their microscopes lie beside them, and notes."""
    texts = {path.stem: path for path in paths if kind.is_beside(path.name)}
    images = [path for path in paths if not kind.is_beside(path.name)]
    if not texts:
        return images, []
    used: set[Path] = set()
    laid = []
    for number, image in enumerate(images):
        beside = [texts[stem] for stem in sidecar_stems(image) if stem in texts]
        folder = scratch / "beside" / f"{number:04d}"
        folder.mkdir(parents=True)
        for path in (image, *beside):
            (folder / path.name).symlink_to(path.absolute())
        used.update(beside)
        laid.append(folder / image.name)
    alone = [path.name for path in texts.values() if path not in used]
    return laid, [f"{name} has the name of no image, and is not read" for name in alone]


def _in_memory(read: Inputs) -> Inputs:
    """Return slices as numpy, for a package's script, and their files by their names alone."""
    names = [Path(file).name for file in read.source["files"]]
    arrays = {name: np.asarray(array[:]) for name, array in read.arrays.items()}
    return replace(read, arrays=arrays, source={"files": names})


# Functions reach the lazy packages when a job calls them: the web process, which reads the kinds of
# files alone, loads no torch.
_UPLOADS: dict[str, tuple[InputKind, Callable[[Sequence[Path]], Inputs]]] = {
    "segment": (
        InputKind(IMAGES, most=64, beside=SIDECARS),
        lambda paths: segmentation.inputs_from_files(paths),
    ),
    "superres": (
        InputKind(SLICES, most=1000, beside=SIDECARS),
        lambda paths: _in_memory(superresolution.inputs_from_files(paths)),
    ),
    "reconstruct": (
        InputKind(SLICES, most=1000, beside=SIDECARS),
        lambda paths: _in_memory(slices.inputs_from_files(paths)),
    ),
    "structure": (InputKind(SLICES), lambda paths: structure.inputs_from_file(paths[0])),
    "components": (InputKind(POINTS), lambda paths: map_inputs(paths[0])),
    "film": (InputKind(MAPS), lambda paths: map_inputs(paths[0])),
    "advise": (InputKind(POINTS), lambda paths: point_inputs(paths[0])),
}


def unpacked(path: Path, scratch: Path) -> Path:
    """Return the folder of a zipped Zarr, or of zipped slices; any other file as it is."""
    if path.suffix.lower() != ZIPPED:
        return path
    target = scratch / path.stem.removesuffix(".zarr")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise ValueError(
                    f"a zip must hold at most {MAX_MEMBERS} files, got {len(members)}; pack fewer"
                )
            archive.extractall(target)  # it takes neither "..", nor absolute paths, nor links
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"a zipped stack must be a sound zip, got {path.name} ({error}); pack it anew"
        ) from error
    # Either the files themselves were packed, or the folder that holds them; programs of Apple put
    # another one beside it.
    folder = target
    while not (held := _shown(folder, files=True)) and len(inner := _shown(folder)) == 1:
        folder = inner[0]
    if any((folder / name).exists() for name in ZARR_FILES):
        return folder.rename(scratch / f"{target.name}-stack.zarr")
    if len(held) == 1 and held[0].suffix.lower() in STACKS and not _shown(folder):
        return held[0]
    if not list_images(folder):
        raise ValueError(
            f"a zip must hold a Zarr, or slices as images, got {path.name} with neither; pack the "
            "folder of the slices"
        )
    return folder


def _shown(folder: Path, *, files: bool = False) -> list[Path]:
    """Return the folders in a folder, or its files, without those that are hidden."""
    hidden = (".", "__MACOSX")
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() == files
        and not (path.name.startswith(hidden) and path.name not in ZARR_FILES)
    )
