"""The bytes of a package: which files it has, one hash for all, and whether they changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bl_steer.server.packages.manifest import MANIFEST_FILE, Manifest, PackageError, read_manifest

__all__ = ["content_hash", "files_of", "hash_file", "verify_content"]

MOST_FILES = 500
MOST_BYTES = 4 * 2**30
PIECE = 2**20
LEFT_BEHIND = ("__pycache__",)
"""Folders that Python makes beside a script while it is written; building leaves them out."""


def hash_file(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(folder: Path, *, built: bool = True) -> list[str]:
    """Return the files of a package but its manifest, as sorted paths with ``/``.

    Parameters
    ----------
    built : of a built package, where every file counts; else hidden files, and what Python leaves
        behind, are passed over

    Raises
    ------
    PackageError
        When the folder holds links or devices, or too much.
    """
    names: list[str] = []
    size = 0
    for path in _walk(folder, built):
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            name = path.relative_to(folder)
            raise PackageError(
                f"a package must hold plain files alone, got {name}; copy what a link leads to",
                "archive.link",
                name=name,
            )
        names.append(path.relative_to(folder).as_posix())
        size += status.st_size
        if len(names) > MOST_FILES or size > MOST_BYTES:
            raise PackageError(
                f"a package must hold at most {MOST_FILES} files and {MOST_BYTES >> 30} GiB, got "
                f"more in {folder}; leave out what a run does not need",
                "archive.members",
                number=len(names),
                most=MOST_FILES,
            )
    return sorted(name for name in names if name != MANIFEST_FILE)


def _walk(folder: Path, built: bool) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(path) / name).is_symlink()]
        if not built:
            folders[:] = [f for f in folders if f not in LEFT_BEHIND and not f.startswith(".")]
            files = [f for f in files if not f.startswith(".")]
        for name in (*links, *files):
            yield Path(path) / name


def content_hash(folder: Path) -> str:
    """Return the sha256 that stands for a whole built package.

    It covers the name and the bytes of every file, the manifest among them; changing, adding,
    removing or renaming one changes it.
    """
    total = hashlib.sha256(b"bl_steer package, form 1\n")
    for name in [MANIFEST_FILE, *files_of(folder)]:
        total.update(f"{hash_file(folder / name)} {len(name.encode())} {name}\n".encode())
    return total.hexdigest()


def verify_content(folder: Path, sha256: str | None = None) -> Manifest:
    """Return the manifest of a built package after comparing it with every file.

    Parameters
    ----------
    sha256 : the content hash that it must have, where one is known

    Raises
    ------
    PackageError
        Naming the files that were changed, added or removed.
    """
    manifest = read_manifest(folder)
    there = set(files_of(folder))
    listed = dict(manifest.files)
    both = sorted(there & set(listed))
    changed = [name for name in both if hash_file(folder / name) != listed[name]]
    differing = {
        "was added": sorted(there - set(listed)),
        "is missing": sorted(set(listed) - there),
        "was changed": changed,
    }
    if problems := [f"{name} {how}" for how, names in differing.items() for name in names]:
        raise PackageError(
            f"a package must be as its manifest says, got: {'; '.join(problems)}; build it again, "
            "and have it reviewed anew",
            "archive.differs",
            names=", ".join(name for names in differing.values() for name in names),
        )
    if sha256 is not None and (actual := content_hash(folder)) != sha256:
        raise PackageError(
            f"a package must be the one that was approved, {sha256[:12]}…, got {actual[:12]}… in "
            f"{folder.name}; have this one reviewed, or bring the other back"
        )
    return manifest
