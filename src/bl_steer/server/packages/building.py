"""From an author's folder to a built package: every file listed, nothing else inside."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bl_steer.server.packages.analysis import installed_versions
from bl_steer.server.packages.archive import pack
from bl_steer.server.packages.content import content_hash, files_of, hash_file
from bl_steer.server.packages.manifest import MANIFEST_FILE, Manifest, PackageError, read_source

__all__ = ["build", "build_archive"]


def build(folder: Path, out: Path) -> Manifest:
    """Copy a package into a new folder, with the manifest of its files.

    Hidden files, and what Python leaves behind, stay out.

    Raises
    ------
    PackageError
        When a file that it names is missing, or its source does not fit.
    """
    source = read_source(folder)
    names = files_of(folder, built=False)
    missing = sorted(source.named_files() - set(names))
    if missing:
        raise PackageError(
            f"a package must have the files that it names, got no {', '.join(missing)} in "
            f"{folder}; add them, or run 'bl-steer package test --accept' for expected output"
        )
    out.mkdir(parents=True)
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, out / name)
    manifest = Manifest.model_validate(
        {
            **source.model_dump(mode="json"),
            "versions": installed_versions(),
            "files": {name: hash_file(out / name) for name in names},
        }
    )
    (out / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def build_archive(folder: Path, archive: Path) -> tuple[Manifest, str]:
    """Build a package into an archive; return its manifest and its content hash."""
    with tempfile.TemporaryDirectory(prefix="bl_steer_build_") as place:
        built = Path(place) / "package"
        manifest = build(folder, built)
        pack(built, archive)
        return manifest, content_hash(built)
