"""Build an author's folder into a package, and pack that as one file to send.

A built package has a manifest that lists every file, and nothing else inside; its archive is a zip
of those files. `unpack` takes an archive of anybody, and trusts none of it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from bl_steer.files.atomic import draft_of
from bl_steer.server.packages.analysis import installed_versions
from bl_steer.server.packages.content import (
    MOST_BYTES,
    MOST_FILES,
    content_hash,
    files_of,
    hash_file,
    verify_content,
)
from bl_steer.server.packages.manifest import (
    MANIFEST_FILE,
    Manifest,
    PackageError,
    RelativePath,
    read_source,
)
from bl_steer.server.sizes import amount

__all__ = ["build", "build_archive", "pack", "unpack"]

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""So that the same package gives the same archive."""
PIECE = 2**20
MOST_RATIO = 1000
"""Unpacked to packed: deflate reaches about 1030 on zeros alone."""


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
    with tempfile.TemporaryDirectory(prefix="bl_steer_build_") as scratch:
        built = Path(scratch) / "package"
        manifest = build(folder, built)
        pack(built, archive)
        return manifest, content_hash(built)


def pack(folder: Path, archive: Path) -> Path:
    """Write a built package as an archive; the same package always gives the same bytes."""
    verify_content(folder)
    with (
        draft_of(archive) as draft,
        zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as target_zip,
    ):
        for name in [MANIFEST_FILE, *files_of(folder)]:
            member = zipfile.ZipInfo(name, LONG_AGO)
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            with (
                target_zip.open(member, "w", force_zip64=True) as target,
                (folder / name).open("rb") as f,
            ):
                shutil.copyfileobj(f, target, PIECE)
    return archive


def unpack(archive: IO[bytes], packages: Path, *, most_bytes: int = MOST_BYTES) -> Path:
    """Unpack an archive into the folder that its content hash names, and return that.

    Parameters
    ----------
    packages : folder of all packages

    Raises
    ------
    PackageError
        When the archive is damaged, too large, leads out of its folder, or is no built package;
        then nothing is left of it.
    """
    packages.mkdir(parents=True, exist_ok=True)
    draft = packages / f".{uuid4()}"
    try:
        _extract(archive, draft, most_bytes)
        verify_content(draft)
        folder = packages / content_hash(draft)
        for path in sorted(draft.rglob("*"), reverse=True):
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            draft.rename(folder)
        except OSError as error:
            # One that is there already has the same bytes, or will be refused when it is loaded.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        return folder
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise _fault(archive, error) from error
    except (UnicodeError, RuntimeError, zlib.error) as error:  # a password, a damaged member
        raise _fault(archive, error) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise _unfit("a file that another has as its folder", "folder") from error
    finally:
        _remove(draft)


def _extract(archive: IO[bytes], folder: Path, most_bytes: int) -> None:
    path_of = TypeAdapter(RelativePath)
    with zipfile.ZipFile(archive) as opened:
        members = [info for info in opened.infolist() if not info.is_dir()]
        names = [member.filename for member in members]
        if len(members) > MOST_FILES + 1 or len({name.casefold() for name in names}) < len(names):
            raise _unfit(
                f"{len(members)} members, at most {MOST_FILES}, each named once",
                "members",
                number=len(members),
                most=MOST_FILES,
            )
        size = sum(member.file_size for member in members)
        packed = sum(member.compress_size for member in members)
        if size > most_bytes or size > MOST_RATIO * max(packed, 4096):
            raise _unfit(
                f"{packed} bytes that unpack to {size}, at most {most_bytes}",
                "size",
                packed=amount(packed),
                size=amount(size),
                most=amount(most_bytes),
            )
        for member in members:
            name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise _unfit(f"a member that is no plain file, {name!r}", "link", name=name)
            try:
                place = folder / path_of.validate_python(name)
            except ValidationError:
                raise _unfit(
                    f"a member that leads elsewhere, {name!r}", "path", name=name
                ) from None
            _write(opened, member, place)


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with opened.open(member) as source, path.open("xb") as target:
        while piece := source.read(PIECE):
            left -= len(piece)
            if left < 0:
                name = member.filename
                raise _unfit(f"more bytes than it says of {name!r}", "more", name=name)
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())


def _fault(archive: IO[bytes], error: Exception) -> PackageError:
    """Return what to say of an archive that cannot be read."""
    if not zipfile.is_zipfile(archive):
        return _unfit("a file that is no zip", "no_zip")
    reason = str(error) or "it ends too early"
    return _unfit(f"a zip that is damaged or of another kind ({reason})", "damaged")


def _unfit(got: str, key: str, **values: object) -> PackageError:
    return PackageError(
        f"a package must be an archive as 'bl-steer package build' writes it, got {got}; build it "
        "again",
        f"archive.{key}",
        **values,
    )


def _remove(folder: Path) -> None:
    if folder.exists():
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(folder)
